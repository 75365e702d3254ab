"""Beyond some depth a plain network gets worse in training error; a residual one does not."""

from __future__ import annotations

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import FAMILIES

DEPTHS = (5, 19, 67)
MARGIN = 0.01  # a smaller loss of training accuracy counts as none


def measure(trials: Trials) -> Result:
    """Accuracy of the weights at the end on the training images as they are (He et al. 2015, fig. 1)."""
    width = 0.25 if trials.quick else 0.5
    lines, lost = [], {}
    for name in ("plain", "residual"):
        made = [FAMILIES[name].network(trials.input, trials.classes, depth=depth, width=width) for depth in DEPTHS]
        found = [trials.hits(network, training=True) for network in made]
        points = [Point.from_hits(hits, x=depth) for depth, hits in zip(DEPTHS, found, strict=True)]
        lines.append(Line(name=said(name), points=points))
        lost[name] = found[-2] - found[-1]
    ends = {"shallow": DEPTHS[-2], "deep": DEPTHS[-1]}
    return Result(
        x=said("depth"),
        y=said("accuracy on the training images, not augmented"),
        log_x=True,
        lines=lines,
        effects=[
            Effect.from_hits(
                lost["plain"],
                what=said("training accuracy that the plain network loses from depth %(shallow)s to %(deep)s", **ends),
            ),
            Effect.from_hits(
                -lost["residual"],
                what=said("training accuracy that the residual one gains from depth %(shallow)s to %(deep)s", **ends),
                bound=-MARGIN,
            ),
        ],
        on=said(
            "%(source)s, %(count)s images to train and to judge",
            source=trials.images.source,
            count=f"{len(trials.images.split.train):,}",
        ),
    )
