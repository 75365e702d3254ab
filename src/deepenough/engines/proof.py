"""The proof that an engine gives the logits of torch, by the comparison and the limit that exports are held to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepenough.engines.engine import Engine
from deepenough.frameworks.parity import compare_logits
from deepenough.preprocessing import Preprocessing

PROOF_IMAGES, PROOF_BATCH = 14, 7
"""The number of pictures, and how many of them go through together; the first `PROOF_BATCH` go one by one as well."""


def proof_pixels(preprocess: Preprocessing) -> npt.NDArray[np.uint8]:
    """Pictures uint8 (14, H, W, C) of every kind: noise, strong and weak, even ones from black to white, slopes, fields
    of colour."""
    random = np.random.default_rng(0)
    height, width = preprocess.size
    shape = (height, width, preprocess.channels)
    noise = [random.integers(0, 256, shape) for _ in range(4)]
    weak = [centre + random.integers(-8, 8, shape) for centre in (20, 128, 230)]
    even = [np.full(shape, value) for value in (0, 128, 255)]
    slopes = [np.broadcast_to(np.linspace(0, 255, height)[:, None, None], shape),
              np.broadcast_to(np.linspace(255, 0, width)[None, :, None], shape)]  # fmt: skip
    fields = [
        random.integers(0, 256, (4, 4, shape[2])).repeat(-(-height // 4), 0).repeat(-(-width // 4), 1)[:height, :width]
        for _ in range(2)
    ]
    return np.stack([*noise, *weak, *even, *slopes, *fields]).astype(np.uint8)


def largest_difference(engine: Engine, torch: Engine, preprocess: Preprocessing) -> float:
    """The largest difference from torch's logits, relative to the largest of them, one by one and in batches.

    An answer can be another class only where torch's two best are closer than that, so it says all.
    """
    pixels = proof_pixels(preprocess)
    answers = {
        size: np.concatenate([engine.logits(pixels[at : at + size]) for at in range(0, count, size)])
        for size, count in ((1, PROOF_BATCH), (PROOF_BATCH, PROOF_IMAGES))
    }
    return max(check.difference for check in compare_logits(engine.title, answers, torch.logits(pixels)))
