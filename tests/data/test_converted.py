"""Images for a model that is there already."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepenough.data.converted import prepare_for_model
from deepenough.data.decode import framed
from deepenough.data.sources import open_source
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter


@pytest.fixture
def dim(tmp_path: Path) -> Path:
    """Grey images of 16 bits that use a sixteenth of them."""
    draws = np.random.default_rng(0)
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for number in range(12):
            values = draws.integers(0, 4096, (20, 20)).astype(np.uint16)
            Image.fromarray(values).save(tmp_path / kind / f"{number}.png")
    return tmp_path


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_those_that_a_prediction_sees(dim: Path, channels: int) -> None:
    preprocess = Preprocessing((20, 20), mean=(0.5,) * channels, std=(0.2,) * channels)
    source = open_source(dim)
    images = prepare_for_model(source, preprocess, Reporter())
    assert images.preprocess == preprocess
    every = np.sort(np.concatenate([images.split.train, images.split.validation, images.split.test]))
    assert len(every) == 24
    seen = {framed(path.read_bytes(), preprocess).tobytes() for path in dim.rglob("*.png")}
    assert {np.asarray(images.pixels[row]).tobytes() for row in every} == seen
