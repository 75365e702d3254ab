"""At the same number of parameters, deeper beats wider."""

from __future__ import annotations

from deepenough.lab.bench import Bench
from deepenough.lab.record import Effect, Line, Point, Seen, judged
from deepenough.nets import BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool, Network, Relu, parameters

LAYERS = (1, 2, 4, 8)


def network(bench: Bench, layers: int, width: int) -> Network:
    """A stem and a pool, so many 3x3 convolutions of one width, and a classifier."""
    body = [layer for _ in range(layers) for layer in (Conv(width, bias=False), BatchNorm(), Relu())]
    stem = (Conv(width, bias=False), BatchNorm(), Relu(), MaxPool(2))
    return Network(f"{layers}x{width}", bench.input, (*stem, *body, GlobalAvgPool(), Dense(bench.classes)))


def as_large(bench: Bench, layers: int, wanted: int) -> Network:
    """The width that comes nearest to so many parameters."""
    made = (network(bench, layers, width) for width in range(4, 257))
    return min(made, key=lambda each: abs(parameters(each) - wanted))


def measure(bench: Bench) -> Seen:
    """Networks of as many parameters, from shallow and wide to deep and narrow."""
    wanted = parameters(network(bench, LAYERS[-1], 8 if bench.quick else 32))
    found, points = [], []
    for layers in LAYERS[: 3 if bench.quick else None]:
        net = as_large(bench, layers, wanted)
        note = f"{net.name}: {parameters(net):,} parameters"
        found.append(bench.hits(net))
        points.append(Point(x=layers + 2, note=note, **judged(found[-1])))
    effect = Effect(
        what=f"accuracy at depth {points[-1].x:g} less that at depth {points[0].x:g}, with as many parameters",
        **judged(found[-1] - found[0]),
    )
    return Seen(x="depth", y="accuracy", lines=[Line(name="as many parameters", points=points)], effects=[effect])
