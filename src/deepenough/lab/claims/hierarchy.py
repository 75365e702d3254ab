"""Features go from edges to parts: what a linear probe can tell grows with depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepenough.lab.bench import Bench, Watchful
from deepenough.lab.record import Effect, Hits, Line, Point, Seen, judged
from deepenough.model import Model
from deepenough.nets import FAMILIES
from deepenough.probing.probe import probe_weights
from deepenough.search.question import Question
from deepenough.weights import Weights


def measure(bench: Bench) -> Seen:
    """A probe at every place of a trained network, on the validation images, which it has not seen."""
    family, images = FAMILIES["residual"], bench.images
    depth = family.depth_of(2, bench.input)
    network = family.network(bench.input, bench.classes, depth=depth, width=0.5 if bench.quick else 1.0)
    split = replace(images.split, train=images.split.validation, validation=np.empty(0, np.int64))
    unseen, p = replace(images, split=split), images.preprocess
    found: dict[str, list[Hits]] = {}
    depths: dict[str, int] = {}
    for seed in bench.seeds:
        trained = bench.train(network, seed)
        state = Model(network, trained.state, p, images.classes).module.state_dict()
        weights = Weights(network.name, "the lab", network, state, p, f"{network.name}-{seed}-{bench.folder}", None)
        probing = probe_weights(weights, unseen, Question(seed=seed), reporter=Watchful(bench))
        for row, probed in zip(probing.record.probes, probing.cuts, strict=True):
            found.setdefault(row.place, []).append(probed.hits)
            depths[row.place] = row.depth
    hits = {name: np.stack(each) for name, each in found.items()}
    first, *_, last = hits.values()
    points = [Point(x=depths[name], note=f"after {name}", **judged(each)) for name, each in hits.items()]
    return Seen(
        x="depth of the probe",
        y="accuracy",
        lines=[Line(name="linear probe", points=points)],
        effects=[
            Effect(what="accuracy at the end less after the first layer", **judged(last - first)),
        ],
        notes=["`deepenough features RUN` shows the patches that excite each depth."],
    )
