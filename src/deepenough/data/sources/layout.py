"""The layout of a folder: which of its folders are splits, which are classes, and which are neither."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepenough.data.finding import Finding, PassedOver
from deepenough.data.sources.splits import split_named, splits_among
from deepenough.data.split import TRAIN, UNASSIGNED
from deepenough.data.walk import below, count_files, files_in, subfolders
from deepenough.errors import DeepenoughError
from deepenough.files import printable

DEEPEST = 5
"""Folders that are gone down, each the only one in the one above, in search of classes."""

_FEWEST_CLASSES = 2


@dataclass(frozen=True)
class Place:
    """A folder of images, relative to the root, with its class and split."""

    folder: str
    label: str
    split: int


def places_in(root: Path, passed: PassedOver) -> list[Place]:
    """The class folders of a root, in split folders or not. What is neither goes into `passed`.

    A folder that is named like a split is never a class, but for `train` among classes, which runs on rails. Raises an
    error where images lie in splits without class folders.
    """
    folders = subfolders(root, "", passed)
    splits = splits_among(folders)
    insides = {name: _inside(root, name) for name in splits}
    divided = {name: inside for name, inside in insides.items() if inside[1]}
    others = [name for name in folders if name not in splits]
    _count_loose(root, "", passed, "it lies beside the folders")
    if divided:
        places = _divided(root, divided, splits, others, passed)
    else:
        places = _undivided(root, splits, others, {name: base for name, (base, _) in insides.items()}, passed)
    for name in splits:
        if name not in divided and name not in {place.folder for place in places}:
            _pass_flat(root, name, insides[name][0], passed)
    return places


def _divided(
    root: Path,
    divided: dict[str, tuple[str, list[str]]],
    splits: dict[str, int],
    others: list[str],
    passed: PassedOver,
) -> list[Place]:
    """The classes in split folders; classes beside them where they are those of a training split that is not there."""
    places = []
    for split, (base, _) in divided.items():
        places += [Place(below(base, name), name, splits[split]) for name in subfolders(root, base, passed)]
        _count_loose(root, base, passed, "it lies beside the class folders")
    known = {place.label for place in places}
    beside = TRAIN not in {splits[name] for name in divided} and any(name in known for name in others)
    for name in others:
        if beside:
            places.append(Place(name, name, UNASSIGNED))
        else:
            inside = count_files(root / name)
            passed.add("ignored", name, f"it lies beside the split folders {', '.join(divided)}; {inside} in it")
    return places


def _undivided(
    root: Path, splits: dict[str, int], others: list[str], bases: dict[str, str], passed: PassedOver
) -> list[Place]:
    """The classes of a root without split folders that hold classes; `bases` are where the images of splits lie."""
    places = [Place(name, name, UNASSIGNED) for name in others]
    flat = [base for base in bases.values() if files_in(root, base)]
    if not flat:
        return places
    if [name.lower() for name in splits] == ["train"] and len(others) >= _FEWEST_CLASSES:
        detail = "the name is also that of a split; it holds images without class folders and lies among classes"
        passed.note(Finding("split-like", flat[0], detail, "taken as a class"))
        return [*places, Place(flat[0], flat[0], UNASSIGNED)]
    if len(others) < _FEWEST_CLASSES:
        raise flat_splits(root, flat)
    return places


def flat_splits(root: Path, flat: list[str]) -> DeepenoughError:
    """The error for splits whose images lie in no class folders."""
    counts = " and ".join(f"{printable(name)} (with {_counted(files_in(root, name))})" for name in flat)
    tables = sorted(root.glob("*.csv"))
    table = f"give the table {tables[0]}" if len(tables) == 1 else "give a CSV with the columns path and label"
    return DeepenoughError(
        f"{root}: {counts} {'are splits by their names' if len(flat) > 1 else 'is a split by its name'} and no class, "
        "and the images lie there without class folders; put the images of each class into a folder with the name of "
        f"the class, or {table}; a class that has such a name needs another one"
    )


def _inside(root: Path, split: str) -> tuple[str, list[str]]:
    """The folder whose folders are the classes of a split, and those: `train`, or `train/train`, or `train/images`."""
    base, names = split, subfolders(root, split, PassedOver())
    for _ in range(DEEPEST):
        if len(names) != 1 or files_in(root, base) or not _is_wrapping(names[0], split):
            break
        base = below(base, names[0])
        names = subfolders(root, base, PassedOver())
    return base, names


def _is_wrapping(name: str, split: str) -> bool:
    """True for a folder that says no more than the split folder above it: its name again, or `images`."""
    return name == split or split_named(name) is not None or split_named(f"{name}train") == TRAIN


def _pass_flat(root: Path, name: str, base: str, passed: PassedOver) -> None:
    looked = PassedOver()
    subfolders(root, base, looked)
    if unreadable := [finding for finding in looked.findings() if finding.kind == "unreadable"]:
        for finding in unreadable:
            passed.note(finding)
        return
    files = files_in(root, base)
    examples = f", such as {', '.join(map(printable, files[:3]))}" if files else ""
    detail = f"it is named like a split; {_counted(files)} in it and no class folders{examples}"
    passed.add("ignored", name, detail)


def _counted(files: list[str]) -> str:
    return "1 file" if len(files) == 1 else f"{len(files):,} files"


def _count_loose(root: Path, folder: str, passed: PassedOver, where: str) -> None:
    for name in files_in(root, folder):
        passed.count("ignored", below(folder, name), f"{where}{f' of {folder}' if folder else ''}")
