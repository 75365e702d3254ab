"""At the same number of parameters, deeper beats wider."""

from __future__ import annotations

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import Network, parameters

LAYERS = (1, 2, 4, 8)


def with_parameters(trials: Trials, layers: int, wanted: int) -> Network:
    """The network with this many layers whose width brings it nearest to the wanted number of parameters."""
    made = (trials.convolutional(f"{layers}x{width}", width, layers * [3]) for width in range(4, 257))
    return min(made, key=lambda each: abs(parameters(each) - wanted))


def measure(trials: Trials) -> Result:
    """Networks with equally many parameters, from shallow and wide to deep and narrow."""
    wanted = parameters(trials.convolutional("deepest", 8 if trials.quick else 32, LAYERS[-1] * [3]))
    found, points = [], []
    for layers in LAYERS[: 3 if trials.quick else None]:
        net = with_parameters(trials, layers, wanted)
        note = said("%(network)s: %(count)s parameters", network=net.name, count=f"{parameters(net):,}")
        found.append(trials.hits(net))
        points.append(Point.from_hits(found[-1], x=layers + 2, note=note))
    effect = Effect.from_hits(
        found[-1] - found[0],
        what=said(
            "accuracy at depth %(deep)s minus that at depth %(shallow)s, with equally many parameters",
            deep=f"{points[-1].x:g}",
            shallow=f"{points[0].x:g}",
        ),
    )
    return Result(
        x=said("depth"),
        y=said("accuracy"),
        lines=[Line(name=said("equally many parameters"), points=points)],
        effects=[effect],
    )
