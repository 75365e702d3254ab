"""Depth without activations in between gains nothing."""

from __future__ import annotations

from deepenough.lab.record import Effect, Line, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import BatchNorm, Dense, Flatten, Network, Relu

DEPTHS = (0, 1, 2, 4)  # hidden layers
MARGIN = 0.02  # a smaller gain counts as none


def network(trials: Trials, layers: int, relu: bool, width: int) -> Network:
    """Dense layers on the pixels, with or without an activation behind each but the last.

    Convolutions would not do: without activations too a stack of them sees more, and meets the border more often.
    """
    between = (BatchNorm(), Relu()) if relu else (BatchNorm(),)
    body = [layer for _ in range(layers) for layer in (Dense(width), *between)]
    kind = "relu" if relu else "linear"
    return Network(f"{kind}-{layers}", trials.input, (Flatten(), *body, Dense(trials.classes)))


def measure(trials: Trials) -> Result:
    """The gain by depth with ReLUs and without."""
    width = 64 if trials.quick else 256
    hits = {relu: [trials.hits(network(trials, layers, relu, width)) for layers in DEPTHS] for relu in (True, False)}
    gains = {relu: found[-1] - found[0] for relu, found in hits.items()}
    return Result(
        x=said("depth"),
        y=said("accuracy"),
        lines=[
            Line.from_hits(said(name), [layers + 1 for layers in DEPTHS], hits[relu])
            for relu, name in ((True, "with ReLU"), (False, "without activation"))
        ],
        effects=[
            Effect.from_hits(-gains[False], what=said("loss with depth without activation"), bound=-MARGIN),
            Effect.from_hits(gains[True] - gains[False], what=said("gain with depth with ReLU minus that without")),
        ],
    )
