"""Heat as a picture that lies over the image."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image

SHADE, SHADE_ALPHA = 255, 150  # white over what the network did not see


def overlay(
    heat: npt.NDArray[np.float32], size: tuple[int, int], box: tuple[float, float, float, float]
) -> Image.Image:
    """The heat as an RGBA picture of `size` (width, height), clear where nothing speaks for the class.

    Outside of the `box` that the network saw it is shaded.
    """
    warm = np.clip(heat, 0, None)
    warm = warm / warm.max() if warm.max() > 0 else warm
    left, top, right, bottom = (round(edge) for edge in box)
    inner = Image.fromarray(warm.astype(np.float32)).resize(
        (max(right - left, 1), max(bottom - top, 1)), Image.Resampling.BICUBIC
    )
    shares = np.zeros((size[1], size[0]), np.float32)
    part = np.clip(np.asarray(inner), 0, 1)
    seen = np.s_[max(top, 0) : bottom, max(left, 0) : right]
    shares[seen] = part[: size[1] - top, : size[0] - left]
    unseen = np.ones_like(shares, bool)
    unseen[seen] = False
    colours = palette()[(255 * shares).astype(np.uint8)]
    alpha = (230 * shares**0.7).astype(np.uint8)
    colours[unseen], alpha[unseen] = SHADE, SHADE_ALPHA
    return Image.fromarray(np.dstack([colours, alpha]))


@cache
def palette() -> npt.NDArray[np.uint8]:
    """256 colours from dark to bright, of equal perceptual steps: uint8 (256, 3)."""
    from plotly.colors import sample_colorscale, unlabel_rgb

    shades = sample_colorscale("Inferno", list(np.linspace(0, 1, 256)))
    return np.array([unlabel_rgb(shade) for shade in shades]).round().astype(np.uint8)
