"""Explanations of single images: what was predicted, and what in the image spoke for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepenough.attribution import heat
from deepenough.data import ImageLike
from deepenough.data.decode import upright
from deepenough.errors import unknown
from deepenough.explain.picture import Panel, draw
from deepenough.model import Model, Prediction, load

LARGEST = 1024  # side (pixels) of the pictures that are kept to be drawn on


@dataclass(frozen=True)
class Explanation:
    """One image, its prediction, and the heat of the predicted class.

    `image` is upright, at most 1,024 pixels a side; `box` (left, top, right, bottom) is what of it the network saw, in
    its pixels. `heat` is float32 (H, W), the size of the network's input, see `deepenough.attribution.heat`.
    `truth` is the right class where it is known, and `truth_heat` its heat where the prediction is another.
    """

    image: Image.Image
    box: tuple[float, float, float, float]
    prediction: Prediction
    heat: npt.NDArray[np.float32]
    truth: str | None = None
    truth_heat: npt.NDArray[np.float32] | None = None
    name: str = ""

    @property
    def wrong(self) -> bool:
        """Whether the right class is known and is another."""
        return self.truth is not None and self.truth != self.prediction.label

    def picture(self) -> Image.Image:
        """The image, the heat over it, the classes with their probabilities; for a wrong answer also the heat of the
        right class."""
        panels = [Panel(self.image, self.name or "image")]
        panels.append(Panel(self.image, f"for {self.prediction.label}", self.heat, self.box))
        if self.truth_heat is not None:
            panels.append(Panel(self.image, f"for {self.truth}, which it is", self.truth_heat, self.box))
        bars = zip(self.prediction.classes, self.prediction.probabilities, strict=True)
        return draw(panels, list(bars), self.truth)


def explain(
    model: Model | str | Path,
    images: ImageLike | Iterable[ImageLike],
    *,
    method: str = "gradcam",
    layer: str | None = None,
    truth: str | Sequence[str | None] | None = None,
    top: int = 5,
) -> list[Explanation]:
    """What a model, or that of a run, looked at in images: paths, file contents, PIL images or uint8 arrays.

    `method` and `layer` as in `deepenough.attribution.heat`. `truth`: the right class of the image, or of each.

    >>> found, = explain("runs/photos", "new.jpg", truth="shoes")  # doctest: +SKIP
    >>> found.picture().save("new-explained.png")                  # doctest: +SKIP
    """
    model = model if isinstance(model, Model) else load(model)
    many = [images] if isinstance(images, (str, Path, bytes, Image.Image, np.ndarray)) else list(images)
    truths = [truth] * len(many) if truth is None or isinstance(truth, str) else list(truth)
    for word in truths:
        if word is not None and word not in model.classes:
            raise unknown("class", word, model.classes)
    if not many:
        return []
    pixels = np.stack([model.preprocess.pixels(image) for image in many])
    rows = model.probabilities(pixels)
    predicted = rows.argmax(axis=1)
    heats = heat(model, pixels, predicted, method, layer)
    right = np.array([int(p) if t is None else model.classes.index(t) for p, t in zip(predicted, truths, strict=True)])
    wrong = np.flatnonzero(right != predicted)
    others = dict(zip(wrong.tolist(), heat(model, pixels[wrong], right[wrong], method, layer), strict=True))
    found = []
    for number, image in enumerate(many):
        picture = upright(image)
        picture.thumbnail((LARGEST, LARGEST))
        found.append(
            Explanation(
                image=picture.convert("RGB"),
                box=model.preprocess.framing.box(picture.width, picture.height),
                prediction=model.rank(rows[number], top),
                heat=heats[number],
                truth=truths[number],
                truth_heat=others.get(number),
                name=Path(image).name if isinstance(image, (str, Path)) else "",
            )
        )
    return found
