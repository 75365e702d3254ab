"""A model that looks at one patch, because nothing else tells its classes apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from patched import COLOURS, patched
from PIL import Image

from deepenough.data.augment import STRENGTHS
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.model import Model
from deepenough.nets import FAMILIES
from deepenough.training.recipe import Recipe
from deepenough.training.rng import using_threads
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train


@pytest.fixture(scope="session")
def patches_model(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Model:
    """Trained on 240 such images, by a recipe that says all.

    `fit` would measure how to compute a step: where memory is short, a batch goes through in pieces, which gives batch
    norms other statistics, and so another model.
    """
    root = tmp_path_factory.mktemp("patches")
    pixels, labels, _ = patched(240, 0)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = root / "data" / list(COLOURS)[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    images = prepare(open_source(root / "data"))
    network = FAMILIES["residual"].network(input=images.preprocess.shape, classes=len(images.classes), depth=3)
    recipe = Recipe(epochs=12, batch=16, lr=0.1, augment=STRENGTHS["none"], device="cpu")
    split = images.split
    with using_threads(1):
        spec = TrainingSpec(network, recipe, split.train, split.validation, seed=0)
        trained = train(spec, images, root / "training")
    return Model(network, trained.state, images.preprocess, images.classes)
