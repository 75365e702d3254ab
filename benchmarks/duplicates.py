"""Planted copies that the audit finds, and pairs of different pictures that it takes for copies.

    python benchmarks/duplicates.py SET [SET ...] [--side 64] [--most 10000] [--planted 150] [--seed 0]

SET is anything that `deepenough fit` reads. Of every transformation `--planted` copies of images of their own are put
among at most `--most` images of the set (evenly spaced), as PNG or JPEG files in memory, and all of them are prepared
as for a training. A copy is found when it is in its original's group. False pairs are pairs of one group that come
from two images of the set, counted in a run without copies; some sets do hold the same picture twice, so `--show
FOLDER` writes each such pair side by side for a look. `--side`: photos are scaled to this shorter side (pixels) first;
0 leaves them as they are. All draws come from the seed.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from deepenough.data.decode import upright
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.data.sources.base import Raw, Source
from deepenough.data.split import UNASSIGNED

Draw = np.random.Generator
GREY = "grey saved as RGB"  # of grey sets only
SHARE = 0.05  # of each side that a crop takes away and a border adds


class Planted(Source):
    """Encoded images in memory, nearly all of one class, so that hardly any is left out for its label.

    A copy has the class of its original.
    """

    mirror = True

    def __init__(self, files: Sequence[bytes], origins: Sequence[int]) -> None:
        self.files = files
        self.name = self.stamp = "planted"
        self.classes = ("most", "few")
        self.labels = (np.array(origins, np.int64) % 100 == 0).astype(np.int64)
        self.splits = np.full(len(files), UNASSIGNED, np.int8)
        self.names = [str(row) for row in range(len(files))]

    def read(self, row: int) -> Raw:
        return self.files[row]


def encoded(picture: Image.Image, quality: int | None = None) -> bytes:
    """A PNG file, or a JPEG file of this quality."""
    file = io.BytesIO()
    if quality is None:
        picture.save(file, "PNG", compress_level=1)
    else:
        picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    size = (max(round(picture.width * factor), 1), max(round(picture.height * factor), 1))
    return picture.resize(size, Image.Resampling.LANCZOS)


def cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Without these shares of the width and height."""
    width, height = picture.size
    box = (round(left * width), round(top * height), width - round(right * width), height - round(bottom * height))
    return picture.crop(box)


def bordered(picture: Image.Image, draw: Draw, share: float = SHARE) -> Image.Image:
    """Within a frame of black, white or any one colour."""
    colour = [(0,) * 3, (255,) * 3, tuple(draw.integers(0, 256, 3).tolist())][int(draw.integers(3))]
    fill = colour if picture.mode == "RGB" else colour[0]
    return ImageOps.expand(picture, tuple(max(round(share * side), 1) for side in picture.size), fill)


def corner(picture: Image.Image, draw: Draw) -> Image.Image:
    """Without 5% of the width and of the height, somewhere."""
    x, y = draw.uniform(0, SHARE, 2)
    return cropped(picture, x, y, SHARE - x, SHARE - y)


TRANSFORMATIONS: dict[str, Callable[[Image.Image, Draw], bytes]] = {
    "JPEG, quality 50 to 95": lambda p, d: encoded(p, int(d.integers(50, 96))),
    GREY: lambda p, d: encoded(p.convert("L").convert("RGB")),
    "resized by 0.5 to 2": lambda p, d: encoded(scaled(p, 2 ** float(d.uniform(-1, 1))), 90),
    "mirrored": lambda p, d: encoded(ImageOps.mirror(p), 90),
    "mirrored, PNG": lambda p, d: encoded(ImageOps.mirror(p)),
    "10% brighter": lambda p, d: encoded(p.point(lambda v: min(round(1.1 * v), 255)), 90),
    "10% darker": lambda p, d: encoded(p.point(lambda v: round(0.9 * v)), 90),
    "cropped by 5% a side": lambda p, d: encoded(cropped(p, *(SHARE,) * 4), 90),
    "cropped to 95%, anywhere": lambda p, d: encoded(corner(p, d), 90),
    "border of 5% a side": lambda p, d: encoded(bordered(p, d), 90),
    "border of 2.5% a side": lambda p, d: encoded(bordered(p, d, SHARE / 2), 90),
    "mirrored, cropped and brighter": lambda p, d: encoded(
        ImageOps.mirror(corner(p, d)).point(lambda v: min(round(1.1 * v), 255)), 80
    ),
}


