"""Depth without an activation between gains nothing."""

from __future__ import annotations

from deepenough.lab.bench import Bench
from deepenough.lab.record import Effect, Line, Point, Seen, judged
from deepenough.nets import BatchNorm, Dense, Flatten, Network, Relu

DEPTHS = (0, 1, 2, 4)  # hidden layers
MARGIN = 0.02  # a gain that is none


def network(bench: Bench, layers: int, relu: bool, width: int) -> Network:
    """Dense layers on the pixels, with or without an activation behind each but the last.

    Convolutions would not do: without activations too a stack of them sees more, and meets the border more often.
    """
    between = (BatchNorm(), Relu()) if relu else (BatchNorm(),)
    body = [layer for _ in range(layers) for layer in (Dense(width), *between)]
    kind = "relu" if relu else "linear"
    return Network(f"{kind}-{layers}", bench.input, (Flatten(), *body, Dense(bench.classes)))


def measure(bench: Bench) -> Seen:
    """The gain by depth with ReLUs and without."""
    width = 64 if bench.quick else 256
    hits = {relu: [bench.hits(network(bench, layers, relu, width)) for layers in DEPTHS] for relu in (True, False)}
    gains = {relu: found[-1] - found[0] for relu, found in hits.items()}
    return Seen(
        x="depth",
        y="accuracy",
        lines=[
            Line(name=name, points=[Point(x=n + 1, **judged(h)) for n, h in zip(DEPTHS, hits[relu], strict=True)])
            for relu, name in ((True, "with ReLU"), (False, "without activation"))
        ],
        effects=[
            Effect(what="loss with depth without activation", bound=-MARGIN, **judged(-gains[False])),
            Effect(what="gain with depth with ReLU less that without", **judged(gains[True] - gains[False])),
        ],
    )
