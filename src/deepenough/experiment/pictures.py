"""The pictures beside a record: mistakes and right answers, with heat where the network looked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepenough.attribution.methods import has_captum, heat
from deepenough.attribution.overlay import overlay
from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.model import Model
from deepenough.record import PICTURE_FOLDER
from deepenough.record.pictures import Example, Mistake

MOST_MISTAKES = 24
MOST_CLASSES = 100
HEATED_SIDE = 112  # pixels that pictures with heat have at least, so that the heat is smooth on small images
QUALITY = 90  # of JPEG, a tenth of the bytes of PNG where there is heat


Probabilities = npt.NDArray[np.float32]


def mistakes(images: Images, index: Index, probabilities: Probabilities, run: Path, model: Model) -> list[Mistake]:
    """Save the most confident mistakes among the images `index`, most confident first, as PNG files of the run."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != images.labels[index])
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_MISTAKES]
    if not len(worst):
        return []
    (run / PICTURE_FOLDER).mkdir(exist_ok=True)
    pixels = np.asarray(images.pixels[index[worst]])
    truth = images.labels[index[worst]]
    found = []
    for number, row in enumerate(worst):
        name = f"{PICTURE_FOLDER}/mistake-{number:02}.png"
        picture(pixels[number]).save(run / name)
        found.append(
            Mistake(
                name=images.names[int(index[row])],
                truth=images.classes[int(truth[number])],
                predicted=images.classes[int(predicted[row])],
                confidence=float(confidence[row]),
                picture=name,
            )
        )
    if has_captum():
        for word, field, targets in (("heat", "heat", predicted[worst]), ("truth", "truth_heat", truth)):
            for number, warm in enumerate(heat(model, pixels, targets)):
                name = f"{PICTURE_FOLDER}/mistake-{number:02}-{word}.jpg"
                heated(pixels[number], warm).save(run / name, quality=QUALITY)
                setattr(found[number], field, name)
    return found


def examples(images: Images, index: Index, probabilities: Probabilities, run: Path, model: Model) -> list[Example]:
    """Save a rightly classified image of every class (of the first 100), plain and with heat where the network looked.

    Of the right ones it is that whose confidence is the median. None without Captum.
    """
    labels, confidence = images.labels[index], probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    if not has_captum() or not right.any():
        return []
    rows = []
    for label in range(min(len(images.classes), MOST_CLASSES)):
        own = np.flatnonzero(right & (labels == label))
        if len(own):
            rows.append(own[np.argsort(confidence[own], kind="stable")[len(own) // 2]])
    chosen = np.array(rows, np.int64)
    pixels = np.asarray(images.pixels[index[chosen]])
    (run / PICTURE_FOLDER).mkdir(exist_ok=True)
    found = []
    for row, own_pixels, warm in zip(chosen, pixels, heat(model, pixels, labels[chosen]), strict=True):
        stem = f"{PICTURE_FOLDER}/class-{int(labels[row]):03}"
        picture(own_pixels).save(run / f"{stem}.png")
        heated(own_pixels, warm).save(run / f"{stem}-heat.jpg", quality=QUALITY)
        found.append(
            Example(
                name=images.names[int(index[row])],
                truth=images.classes[int(labels[row])],
                confidence=float(confidence[row]),
                picture=f"{stem}.png",
                heat=f"{stem}-heat.jpg",
            )
        )
    return found


def picture(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Pixels uint8 (H, W, C) as a picture."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def heated(pixels: npt.NDArray[np.uint8], warm: npt.NDArray[np.float32]) -> Image.Image:
    """The picture with the heat over it, enlarged by a whole number where it is small."""
    own = picture(pixels).convert("RGB")
    times = max(-(-HEATED_SIDE // min(own.size)), 1)
    own = own.resize((own.width * times, own.height * times), Image.Resampling.NEAREST)
    over = overlay(warm, own.size, (0, 0, *own.size))
    own.paste(over, (0, 0), over)
    return own
