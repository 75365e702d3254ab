"""Explanations of single images: the prediction, and the evidence for it in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from deepenough.attribution.methods import COMPLETE, heat, shortfall
from deepenough.data.decode import framed, upright
from deepenough.data.sources.unlabelled import images_of
from deepenough.errors import unknown
from deepenough.explain.picture import Panel, draw, drawable
from deepenough.language import gettext as _
from deepenough.language import speaking
from deepenough.model import Model, Prediction, load

WHOLE = 0.98  # of a picture that is seen but for a rounded edge
_LARGEST_SIDE = 1024  # pixels, of the pictures that are kept to be drawn on


@dataclass(frozen=True)
class Explanation:
    """One image, its prediction, and the heat of the predicted class, or of the class `target` that was asked for.

    `image` is upright, at most 1,024 pixels a side; `box` (left, top, right, bottom) is what of it the network saw, in
    its pixels. `heat` is float32 (H, W), the size of the network's input, see `deepenough.attribution.heat`.
    `truth` is the right class where it is known, and `truth_heat` its heat where the prediction is another and no
    `target` was asked for. `off` and `truth_off`, of integrated gradients alone: by what share of the difference of
    logits the sum of the heat misses it.
    """

    image: Image.Image
    box: tuple[float, float, float, float]
    prediction: Prediction
    heat: npt.NDArray[np.float32]
    truth: str | None = None
    truth_heat: npt.NDArray[np.float32] | None = None
    name: str = ""
    target: str | None = None
    off: float | None = None
    truth_off: float | None = None

    @property
    def wrong(self) -> bool:
        """True where the right class is known and is another."""
        return self.truth is not None and self.truth != self.prediction.label

    @property
    def shown(self) -> str:
        """The class that `heat` is of."""
        return self.prediction.label if self.target is None else self.target

    @property
    def seen(self) -> float:
        """The share of the picture that the network saw."""
        left, top, right, bottom = self.box
        return (right - left) * (bottom - top) / (self.image.width * self.image.height)

    @property
    def inexact(self) -> dict[str, float]:
        """The classes whose integrated gradients miss the difference of logits by more than 1%, and by what share."""
        sums = {self.shown: self.off}
        if self.truth_heat is not None and self.truth is not None:
            sums[self.truth] = self.truth_off
        return {label: off for label, off in sums.items() if off is not None and off > COMPLETE}

    def picture(self, language: str | None = None) -> Image.Image:
        """The image, the heat over it, the classes with their probabilities; for a wrong answer also the heat of the
        right class. Where a class was asked for, nothing is said about what is right.

        Args:
            language: "en" or "zh"; by default that of the locale, as far as this machine has letters for it.
        """
        with speaking(drawable(language)):
            return self._drawn()

    def _drawn(self) -> Image.Image:
        panels = [
            Panel(self.image, self.name or _("image")),
            self._panel(self.shown, _("for %(name)s", name=self.shown), self.heat),
        ]
        if self.truth_heat is not None and self.truth is not None:
            caption = _("for %(name)s, the right class", name=self.truth)
            panels.append(self._panel(self.truth, caption, self.truth_heat))
        bars = zip(self.prediction.classes, self.prediction.probabilities, strict=True)
        return draw(panels, list(bars), self.truth if self.target is None else None)

    def _panel(self, label: str, caption: str, warm: npt.NDArray[np.float32]) -> Panel:
        notes = [] if warm.max() > 0 else [_("nothing speaks for %(name)s here", name=label)]
        if label in self.inexact:
            notes.append(_("its sum is off by %(share)s", share=share_text(self.inexact[label])))
        if self.seen < WHOLE:
            notes.append(_("the pale part is cut off before the network sees it"))
        return Panel(self.image, caption, warm, self.box, tuple(notes))


def share_text(off: float) -> str:
    """The share that a sum is off by, as text: 0.0412 as 4.12%."""
    return f"{off:.2%}" if off < 10 else _("more than 1,000%%")  # of a difference of next to nothing


def explain(
    model: Model | str | Path,
    images: Any,
    *,
    method: str = "gradcam",
    layer: str | None = None,
    truth: str | Sequence[str | None] | None = None,
    target: str | None = None,
    top: int = 5,
) -> list[Explanation]:
    """Explain the predictions of a model, or of that of a run.

    Args:
        model: or the folder of a run or of a model.
        images: in any form that `Model.predict` takes.
        method, layer: as in `deepenough.attribution.heat`.
        truth: the right class of the image, or of each.
        target: the class whose heat is wanted, by default the predicted one.
        top: classes of a prediction.

    >>> found, = explain("runs/photos", "new.jpg", truth="shoes")  # doctest: +SKIP
    >>> found.picture().save("new-explained.png")                  # doctest: +SKIP
    """
    model = model if isinstance(model, Model) else load(model)
    many = list(images_of(images, model.preprocess.channels == 1, model.preprocess.value_range))
    truths = [truth] * len(many) if truth is None or isinstance(truth, str) else list(truth)
    for word in (*truths, target):
        if word is not None and word not in model.classes:
            raise unknown("class", word, model.classes)
    if not many:
        return []
    pixels = np.stack([framed(image, model.preprocess) for image in many])
    rows = model.probabilities(pixels)
    predicted = rows.argmax(axis=1)
    wanted = predicted if target is None else np.full_like(predicted, model.classes.index(target))
    maps = _maps(model, pixels, wanted, method, layer)
    right = np.array([int(p) if t is None else model.classes.index(t) for p, t in zip(predicted, truths, strict=True)])
    wrong = np.flatnonzero(right != predicted) if target is None else np.empty(0, np.int64)
    others = dict(zip(wrong.tolist(), _maps(model, pixels[wrong], right[wrong], method, layer), strict=True))
    found = []
    for number, image in enumerate(many):
        picture = upright(image, levels=model.preprocess.levels)
        picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
        warm, off = maps[number]
        truth_warm, truth_off = others.get(number, (None, None))
        found.append(
            Explanation(
                image=picture.convert("RGB"),
                box=model.preprocess.box(picture.width, picture.height),
                prediction=model.rank(rows[number], top),
                heat=warm,
                truth=truths[number],
                truth_heat=truth_warm,
                name=Path(image).name if isinstance(image, (str, Path)) else "",
                target=target,
                off=off,
                truth_off=truth_off,
            )
        )
    return found


def _maps(
    model: Model, pixels: npt.NDArray[np.uint8], wanted: npt.NDArray[np.int64], method: str, layer: str | None
) -> list[tuple[npt.NDArray[np.float32], float | None]]:
    """The heat of the classes `wanted`, one for each image, with what its sum is off by where it should be exact."""
    found = heat(model, pixels, wanted, method, layer)
    exact = method == "integrated-gradients"
    off = shortfall(model, pixels, wanted, found).tolist() if exact else [None] * len(found)
    return list(zip(found, off, strict=True))
