"""Depth without an activation between gains nothing."""

from __future__ import annotations

from deepenough.lab.bench import Bench, less
from deepenough.lab.record import Effect, Line, Point, Seen
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
    lines = {
        relu: [Point(x=layers + 1, values=bench.top1(network(bench, layers, relu, width))) for layers in DEPTHS]
        for relu in (True, False)
    }
    gains = {relu: less(points[-1].values, points[0].values) for relu, points in lines.items()}
    return Seen(
        x="depth",
        y="accuracy",
        lines=[
            Line(name="with ReLU", points=lines[True]),
            Line(name="without activation", points=lines[False]),
        ],
        effects=[
            Effect(what="loss with depth without activation", values=[-g for g in gains[False]], bound=-MARGIN),
            Effect(what="gain with depth with ReLU less that without", values=less(gains[True], gains[False])),
        ],
    )
