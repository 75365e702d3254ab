"""The kinds of sources, and the one that a name or a path stands for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from deepenough.data.links import kind_of
from deepenough.data.sources.base import Source
from deepenough.data.sources.by_name import is_set, open_set
from deepenough.data.sources.cifar import Cifar
from deepenough.data.sources.digits import Digits
from deepenough.data.sources.flowers import Flowers
from deepenough.data.sources.folder import Folder
from deepenough.data.sources.hub import Hub
from deepenough.data.sources.idx import Idx
from deepenough.data.sources.in_memory import FORMS, PREFIX, InMemory, from_python
from deepenough.data.sources.metadata import Metadata
from deepenough.data.sources.npz import Npz
from deepenough.data.sources.parquet import Parquet
from deepenough.data.sources.published_sets import SETS
from deepenough.data.sources.python_images import ValueRange, check_value_range, described
from deepenough.data.sources.svhn import Svhn
from deepenough.data.sources.table import Table
from deepenough.data.sources.tar import Tar
from deepenough.errors import DeepenoughError, nearest
from deepenough.progress import Reporter

KINDS: tuple[type[Source], ...] = (
    *(Digits, Hub, InMemory),
    *(Idx, Cifar, Svhn, Flowers, Npz, Metadata, Parquet, Tar, Table),
    Folder,
)
"""Every kind of source. The first that recognises a name or a path opens it, so any folder comes last."""

_PACKED = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".txz", ".zst", ".7z", ".rar")

_NAMES = (*(name for kind in KINDS for name in kind.known_as), *SETS)


def is_word(data: Any) -> bool:
    """True for the name or path of a source, or nothing; false for images that Python holds."""
    return data is None or isinstance(data, (str, Path))


def check_data_is_given(data: Any, caller: str) -> None:
    """Raise the error for None where images have to be given; `caller` is the function as a user wrote it."""
    if data is None:
        raise DeepenoughError(
            f"{caller}: data=None, and it has no images of its own; give a path or a name, or {FORMS}"
        )


def from_anywhere(data: Any) -> str:
    """The words that name the same source from any working folder: paths become absolute, names stay.

    Images that Python holds have only a description, which tells a user what to give again.
    """
    if not is_word(data):
        return PREFIX + described(data)
    word = str(data or Digits.known_as[0])
    named = is_set(word) or any(kind.is_named(word) for kind in KINDS)
    return word if named else str(Path(word).expanduser().absolute())


def open_source(
    data: Any = None,
    value_range: ValueRange | None = None,
    *,
    to_learn: bool = True,
    reporter: Reporter | None = None,
) -> Source:
    """Open labelled images; nothing is decoded yet.

    Args:
        data: nothing or `digits`: scikit-learn's. `mnist`, `cifar10` and the other names of `SETS`: a copy on this
            machine, or one that is fetched. `hf:NAME`: the Hugging Face hub. A path: a folder of class folders (in
            split folders or not), a folder of IDX, Parquet or tar files, one such file, a CSV of path and label, or a
            folder of images with Hugging Face's `metadata.csv`. Otherwise images and labels that Python holds, see
            `from_python`.
        value_range: the values of black and white in arrays of floats, by default 0 and 1.
        to_learn: at least two classes are needed; to measure a network, one is enough.
        reporter: is told how far fetching has come.

    Raises `DeepenoughError`, with near matches for a path or name that is not there.
    """
    check_value_range(value_range)
    source = _opened(data, value_range, reporter)
    if source.too_few and (to_learn or not len(source)):
        raise DeepenoughError(source.too_few)
    return source


def _opened(data: Any, value_range: ValueRange | None, reporter: Reporter | None) -> Source:
    if isinstance(data, Source):
        return data
    if not is_word(data):
        return from_python(data, value_range)
    if data == "":
        raise DeepenoughError(f"data is empty text; give a folder, a file, hf:NAME, {', '.join(_NAMES)}")
    word = str(data or Digits.known_as[0])
    if is_set(word):
        return open_set(word, reporter)
    for kind in KINDS:
        if kind.is_named(word):
            return kind.open(word)
    path = Path(word).expanduser()
    try:
        if not path.exists():
            raise _missing(word, path)
        if path.is_dir():
            os.scandir(path).close()
        elif not path.is_file():
            what = kind_of(path.stat())
            raise DeepenoughError(f"{word}: it is {what}, which is not opened; give a folder or a file")
        for kind in KINDS:
            if kind.is_at(path):
                return kind.open(str(path))
    except OSError as error:
        place = f" {error.filename}" if error.filename not in (None, str(path)) else ""
        raise DeepenoughError(f"{word}: it cannot be read:{place} {error.strerror or error}") from None
    if path.suffix.lower() in _PACKED:
        raise DeepenoughError(f"{path}: it is packed; unpack it, and give the folder or the files that come out")
    raise DeepenoughError(
        f"{path}: a file of this kind cannot be read as labelled images; give a folder of class folders, a CSV of path "
        "and label, a Parquet file, WebDataset's tar shards, or an IDX file of images"
    )


def _missing(word: str, path: Path) -> DeepenoughError:
    parent = path.parent
    near = [str(parent / name) for name in nearest(path.name, _entries(parent))] + nearest(word.lower(), _NAMES)
    if not parent.is_dir():
        while not parent.parent.is_dir():
            parent = parent.parent
        others = [name for name in _entries(parent.parent) if (parent.parent / name).is_dir()]
        near += [str(parent.parent / name) for name in nearest(parent.name, others)]
    hint = f"did you mean {', '.join(near)}?" if near else f"give a folder, a file, hf:NAME, {', '.join(_NAMES)}"
    return DeepenoughError(f"{word}: there is no such file or folder; {hint}")


def _entries(folder: Path) -> list[str]:
    """The names in a folder that are not hidden; none where it is no folder or can't be listed."""
    try:
        return [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []
