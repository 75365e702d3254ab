"""The data files of a folder, such as Parquet files and tar shards, with the splits that folders and names tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepenough.data.finding import PassedOver
from deepenough.data.sources.splits import split_of_file, splits_among
from deepenough.data.split import UNASSIGNED
from deepenough.data.walk import below, files_in, subfolders

_METADATA = "metadata"
"""The name, without its ending, of the table that Hugging Face's imagefolder has beside images: no data file."""

CLASS_LISTS = ("classes.txt", "classnames.txt", "labels.txt")
"""The names of a list of classes that may lie beside data files, the first there is being taken."""

_DEEPEST = 3


@dataclass(frozen=True)
class DataFile:
    """A file and the split of what is in it; `label` is its path below the folder that was given."""

    path: Path
    split: int
    label: str


def data_files(given: Path, ending: str, passed: PassedOver) -> list[DataFile]:
    """A file itself, or the files of a folder with this ending, in order.

    They lie in the folder, in split folders or in `data` below it, as Hugging Face puts them, or in the only folder
    below it. Whatever lies beside them goes into `passed`.
    """
    if not given.is_dir():
        return [DataFile(given, split_of_file(given.name), given.name)]
    return _in_folder(given, "", ending, passed)


def is_folder_of(folder: Path, ending: str, *, among_folders: bool) -> bool:
    """True for a folder of such files, but not for class folders that such a file, or one called `data`, is among.

    `among_folders`: files in the folder itself count although there are other folders beside them.
    """
    found = _in_folder(folder, "", ending, PassedOver())
    folders = subfolders(folder, "", PassedOver())
    splits = splits_among(folders)
    used = {file.label.partition("/")[0] for file in found}
    if any(name not in used and subfolders(folder, name, PassedOver()) for name in splits):
        return False
    alone = len(folders) - len(splits) < 2
    return bool(found) and (alone or (among_folders and any("/" not in file.label for file in found)))


def _in_folder(root: Path, folder: str, ending: str, passed: PassedOver, depth: int = 0) -> list[DataFile]:
    names = subfolders(root, folder, passed)
    splits = splits_among(names)
    found = _files(root, folder, ending, UNASSIGNED, passed)
    for name, split in splits.items():
        found += _files(root, below(folder, name), ending, split, passed)
    used = set(splits) if found else set()
    if not found and depth < _DEEPEST:
        down = next((name for name in names if name.lower() == "data"), names[0] if len(names) == 1 else None)
        if down is not None:
            found = _in_folder(root, below(folder, down), ending, passed, depth + 1)
            used.add(down)
    for name in names if found else ():
        if name not in used:
            passed.add("ignored", below(folder, name), f"it lies beside the {ending} files")
    return sorted(found, key=lambda file: file.label)


def _files(root: Path, folder: str, ending: str, split: int, passed: PassedOver) -> list[DataFile]:
    found = []
    names = files_in(root, folder)
    chosen = [name for name in names if _is_data(name, ending)]
    for name in names if chosen else ():
        place = below(folder, name)
        if name in chosen:
            found.append(DataFile(root / place, split_of_file(name) if split == UNASSIGNED else split, place))
        elif name not in CLASS_LISTS:
            passed.count("ignored", place, f"it lies beside the {ending} files")
    return found


def _is_data(name: str, ending: str) -> bool:
    path = Path(name.lower())
    return path.suffix == ending and path.stem != _METADATA
