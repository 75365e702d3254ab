"""Features learned end to end beat classical ones as data grows."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.lab.record import Effect, Line, Result, SeedHits
from deepenough.lab.text import said
from deepenough.lab.trials import Trials, leave_one_seed_out

SIZES = (200, 1_000, 5_000, 20_000)


def classical() -> dict[str, Any]:
    """Scikit-learn's, on pixels or on histograms of gradients (Dalal and Triggs 2005)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import LinearSVC

    return {
        "linear, on pixels": make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=100)),
        "5 nearest neighbours, on pixels": KNeighborsClassifier(5),
        "linear SVM, on HOG": make_pipeline(StandardScaler(), LinearSVC(C=0.01)),
    }


def hog(pixels: Any) -> Any:
    """Nine directions in cells of a quarter of the side."""
    from skimage.feature import hog as of

    cell = max(min(pixels.shape[1:3]) // 4, 2)
    grey = pixels.mean(axis=3)
    return np.stack([of(each, 9, (cell, cell), (2, 2), feature_vector=True) for each in grey])


def measure(trials: Trials) -> Result:
    """Accuracy against the number of images."""
    if find_spec("skimage") is None:
        raise DeepenoughError("learned-features needs scikit-image: pip install 'deepenough[lab]'")
    images, held = trials.images, trials.images.split.validation
    sizes = trials.sizes(SIZES)
    network = trials.residual(1)
    recipe = trials.full_recipe  # half-trained features would lose to what is solved to the end
    found: dict[str, list[SeedHits]] = {"learned": []}
    seen = {
        False: np.asarray(images.pixels[held]).reshape(len(held), -1) / 255.0,
        True: hog(np.asarray(images.pixels[held])),
    }
    for size in sizes:
        found["learned"].append(trials.hits(network, recipe=recipe, count=size))
        for name, model in classical().items():
            hits = []
            for seed in trials.seeds:
                trials.check_stop()
                rows = trials.subset(size, seed)
                pixels = np.asarray(images.pixels[rows])
                given = hog(pixels) if "HOG" in name else pixels.reshape(len(rows), -1) / 255.0
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # an unfinished fit is good enough for a rival
                    model.fit(given, images.labels[rows])
                hits.append((model.predict(seen["HOG" in name]) == images.labels[held]).astype(np.float64))
            found.setdefault(name, []).append(np.stack(hits))
    learned, *rivals = found.values()
    ahead = [learned[end] - leave_one_seed_out([hits[end] for hits in rivals], np.argmax) for end in (0, -1)]
    return Result(
        x=said("training images"),
        y=said("accuracy"),
        log_x=True,
        lines=[Line.from_hits(said(name), sizes, hits) for name, hits in found.items()],
        effects=[
            Effect.from_hits(
                ahead[1], what=said("learned minus the best classical one, on %(many)s images", many=f"{sizes[-1]:,}")
            ),
            Effect.from_hits(
                ahead[1] - ahead[0], what=said("that lead minus the one on %(few)s images", few=f"{sizes[0]:,}")
            ),
        ],
    )
