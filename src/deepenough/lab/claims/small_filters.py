"""Two 3x3 layers see as far as one 5x5, three as far as one 7x7, with fewer parameters."""

from __future__ import annotations

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.trials import Trials
from deepenough.nets import BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool, Network, Relu, parameters
from deepenough.nets.receptive_field import receptive_field

MARGIN = 0.01  # a smaller loss of accuracy counts as none


def network(trials: Trials, kernels: tuple[int, ...], width: int) -> Network:
    """A stem and a pool, then convolutions of these kernels, and a classifier."""
    body = [layer for kernel in kernels for layer in (Conv(width, kernel, bias=False), BatchNorm(), Relu())]
    stem = (Conv(width, 3, bias=False), BatchNorm(), Relu(), MaxPool(2))
    name = "-".join(f"{kernel}x{kernel}" for kernel in kernels)
    return Network(name, trials.input, (*stem, *body, GlobalAvgPool(), Dense(trials.classes)))


def measure(trials: Trials) -> Result:
    """One large filter against a stack of small ones that sees as far."""
    width = 16 if trials.quick else 64
    found: dict[int, dict[str, Point]] = {}
    effects = []
    for large, small in ((5, (3, 3)), (7, (3, 3, 3))):
        one, many = network(trials, (large,), width), network(trials, small, width)
        hits = {net.name: trials.hits(net) for net in (one, many)}
        found[large] = {
            which: Point.from_hits(
                hits[net.name],
                x=receptive_field(net),
                note=f"{net.name}: {parameters(net):,} parameters, sees {receptive_field(net)} pixels",
            )
            for which, net in (("one", one), ("many", many))
        }
        fewer = 1 - parameters(many) / parameters(one)
        further = receptive_field(many) - receptive_field(one)
        effects += [
            Effect.from_hits(
                hits[many.name] - hits[one.name],
                what=f"accuracy of {many.name} minus that of {one.name}",
                bound=-MARGIN,
            ),
            Effect(what=f"share of parameters that {many.name} saves", values=[fewer], kind="counted"),
            Effect(what=f"pixels that {many.name} sees further", values=[further], bound=-1, kind="counted"),
        ]
    return Result(
        x="pixels seen",
        y="accuracy",
        lines=[
            Line(name="one large filter", points=[each["one"] for each in found.values()]),
            Line(name="3x3 filters in a stack", points=[each["many"] for each in found.values()]),
        ],
        effects=effects,
    )
