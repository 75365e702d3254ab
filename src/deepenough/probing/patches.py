"""The image patches that excite the strongest channels of a network most, at a few depths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.model import Model
from deepenough.nets import depth
from deepenough.nets.cut import Cut, cut_at, cuts
from deepenough.nets.receptive_field import Field, extents
from deepenough.record import PICTURE_FOLDER
from deepenough.record.pictures import Patches
from deepenough.training.evaluate import evaluation_batch
from deepenough.training.feed import Loader, normalise

DEPTHS, CHANNELS, EXAMPLES = 4, 6, 8
SIDE, GAP = 72, 3  # pixels of a patch in the picture, and between patches
PATCH_IMAGES = 1_000


@dataclass
class _Peaks:
    """The largest value of every channel in every image, and where it is: (images, channels) each."""

    values: list[npt.NDArray[np.float32]]
    places: list[npt.NDArray[np.int64]]
    width: int = 0

    def record(self, module: object, inputs: Any, output: torch.Tensor) -> None:
        values, places = output.flatten(2).max(2)
        self.values.append(values.float().cpu().numpy())
        self.places.append(places.cpu().numpy())
        self.width = output.shape[3]


@torch.inference_mode()
def patches(model: Model, images: Images, rows: Index, run: Path) -> list[Patches]:
    """Save a picture for each of a few depths, spread from the first cut to the last, as PNG files of the run.

    A row of the picture is a channel; its patches are of different images among (a sample of) `rows`, cropped by the
    receptive field. A transformer has none. The strongest channels are those whose peaks rise most above their usual
    values.
    """
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), PATCH_IMAGES)).astype(int)]
    where = extents(model.network)
    places = [c for c in cuts(model.network) if _last(c, where) is not None]
    if not places:  # tokens have no place in the image once they have attended to each other
        return []
    chosen = [places[n] for n in dict.fromkeys(np.linspace(0, len(places) - 1, DEPTHS).round().astype(int).tolist())]
    peaks = [_Peaks([], []) for _ in chosen]
    hooks = [
        model.module.get_submodule(c.path).register_forward_hook(p.record) for c, p in zip(chosen, peaks, strict=True)
    ]
    loader, size = Loader(images, model.device), evaluation_batch(*images.preprocess.size)
    for start in range(0, len(rows), size):
        batch = normalise(loader.raw(rows[start : start + size]), images.preprocess)
        model.module(batch.contiguous(memory_format=torch.channels_last))
    for hook in hooks:
        hook.remove()
    (run / PICTURE_FOLDER).mkdir(exist_ok=True)
    found = []
    for c, peak in zip(chosen, peaks, strict=True):
        field = where[str(_last(c, where))]
        picture, channels = _picture(images, rows, peak, field)
        name = f"{PICTURE_FOLDER}/patches-{c.place}.png"
        picture.save(run / name)
        found.append(
            Patches(
                place=c.place,
                depth=depth(cut_at(model.network, c.place, len(images.classes))),
                receptive_field=field.size,
                channels=channels,
                picture=name,
            )
        )
    return found


def _last(c: Cut, where: dict[str, Field]) -> str | None:
    """The module path that the field of a cut is known by: its own, or that of the last layer of its block."""
    return next((path for path in reversed(list(where)) if path == c.path or path.startswith(f"{c.path}.")), None)


def _picture(images: Images, rows: Index, peak: _Peaks, field: Field) -> tuple[Image.Image, list[int]]:
    values, places = np.concatenate(peak.values), np.concatenate(peak.places)
    spread = values.std(axis=0)
    alive = np.flatnonzero(spread > 0)
    surprise = (values.max(axis=0) - values.mean(axis=0))[alive] / spread[alive]
    channels = alive[np.argsort(-surprise, kind="stable")[:CHANNELS]].tolist()
    step = SIDE + GAP
    sheet = Image.new("RGB", (EXAMPLES * step - GAP, max(len(channels), 1) * step - GAP), "white")
    for line, channel in enumerate(channels):
        best = np.argsort(-values[:, channel], kind="stable")[:EXAMPLES]
        for column, image in enumerate(best.tolist()):
            patch = _patch(np.asarray(images.pixels[rows[image]]), int(places[image, channel]), peak.width, field)
            sheet.paste(patch.resize((SIDE, SIDE), Image.Resampling.BICUBIC), (column * step, line * step))
    return sheet, channels


def _patch(pixels: npt.NDArray[np.uint8], place: int, width: int, field: Field) -> Image.Image:
    """The part of an image that one value sees: a square, moved into the image where it hangs over its border."""
    height, breadth = pixels.shape[:2]
    row, column = divmod(place, width)
    side = min(field.size, height, breadth)
    top, left = (
        int(np.clip(field.first + at * field.jump, 0, whole - side)) for at, whole in ((row, height), (column, breadth))
    )
    cropped = pixels[top : top + side, left : left + side]
    return Image.fromarray(cropped[..., 0] if cropped.shape[-1] == 1 else cropped).convert("RGB")
