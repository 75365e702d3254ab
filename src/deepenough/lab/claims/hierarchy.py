"""Features go from edges to parts: what a linear probe can tell grows with depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepenough.depth.sound import sound
from deepenough.lab.bench import Bench, less
from deepenough.lab.record import Effect, Line, Point, Seen
from deepenough.model import Model
from deepenough.nets import FAMILIES
from deepenough.nets.weights import Weights
from deepenough.nets.weights.inputs import Input


def measure(bench: Bench) -> Seen:
    """A probe at every place of a trained network, on the validation images, which it has not seen."""
    family, images = FAMILIES["residual"], bench.images
    depth = family.depth_of(2, bench.input)
    network = family.network(bench.input, bench.classes, depth=depth, width=0.5 if bench.quick else 1.0)
    split = replace(images.split, train=images.split.validation, validation=np.empty(0, np.int64))
    unseen, p = replace(images, split=split), images.preprocess
    own = Input(p.size, p.shorter, p.interpolation, p.order, p.mean, p.std)
    places: dict[str, list[float]] = {}
    depths: dict[str, int] = {}
    for seed in bench.seeds:
        trained = bench.train(network, seed)
        state = Model(network, trained.state, p, images.classes).module.state_dict()
        weights = Weights(network.name, "the lab", network, state, own, f"{network.name}-{seed}-{bench.folder}", None)
        for place in sound(weights, unseen, seed=seed).record.places:
            places.setdefault(place.place, []).append(place.accuracy.value)
            depths[place.place] = place.depth
    points = [Point(x=depths[name], values=values, note=f"after {name}") for name, values in places.items()]
    return Seen(
        x="depth of the probe",
        y="accuracy",
        lines=[Line(name="linear probe", points=points)],
        effects=[
            Effect(
                what="accuracy at the end less after the first layer", values=less(points[-1].values, points[0].values)
            )
        ],
        notes=["`deepenough features RUN` shows the patches that excite each depth."],
    )
