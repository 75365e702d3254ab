"""The gradient that reaches the first layer shrinks with depth."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import BatchNorm, Conv, Dense, GlobalAvgPool, Layer, Network, Relu, Sigmoid, Sum
from deepenough.nets.build import build
from deepenough.training.feed import Loader, normalise

DEPTHS = (4, 8, 16, 32)
IMAGES = 64
KINDS = ("sigmoid", "relu", "relu, norms", "relu, norms, shortcuts")


def network(trials: Trials, kind: str, layers: int) -> Network:
    """A stem, then so many convolutions with what the kind says between them."""
    norm: tuple[Layer, ...] = (BatchNorm(),) if "norms" in kind else ()
    active: Layer = Sigmoid() if kind == "sigmoid" else Relu()
    one = (Conv(16), *norm)
    body = [(Sum((one, ())), active) if "shortcuts" in kind else (*one, active) for _ in range(layers - 2)]
    stack = (
        Conv(16),
        *norm,
        active,
        *(layer for part in body for layer in part),
        GlobalAvgPool(),
        Dense(trials.classes),
    )
    return Network(f"{kind}-{layers}", trials.input, stack)


def gradient_ratio(net: Network, trials: Trials, seed: int) -> float:
    """The norm of the loss's gradient at the first layer's weights over that at the last's, before any training."""
    trials.check_stop()
    rows = trials.subset(IMAGES, seed)
    images = trials.images
    pixels = normalise(Loader(images, torch.device("cpu")).raw(rows), images.preprocess)
    model = build(net, seed).train()
    loss: torch.Tensor = nn.functional.cross_entropy(model(pixels), torch.from_numpy(images.labels[rows]))
    loss.backward()  # type: ignore[no-untyped-call]
    weights = [p for name, p in model.named_parameters() if p.dim() > 1]
    first, last = (float(p.grad.norm()) for p in (weights[0], weights[-1]) if p.grad is not None)
    return first / max(last, 1e-30)


def measure(trials: Trials) -> Result:
    """By depth and kind; the effect is how many powers of ten are lost from the shallowest to the deepest."""
    lines = []
    for kind in KINDS:
        points = [
            Point(
                x=layers, values=[gradient_ratio(network(trials, kind, layers), trials, seed) for seed in trials.seeds]
            )
            for layers in DEPTHS
        ]
        lines.append(Line(name=said(kind), points=points))
    logs = {
        kind: np.log10([np.maximum(line.points[end].values, 1e-30) for end in (0, -1)])
        for kind, line in zip(KINDS, lines, strict=True)
    }
    lost = {name: shallow - deep for name, (shallow, deep) in logs.items()}
    return Result(
        x=said("depth"),
        y=said("gradient of the first layer over that of the last"),
        on=said(
            "%(source)s, %(count)s images a seed, before any training",
            source=trials.images.source,
            count=min(IMAGES, len(trials.images.split.train)),
        ),
        log_x=True,
        log_y=True,
        lines=lines,
        effects=[
            Effect(what=said("powers of ten that the gradient loses with sigmoids"), values=lost["sigmoid"].tolist()),
            *(
                Effect(
                    what=said("powers of ten lost with sigmoids minus those with %(kind)s", kind=said(kind)),
                    values=(lost["sigmoid"] - lost[kind]).tolist(),
                )
                for kind in KINDS[1:]
            ),
        ],
    )
