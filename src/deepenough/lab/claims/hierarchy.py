"""Features go from edges to parts: the accuracy of a linear probe grows with depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepenough.lab.record import Effect, Line, Point, Result, SeedHits
from deepenough.lab.text import said
from deepenough.lab.trials import StoppableReporter, Trials
from deepenough.model import Model
from deepenough.probing.probe import probe_weights
from deepenough.search.question import Question
from deepenough.weights import Weights


def measure(trials: Trials) -> Result:
    """A probe at every place of a trained network, on the validation images, which it has not seen."""
    network, images = trials.residual(2, width=0.5 if trials.quick else 1.0), trials.images
    split = replace(images.split, train=images.split.validation, validation=np.empty(0, np.int64))
    unseen, p = replace(images, split=split), images.preprocess
    found: dict[str, list[SeedHits]] = {}
    depths: dict[str, int] = {}
    for seed in trials.seeds:
        trained = trials.train(network, seed)
        state = Model(network, trained.state, p, images.classes).module.state_dict()
        weights = Weights(network.name, "the lab", network, state, p, f"{network.name}-{seed}-{trials.folder}", None)
        probing = probe_weights(weights, unseen, Question(seed=seed), reporter=StoppableReporter(trials))
        for row, probed in zip(probing.record.probes, probing.cuts, strict=True):
            found.setdefault(row.place, []).append(probed.hits)
            depths[row.place] = row.depth
    hits = {name: np.stack(each) for name, each in found.items()}
    first, *_, last = hits.values()
    points = [
        Point.from_hits(each, x=depths[name], note=said("after %(place)s", place=name)) for name, each in hits.items()
    ]
    return Result(
        x=said("depth of the probe"),
        y=said("accuracy"),
        lines=[Line(name=said("linear probe"), points=points)],
        effects=[
            Effect.from_hits(last - first, what=said("accuracy at the end minus that after the first layer")),
        ],
        notes=[said("`deepenough features RUN` shows the patches that excite each depth.")],
    )
