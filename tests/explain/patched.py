"""Images whose class is told by one patch, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE, PATCH = 32, 8
COLOURS = {"blue": (30, 60, 220), "green": (40, 200, 60), "red": (220, 40, 40)}


def patched(count: int, seed: int) -> tuple[Any, Any, Any]:
    """Noise with a square of its class's colour pasted somewhere: pixels (N, 32, 32, 3), labels, corners (N, 2)."""
    draws = np.random.default_rng(seed)
    pixels = draws.integers(60, 180, (count, SIDE, SIDE, 3), dtype=np.uint8)
    labels = draws.integers(0, len(COLOURS), count)
    corners = draws.integers(0, SIDE - PATCH, (count, 2))
    for image, label, (y, x) in zip(pixels, labels, corners, strict=True):
        image[y : y + PATCH, x : x + PATCH] = list(COLOURS.values())[label]
    return pixels, labels, corners
