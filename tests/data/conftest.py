from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from published_sets_server import alone, server  # noqa: F401 (fixtures)

Photo = Callable[..., Image.Image]


@pytest.fixture
def photo() -> Photo:
    """Makes pictures with coarse structure, a different one for each seed, that survive re-encoding and resizing."""

    def make(seed: int, width: int = 120, height: int = 96) -> Image.Image:
        small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)

    return make


@pytest.fixture
def two_classes(tmp_path: Path, photo: Photo) -> Path:
    """A folder of two classes with 12 photos each."""
    root = tmp_path / "photos"
    for row, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for number in range(12):
            photo(100 * row + number).save(root / name / f"{number:02}.png")
    return root
