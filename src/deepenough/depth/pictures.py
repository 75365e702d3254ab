"""The pictures that go with a record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepenough.data import Images
from deepenough.files import printable
from deepenough.record import Mistake

FOLDER = "pictures"
MOST = 24


def mistakes(
    images: Images, index: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32], run: Path
) -> list[Mistake]:
    """Save the most confident mistakes among the images `index`, most confident first, as PNG files of the run."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != images.labels[index])
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST]
    (run / FOLDER).mkdir(exist_ok=True)
    found = []
    for number, row in enumerate(worst):
        pixels = np.asarray(images.pixels[index[row]])
        name = f"{FOLDER}/mistake-{number:02}.png"
        Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(run / name)
        found.append(
            Mistake(
                name=printable(images.names[int(index[row])]),
                truth=images.classes[int(images.labels[index[row]])],
                predicted=images.classes[int(predicted[row])],
                confidence=float(confidence[row]),
                picture=name,
            )
        )
    return found
