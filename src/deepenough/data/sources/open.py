"""Tell by its name or content what kind of source is meant."""

from __future__ import annotations

from pathlib import Path

from deepenough.data.sources.base import Source
from deepenough.data.sources.digits import Digits
from deepenough.data.sources.folder import Folder, holds_folders
from deepenough.data.sources.hub import Hub
from deepenough.data.sources.idx import Idx, find_named, holds_idx
from deepenough.data.sources.parquet import Parquet, find_parquet
from deepenough.data.sources.table import Table
from deepenough.data.sources.tar import Tar, find_tar
from deepenough.errors import DeepenoughError, nearest

_NAMED = ("fashion-mnist", "mnist")


def from_anywhere(text: str | Path | None) -> str:
    """What names the same source from any working folder: paths become absolute, names stay."""
    if text is None or str(text) in ("digits", *_NAMED) or str(text).startswith("hf:"):
        return str(text or "digits")
    return str(Path(text).expanduser().absolute())


def open_source(text: str | Path | None = None) -> Source:
    """The labelled images that `text` names; nothing is decoded yet.

    Nothing or `digits`: scikit-learn's. `fashion-mnist`, `mnist`: a copy on this machine. `hf:NAME`: the Hugging Face
    hub. Otherwise a path: a folder of class folders (in split folders or not), a folder of IDX, Parquet or tar files,
    one such file, or a CSV of path and label. Raises an error with near matches for what is not there.
    """
    if text is None or str(text) == "digits":
        return Digits()
    word = str(text)
    if word in _NAMED:
        return Idx(find_named(word), word)
    if word.startswith("hf:"):
        return Hub(word.removeprefix("hf:"))
    path = Path(word).expanduser()
    if not path.exists():
        raise _missing(word, path)
    if path.is_file():
        return _file(path)
    if holds_idx(path):
        return Idx(path)
    parquet = find_parquet(path)
    if parquet and not (list(path.glob("*.parquet")) == [] and _has_classes(path)):
        return Parquet(path)
    if not holds_folders(path):
        if find_tar(path):
            return Tar(path)
        tables = sorted(path.glob("*.csv"))
        if len(tables) == 1:
            raise DeepenoughError(f"{path}: no class folders in it; to read its table, give {tables[0]}")
    return Folder(path)


def _has_classes(path: Path) -> bool:
    return sum(1 for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith(".")) >= 2


def _file(path: Path) -> Source:
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv"):
        return Table(path)
    if ending == ".parquet":
        return Parquet(path)
    if ending == ".tar":
        return Tar(path)
    if holds_idx(path):
        return Idx(path)
    raise DeepenoughError(
        f"{path}: a file of this kind cannot be read as labelled images; give a folder of class folders, a CSV of path "
        "and label, a Parquet file, WebDataset's tar shards, or an IDX file of images"
    )


def _missing(word: str, path: Path) -> DeepenoughError:
    parent = path.parent
    beside = [entry.name for entry in parent.iterdir() if not entry.name.startswith(".")] if parent.is_dir() else []
    near = [str(parent / name) for name in nearest(path.name, beside)] + nearest(word, ("digits", *_NAMED))
    if not parent.is_dir():
        while not parent.parent.is_dir():
            parent = parent.parent
        others = [entry.name for entry in parent.parent.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        near += [str(parent.parent / name) for name in nearest(parent.name, others)]
    hint = (
        f"did you mean {', '.join(near)}?" if near else "give a folder, a file, hf:NAME, digits, mnist or fashion-mnist"
    )
    return DeepenoughError(f"{word}: there is no such file or folder; {hint}")
