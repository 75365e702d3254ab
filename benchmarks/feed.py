"""JPEG photos to augmented, normalised batches on one core: images per second of processor time, in the first epoch
and after it.

    python benchmarks/feed.py PHOTOS [--size 224] [--limit 1500] [--rounds 5] [--batch 64] [--enlarge 1]

PHOTOS is a folder with a folder of JPEG files for each class; `--enlarge 8` makes those of 400x533 pixels as large as a
phone's. Against: the usual pipeline, which opens every photo anew
with Pillow, cuts a random part out, resizes it, flips, normalises (what torchvision's `RandomResizedCrop`,
`RandomHorizontalFlip`, `ToTensor` and `Normalize` do); and the same as a transform of Hugging Face `datasets`, where
that is installed. Ours has to check, decode and cache every photo in its first epoch. Each contender has its turn in a
process of its own, on one core where the system can say so; medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

KINDS = ("ours", "Pillow", "datasets")
LEAST = 0.25  # share of a photo's area that a crop keeps
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def random_crop(image: Image.Image, size: int, draw: np.random.Generator) -> torch.Tensor:
    """A random part of a photo, flipped half the time: float32 (3, size, size), normalised."""
    width, height = image.size
    for _ in range(10):
        area = width * height * draw.uniform(LEAST, 1)
        ratio = np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3)))
        w, h = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if w <= width and h <= height:
            break
    else:
        w, h = width, height
    left, top = draw.integers(width - w + 1), draw.integers(height - h + 1)
    image = image.convert("RGB").crop((left, top, left + w, top + h)).resize((size, size), Image.Resampling.BILINEAR)
    if draw.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float().div(255)
    return (pixels - torch.from_numpy(MEAN).view(3, 1, 1)) / torch.from_numpy(STD).view(3, 1, 1)


def drained(batches: Iterable[torch.Tensor]) -> int:
    """How many images came."""
    return sum(len(batch) for batch in batches)


def ours(photos: Path, size: int, batch: int) -> Callable[[], int]:
    from deepenough.data.augment import Augment
    from deepenough.data.images import prepare
    from deepenough.data.sources import open_source
    from deepenough.training.feed import Feed, Loader
    from deepenough.training.memory import keep_freed_memory

    keep_freed_memory()  # as the command line does
    made: list[Any] = []

    def epoch() -> int:
        if not made:
            images = prepare(open_source(str(photos)), size, cache=tempfile.mkdtemp(dir=photos.parent))
            everything = np.arange(len(images))
            loader = Loader(images, torch.device("cpu"))
            made.append(Feed(loader, everything, batch, Augment(crop=LEAST, flip=True), seed=0))
        return drained(each.images for each in made[0].epoch(0))

    return epoch


def pillow(photos: Path, size: int, batch: int) -> Callable[[], int]:
    paths = sorted(path for path in photos.rglob("*") if path.is_file())
    draw = np.random.default_rng(0)

    def epoch() -> int:
        order = draw.permutation(len(paths))
        return drained(
            torch.stack([random_crop(Image.open(paths[row]), size, draw) for row in order[first : first + batch]])
            for first in range(0, len(order), batch)
        )

    return epoch


def datasets(photos: Path, size: int, batch: int) -> Callable[[], int]:
    import datasets as hf  # type: ignore[import-not-found, import-untyped, unused-ignore]

    hf.disable_progress_bars()
    draw = np.random.default_rng(0)
    kept = tempfile.mkdtemp(dir=photos.parent)  # of this round alone
    table = hf.load_dataset("imagefolder", data_dir=str(photos), split="train", cache_dir=kept)
    table.set_transform(lambda rows: {"image": [random_crop(image, size, draw) for image in rows["image"]]})

    def epoch() -> int:
        shuffled = table.shuffle(seed=0)
        return drained(torch.stack(rows["image"]) for rows in shuffled.iter(batch))

    return epoch


def work(kind: str, photos: Path, size: int, batch: int) -> None:
    """One contender: the images a second of its first epoch and of the next."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    makers = {"ours": ours, "Pillow": pillow, "datasets": datasets}
    rates = []
    began = time.process_time()
    epoch = makers[kind](photos, size, batch)
    for _ in range(2):
        count = epoch()
        rates.append(count / (time.process_time() - began))
        began = time.process_time()
    print(json.dumps(rates))


def chosen(photos: Path, limit: int, enlarge: int, folder: Path) -> Path:
    """Copies of at most `limit` photos, as many of each class as can be, or of so many times their sides."""
    classes = sorted(path for path in photos.iterdir() if path.is_dir())
    for each in classes:
        (folder / each.name).mkdir(parents=True)
        for path in sorted(each.iterdir())[: -(-limit // len(classes))]:
            if enlarge == 1:
                shutil.copy(path, folder / each.name / path.name)
                continue
            with Image.open(path) as photo:
                large = photo.resize((enlarge * photo.width, enlarge * photo.height), Image.Resampling.BICUBIC)
                large.convert("RGB").save(folder / each.name / path.name, "JPEG", quality=90)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--limit", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--enlarge", type=int, default=1)
    parser.add_argument("--worker", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.photos, given.size, given.batch)
        return
    seen: dict[str, list[list[float]]] = {kind: [] for kind in KINDS if kind != "datasets" or find_spec("datasets")}
    with tempfile.TemporaryDirectory() as folder:
        photos = chosen(given.photos, given.limit, given.enlarge, Path(folder) / "photos")
        for _ in range(given.rounds):
            for kind, rates in seen.items():
                words = [sys.executable, __file__, str(photos), f"--size={given.size}", f"--batch={given.batch}"]
                answer = subprocess.run([*words, "--worker", kind], stdout=subprocess.PIPE, text=True, check=True)
                rates.append(json.loads(answer.stdout.splitlines()[-1]))
                print(
                    f"{kind}: {rates[-1][0]:,.0f} images/s in the first epoch, {rates[-1][1]:,.0f} after it", flush=True
                )
    medians = {kind: [statistics.median(column) for column in zip(*rates, strict=True)] for kind, rates in seen.items()}
    for kind, (first, later) in medians.items():
        print(
            f"| {kind} | {first:,.0f} | {later:,.0f} | ours {medians['ours'][0] / first:.2f} and "
            f"{medians['ours'][1] / later:.2f} times as many |"
        )


if __name__ == "__main__":
    main()