def pictures(given: str, most: int, side: int) -> list[Image.Image]:
    """At most `most` upright images of a source, evenly spaced."""
    source = open_source(given)
    rows = np.unique(np.linspace(0, len(source) - 1, min(most, len(source))).astype(int))
    found = [upright(source.read(int(row))) for row in rows]
    if not side:
        return found
    return [scaled(picture, side / min(picture.size)) if min(picture.size) > side else picture for picture in found]


def grouped(files: Sequence[bytes], origins: Sequence[int]) -> tuple[NDArray[np.int64], float]:
    """The group of each file, -1 less its number where it was left out, and the seconds of looking for duplicates."""
    marks: dict[str, list[float]] = {}

    def note(done: float, total: float, what: str) -> None:
        marks.setdefault(what, []).append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        images = prepare(Planted(files, origins), size=32, cache=folder, progress=note)
    looked = marks["looking for duplicates"]
    groups = -1 - np.arange(len(files))
    groups[[int(name) for name in images.names]] = images.groups
    return groups, looked[-1] - looked[0]


def false_pairs(groups: NDArray[np.int64], origins: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Pairs of rows of one group whose pictures come from different images of the set, neighbours in the group."""
    order = np.argsort(groups, kind="stable")
    found = []
    for first, second in zip(order[:-1].tolist(), order[1:].tolist(), strict=True):
        if groups[first] == groups[second] and origins[first] != origins[second]:
            found.append((first, second))
    return found


def measure(given: str, asked: argparse.Namespace) -> None:
    """Print one set's table."""
    base = pictures(given, asked.most, asked.side)
    names = [name for name in TRANSFORMATIONS if name != GREY or all(picture.mode == "L" for picture in base)]
    draw = np.random.default_rng(asked.seed)
    chosen = draw.permutation(len(base))[: asked.planted * len(names)]
    files = [encoded(picture) for picture in base]
    groups, seconds = grouped(files, range(len(base)))
    pairs = false_pairs(groups, np.arange(len(base)))
    rate = 1000 * len(pairs) / len(base)
    print(f"\n{given}: {len(base):,} images, side {asked.side or 'as it is'}, audit {seconds:.2f} s")
    print(f"| pairs in one group without copies | {len(pairs)} ({rate:.2f} per 1,000) |")
    if asked.show is not None:
        asked.show.mkdir(parents=True, exist_ok=True)
        for first, second in pairs:
            both = Image.new("RGB", (520, 256))
            for at, row in enumerate((first, second)):
                both.paste(base[row].convert("RGB").resize((256, 256)), (264 * at, 0))
            both.save(asked.show / f"{first}-{second}.png")
    origins = list(range(len(base)))
    planted: dict[str, list[tuple[int, int]]] = {name: [] for name in names}
    for number, origin in enumerate(chosen.tolist()):
        name = names[number % len(names)]
        planted[name].append((origin, len(files)))
        origins.append(origin)
        files.append(TRANSFORMATIONS[name](base[origin], draw))
    groups, _ = grouped(files, origins)
    for name, copies in planted.items():
        found = sum(int(groups[origin] == groups[copy]) for origin, copy in copies)
        print(f"| {name} | {found} of {len(copies)} |")
    wrong = false_pairs(groups, np.array(origins))
    print(f"| pairs in one group with copies | {len(wrong)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+")
    parser.add_argument("--side", type=int, default=0)
    parser.add_argument("--most", type=int, default=10_000)
    parser.add_argument("--planted", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=Path)
    asked = parser.parse_args()
    for given in asked.sets:
        measure(given, asked)


if __name__ == "__main__":
    main()
