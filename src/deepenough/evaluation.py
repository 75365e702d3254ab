"""How well a model does on labelled images that it was not made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deepenough.data import SPLITS, decoded, open_source
from deepenough.depth import account
from deepenough.errors import DeepenoughError, unknown
from deepenough.model import Model, load
from deepenough.progress import Reporter
from deepenough.record import Metrics

BLOCK = 1_024


def evaluate(
    model: str | Path | Model, data: str | Path, *, split: str | None = None, reporter: Reporter | None = None
) -> tuple[Metrics, list[str]]:
    """Measure a model, or the model of a run, on `data`: the metrics, and a line on each image left out.

    `split` is "train", "validation", "test" or "all"; by default the test split where there is one, else all.
    Classes are matched by name; a class that the model does not know is an error.
    """
    net = model if isinstance(model, Model) else load(model)
    source = open_source(str(data))
    strangers = [name for name in source.classes if name not in net.classes]
    if strangers:
        raise DeepenoughError(
            f"{data}: the model does not know {'class' if len(strangers) == 1 else 'classes'} "
            f"{', '.join(map(repr, strangers[:5]))}; it knows {', '.join(net.classes[:20])}"
        )
    if split is not None and split not in (*SPLITS, "all"):
        raise unknown("split", split, (*SPLITS, "all"))
    wanted = split or ("test" if (source.splits == SPLITS["test"]).any() else "all")
    index = np.arange(len(source.labels)) if wanted == "all" else np.flatnonzero(source.splits == SPLITS[wanted])
    if not len(index):
        raise DeepenoughError(f"{data}: it has no {wanted} images; give --split all, or another split")
    to_model = np.array([net.classes.index(name) for name in source.classes])
    probabilities, labels, left_out = [], [], []
    with (reporter or Reporter()).task(f"evaluating {wanted} images") as advance:
        for start in range(0, len(index), BLOCK):
            block = index[start : start + BLOCK]
            pixels, good, errors = decoded(source, block, net.preprocess)
            probabilities.append(net.probabilities(pixels))
            labels.append(to_model[source.labels[good]])
            left_out += errors
            advance(min(start + BLOCK, len(index)), len(index))
    return account.metrics(np.concatenate(probabilities), np.concatenate(labels), net.classes), left_out
