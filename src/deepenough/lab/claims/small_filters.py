"""Two 3x3 layers see as far as one 5x5, three as far as one 7x7, with fewer parameters."""

from __future__ import annotations

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import parameters
from deepenough.nets.receptive_field import receptive_field

MARGIN = 0.01  # a smaller loss of accuracy counts as none


def measure(trials: Trials) -> Result:
    """One large filter against a stack of small ones that sees as far."""
    width = 16 if trials.quick else 64
    lines = [Line(name=said("one large filter"), points=[]), Line(name=said("3x3 filters in a stack"), points=[])]
    effects = []
    for large, small in ((5, (3, 3)), (7, (3, 3, 3))):
        names = (f"{large}x{large}", "-".join(f"{kernel}x{kernel}" for kernel in small))
        one, many = (trials.convolutional(name, width, ks) for name, ks in zip(names, ((large,), small), strict=True))
        hits = [trials.hits(network) for network in (one, many)]
        for line, network, each in zip(lines, (one, many), hits, strict=True):
            sees = receptive_field(network)
            note = said(
                "%(network)s: %(count)s parameters, sees %(pixels)s pixels",
                network=network.name,
                count=f"{parameters(network):,}",
                pixels=sees,
            )
            line.points.append(Point.from_hits(each, x=sees, note=note))
        what = said("accuracy of %(small)s minus that of %(large)s", small=many.name, large=one.name)
        fewer = 1 - parameters(many) / parameters(one)
        further = receptive_field(many) - receptive_field(one)
        effects += [
            Effect.from_hits(hits[1] - hits[0], what=what, bound=-MARGIN),
            Effect(
                what=said("share of parameters that %(small)s saves", small=many.name),
                values=[fewer],
                kind="counted",
                unit="share",
            ),
            Effect(
                what=said("pixels that %(small)s sees further", small=many.name),
                values=[further],
                bound=-1,
                kind="counted",
            ),
        ]
    return Result(x=said("pixels seen"), y=said("accuracy"), lines=lines, effects=effects)
