"""Beyond some depth a plain network gets worse in training error; a residual one does not."""

from __future__ import annotations

from deepenough.lab.bench import Bench
from deepenough.lab.record import Effect, Line, Point, Seen, judged
from deepenough.nets import FAMILIES

DEPTHS = (5, 19, 67)
MARGIN = 0.01  # a loss of training accuracy that is none


def measure(bench: Bench) -> Seen:
    """Accuracy of the weights at the end on the training images as they are (He et al. 2015, fig. 1)."""
    width = 0.25 if bench.quick else 0.5
    lines, lost = [], {}
    for name in ("plain", "residual"):
        made = [FAMILIES[name].network(bench.input, bench.classes, depth=depth, width=width) for depth in DEPTHS]
        found = [bench.hits(network, training=True) for network in made]
        points = [Point(x=depth, **judged(hits)) for depth, hits in zip(DEPTHS, found, strict=True)]
        lines.append(Line(name=name, points=points))
        lost[name] = found[-2] - found[-1]
    step = f"from depth {DEPTHS[-2]} to {DEPTHS[-1]}"
    return Seen(
        x="depth",
        y="accuracy on the training images, not augmented",
        log_x=True,
        lines=lines,
        effects=[
            Effect(what=f"training accuracy that the plain network loses {step}", **judged(lost["plain"])),
            Effect(
                what=f"training accuracy that the residual one gains {step}",
                bound=-MARGIN,
                **judged(-lost["residual"]),
            ),
        ],
        on=f"{bench.images.source}, {len(bench.images.split.train):,} images to train and to judge",
    )
