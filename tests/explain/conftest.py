"""A model that looks at one patch, because nothing else tells its classes apart."""

from __future__ import annotations

from pathlib import Path

import pytest
from patched import COLOURS, patched
from PIL import Image

from deepenough.model import Model, load


@pytest.fixture(scope="session")
def patches_model(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Model:
    """Trained by `fit` on 240 such images."""
    from deepenough import fit

    root = tmp_path_factory.mktemp("patches")
    pixels, labels, _ = patched(240, 0)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        folder = root / "data" / list(COLOURS)[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    run = fit(
        root / "data", out=root / "run", folds=1, epochs=12, batch=16, lr=0.1, max_depth=3, threads=1, augment="none"
    )
    return load(run.folder)
