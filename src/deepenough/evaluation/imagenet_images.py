"""The validation images of ImageNet with their labels: in class folders, or flat with a label file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.data.finding import NO_IMAGE, ImageError, PassedOver
from deepenough.data.image_file import check_beginning
from deepenough.data.walk import files_below, files_in, subfolders
from deepenough.errors import DeepenoughError
from deepenough.weights.imagenet import wordnet_ids

WORDNET_ID = re.compile(r"n\d{8}")
LABEL_FILES = (".txt", ".csv")
DEVKIT = "meta.mat"
"""The devkit's table of classes: which WordNet id each of ILSVRC's own numbers is."""

EXPECTED = (
    "expected class folders named by WordNet ids (n01440764, ...), or ILSVRC2012_val_*.JPEG files with a .txt or .csv "
    "of lines `filename label` in the folder or beside it, a label being a WordNet id or an index from 0 in their order"
)


@dataclass(frozen=True)
class Labelled:
    """Images and their labels: places in `wordnet_ids()`, 0..999."""

    paths: tuple[Path, ...]
    labels: tuple[int, ...]

    @property
    def classes(self) -> int:
        """The number of classes that have an image."""
        return len(set(self.labels))

    def limited(self, limit: int | None, seed: int) -> Labelled:
        """At most `limit` of the images, drawn by `seed`: as many of each class, or one more."""
        if limit is None or limit >= len(self.paths):
            return self
        if limit < 1:
            raise DeepenoughError(f"limit {limit}: give at least 1 image")
        draws = np.random.default_rng(seed)
        order = draws.permutation(len(self.paths))
        counts: dict[int, int] = {}
        rounds: list[tuple[int, int, int]] = []  # number within its class, place in the draw, row
        for drawn, row in enumerate(order.tolist()):
            label = self.labels[row]
            rounds.append((counts.get(label, 0), drawn, row))
            counts[label] = counts.get(label, 0) + 1
        rows = sorted(row for _, _, row in sorted(rounds)[:limit])
        return Labelled(tuple(self.paths[row] for row in rows), tuple(self.labels[row] for row in rows))


def labelled_images(folder: str | Path, passed: PassedOver | None = None) -> Labelled:
    """The images of an ImageNet validation folder with labels, sorted by path; what is none goes into `passed`."""
    root, passed = Path(folder), PassedOver() if passed is None else passed
    if not root.is_dir():
        raise DeepenoughError(f"{root}: there is no such folder; {EXPECTED}")
    places = {wordnet_id: place for place, wordnet_id in enumerate(wordnet_ids())}
    inside = subfolders(root, "", passed)
    named = [name for name in inside if WORDNET_ID.fullmatch(name)]
    strangers = [name for name in named if name not in places]
    if strangers:
        raise DeepenoughError(
            f"{root}: {', '.join(strangers[:3])} {'is' if len(strangers) == 1 else 'are'} not among the 1,000 "
            "classes of ILSVRC-2012; remove these folders"
        )
    pairs = _in_folders(root, named, places, passed) if named else _flat(root, inside, places, passed)
    if not pairs:
        raise DeepenoughError(f"{root}: no images in it; {EXPECTED}")
    for name in inside:
        if name not in named:
            passed.count("ignored", name, "a folder that is not named by a WordNet id")
    return Labelled(tuple(path for path, _ in pairs), tuple(label for _, label in pairs))


def _in_folders(root: Path, named: list[str], places: dict[str, int], passed: PassedOver) -> list[tuple[Path, int]]:
    """The images below class folders. Files beside these have no class."""
    for name in files_in(root, ""):
        passed.count("ignored", name, "a file beside the folders of classes")
    walked = {(root / name).resolve() for name in named}
    return [
        (path, places[name])
        for name in named
        for folder, files in files_below(root, name, passed, walked)
        for path in _images([root / folder / file for file, _ in files], passed)
    ]


def _images(files: list[Path], passed: PassedOver) -> list[Path]:
    """Those of the files that begin like images; what is wrong with one of them is said when it is decoded."""
    with ThreadPoolExecutor() as pool:
        reasons = list(pool.map(_no_image, files))
    for path, reason in zip(files, reasons, strict=True):
        if reason is not None:
            passed.count(NO_IMAGE, path.name, reason)
    return [path for path, reason in zip(files, reasons, strict=True) if reason is None]


def _no_image(path: Path) -> str | None:
    """The reason why a file is no image; None for an image, whole or not."""
    try:
        check_beginning(path)
    except ImageError as error:
        return error.detail if error.kind == NO_IMAGE else None
    return None


def _flat(root: Path, inside: list[str], places: dict[str, int], passed: PassedOver) -> list[tuple[Path, int]]:
    """The images in the folder itself, with the labels of the first file that has one for each."""
    beside = [root / name for name in files_in(root, "")]
    texts = [path for path in beside if path.suffix.lower() in LABEL_FILES]
    images = _images([path for path in beside if path not in texts and path.name != DEVKIT], passed)
    if not images:
        hint = f"; it has the folders {', '.join(inside[:5])}; give the one with the images" if inside else ""
        raise DeepenoughError(f"{root}: no images in it{hint}; {EXPECTED}")
    above = [root.parent / name for name in files_in(root.parent, "")]
    files = [*texts, *(path for path in above if path.suffix.lower() in LABEL_FILES)]
    reasons = []
    for file in files:
        found = _labels(file, images, places)
        if isinstance(found, str):
            reasons.append(f"{file}: {found}")
            continue
        missing = [path.name for path in images if path not in found]
        if missing:
            raise DeepenoughError(
                f"{file} has no label for {len(missing):,} of the images in {root}, such as {missing[0]}; "
                "add them, or remove the images"
            )
        for text in texts:
            if text != file:
                passed.count(NO_IMAGE, text.name, "a text file without labels of the images")
        return [(path, found[path]) for path in images]
    tried = "".join(f"\n  {reason}" for reason in reasons[:5])
    raise DeepenoughError(f"{root}: {len(images):,} images without labels; {EXPECTED}{tried}")


def _labels(file: Path, images: Iterable[Path], places: dict[str, int]) -> dict[Path, int] | str:
    """The labels that a file gives to images, or why it is no label file."""
    rows = [re.split(r"[\s,;]+", line.strip().strip('"')) for line in _lines(file) if line.strip()]
    if rows and all(len(row) == 1 and row[0].isdigit() for row in rows):
        return _devkit(file, [int(row[0]) for row in rows], list(images), places)
    by_name = {key: path for path in images for key in (path.name, path.stem)}
    found: dict[Path, int] = {}
    for number, (name, *rest) in enumerate(rows, 1):
        path = by_name.get(Path(name).name)
        if path is None or not rest:
            continue  # a heading, or an image that is not here
        label = places.get(rest[0], -1)
        if label < 0 and re.fullmatch(r"\d+", rest[0]):
            label = int(rest[0])
        if not 0 <= label < len(places):
            raise DeepenoughError(
                f"{file}, line {number}: label {rest[0]!r} of {name}; expected one of the 1,000 WordNet ids "
                "(n01440764, ...), or an index from 0 to 999 in their order"
            )
        found[path] = label
    return found or "none of its lines begins with the name of an image"


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8", errors="replace").splitlines()


def _devkit(file: Path, numbers: list[int], images: list[Path], places: dict[str, int]) -> dict[Path, int] | str:
    """Labels of ILSVRC2012_validation_ground_truth.txt: the devkit's own numbers in the order of the images."""
    meta = next((place / DEVKIT for place in (file.parent, file.parent / "data") if (place / DEVKIT).is_file()), None)
    if meta is None:
        return (
            "its lines are the devkit's own class numbers (ILSVRC2012_ID), which are not in the order of the "
            f"WordNet ids that the weights have; put the devkit's data/{DEVKIT}, which translates them, beside it"
        )
    ids = _numbers_of(meta)
    labels: dict[Path, int] = {}
    for path in images:
        place = re.search(r"_val_(\d{8})$", path.stem)
        if place is None or not 1 <= int(place[1]) <= len(numbers):
            return f"{path.name} is not one of its {len(numbers):,} images, ILSVRC2012_val_00000001 and so on"
        number = numbers[int(place[1]) - 1]
        if ids.get(number) not in places:
            return f"{meta} has no class of ILSVRC-2012 with the number {number}"
        labels[path] = places[ids[number]]
    return labels


def _numbers_of(meta: Path) -> dict[int, str]:
    """The devkit's numbers and their WordNet ids."""
    from scipy.io import loadmat

    try:
        table: Any = loadmat(meta, squeeze_me=True)["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in table}
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise DeepenoughError(f"{meta} can't be read as the devkit's table of classes ({error})") from None
