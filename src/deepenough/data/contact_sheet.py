"""Augmentation to look at and to keep: a contact sheet, and an enlarged data set in a folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from deepenough.data.augment import Augment, apply
from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.errors import DeepenoughError
from deepenough.files import check_new
from deepenough.fonts import fitting, font

_READABLE, _GAP, _CAPTION = 96, 6, 18  # pixels
_BATCH_BYTES = 64 * 2**20  # of float32 pixels


def contact_sheet(images: Images, policy: Augment, *, seed: int, rows: int = 8, columns: int = 8) -> Image.Image:
    """An RGB picture of `rows` training images, spread over the classes: the original with its class name, then
    `columns` - 1 augmented versions, each of another epoch.

    Small images are enlarged by whole factors without smoothing. With mixup or cutmix, a row is mixed with another row.
    """
    picked = _spread(images, rows, seed)
    shown = [images.pixels[picked], *(_augmented(images, policy, picked, seed, epoch) for epoch in range(columns - 1))]
    height, width = images.pixels.shape[1:3]
    factor = max(1, -(-_READABLE // max(height, width)))
    cell_y, cell_x = height * factor + _CAPTION + _GAP, width * factor + _GAP
    sheet = Image.new("RGB", (columns * cell_x + 2 * _GAP, len(picked) * cell_y + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for column, batch in enumerate(shown):
        left = _GAP + column * cell_x + _GAP * (column > 0)  # a wider gap after the originals
        for row, pixels in enumerate(batch):
            picture = _picture(pixels).resize((width * factor, height * factor), Image.Resampling.NEAREST)
            sheet.paste(picture, (left, _GAP + row * cell_y + _CAPTION))
    for row, number in enumerate(picked):
        name = fitting(images.classes[images.labels[number]], 12, width * factor)
        draw.text((_GAP, _GAP + row * cell_y + 1), name, fill="black", font=font(name, 12))
    return sheet


def enlarge(
    images: Images,
    policy: Augment,
    times: int,
    out: Path,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write every training image and `times` augmented versions of it as `out`/class/name-0.png, -1.png, ...

    -0 is the original at the prepared size. Validation and test images are not enlarged. Mixup and cutmix are switched
    off, since the label would be a mix. Returns the number of files. `progress` is called with (done, total) files.
    Raises DeepenoughError for `times` below 1 and for an `out` that is a file or not empty.
    """
    if times < 1:
        raise DeepenoughError(f"--times {times}: expected 1 or more")
    check_new(out)
    policy = replace(policy, mixup=0.0, cutmix=0.0)
    folders = _unique(list(images.classes))
    for folder in folders:
        (out / folder).mkdir(parents=True, exist_ok=True)
    train = images.split.train
    stems = _unique([images.names[int(number)] for number in train])
    at_once = max(1, min(256, _BATCH_BYTES // (4 * int(np.prod(images.pixels.shape[1:])))))
    done, total = 0, len(train) * (times + 1)
    for start in range(0, len(train), at_once):
        numbers = train[start : start + at_once]
        for version in range(times + 1):
            batch = (
                _augmented(images, policy, numbers, seed, version - 1)
                if version
                else np.asarray(images.pixels[numbers])
            )
            for number, stem, pixels in zip(numbers, stems[start : start + at_once], batch, strict=True):
                _picture(pixels).save(out / folders[images.labels[number]] / f"{stem}-{version}.png")
            done += len(numbers)
            if progress is not None:
                progress(done, total)
    return done


def _augmented(images: Images, policy: Augment, numbers: Index, seed: int, epoch: int) -> NDArray[np.uint8]:
    """The images of `numbers` as `epoch` sees them: uint8 (N, H, W, C)."""
    batch = torch.from_numpy(np.array(images.pixels[numbers])).permute(0, 3, 1, 2).float() / 255
    targets = torch.nn.functional.one_hot(torch.from_numpy(images.labels[numbers]), len(images.classes)).float()
    changed, _ = apply(policy, batch, targets, seed=seed, epoch=epoch, index=numbers)
    pixels: NDArray[np.uint8] = (changed * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels


def _spread(images: Images, count: int, seed: int) -> Index:
    """`count` training images at most: one of every class in turn; where classes are more, evenly spread over them."""
    train = np.random.default_rng(seed).permutation(images.split.train)
    of = {label: train[images.labels[train] == label] for label in np.unique(images.labels[train])}
    labels = list(of)
    if len(labels) > count:
        labels = [labels[place * len(labels) // count] for place in range(count)]
    longest = max(len(of[label]) for label in labels)
    ranked = [(label, rank) for rank in range(longest) for label in labels if rank < len(of[label])][:count]
    return np.array([of[label][rank] for label, rank in sorted(ranked)], np.int64)


def _picture(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _unique(names: list[str]) -> list[str]:
    """Safe as file names on all systems, and different from each other, also where case does not count."""
    taken: set[str] = set()
    safe = []
    for name in names:
        short = re.sub(r"[^\w. -]+", "_", re.sub(r"\.(png|jpe?g|webp|bmp|gif|tiff?)$", "", name, flags=re.I))
        stem = short.strip(". ").encode()[-120:].decode(errors="ignore") or "_"
        unique, number = stem, 2
        while unique.casefold() in taken:
            unique, number = f"{stem}_{number}", number + 1
        taken.add(unique.casefold())
        safe.append(unique)
    return safe
