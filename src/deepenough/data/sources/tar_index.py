"""The members of tar shards: where images lie and what labels say, without unpacking and within bounds."""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from deepenough.data.finding import PassedOver
from deepenough.errors import DeepenoughError, first_line

IMAGE_ENDINGS = frozenset(
    [
        "jpg",
        "jpeg",
        "jpe",
        "jfif",
        "png",
        "webp",
        "bmp",
        "gif",
        "ppm",
        "pgm",
        "pbm",
        "pnm",
        "tif",
        "tiff",
        "avif",
        "heic",
        "jp2",
        "img",
        "image",
    ]
)
"""Endings of images, in lower case; what they are their content says."""

LABEL_ENDINGS = ("cls", "class", "label", "json", "txt")
"""Endings of labels, in lower case, the one that decides first. Captions are `.txt` too, so that comes last."""

ONE_OF_SEVERAL = "one of several images of a sample"
"""The reason why an image is passed over whose sample has another one that its label may mean."""

_CAPTION = LABEL_ENDINGS.index("txt")
_MAIN = ("image", "img", "input", "picture", "")
_KEYS = ("label", "cls", "class")
_LARGEST_LABEL = 1 << 20
_LARGEST_HEADER = 1 << 24
_TAIL = 1 << 16
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"(\xb5": "zstandard"}


@dataclass(frozen=True)
class Extent:
    """The place of a file in a shard: its first byte and its length."""

    start: int
    length: int


@dataclass(frozen=True)
class Sample:
    """An image and its labels, by their rank in `LABEL_ENDINGS`: the values as they stand there."""

    name: str
    image: Extent
    labels: dict[int, object]


@dataclass
class _Shard:
    """The images and labels: files by name, and links by name with their targets."""

    files: dict[str, Extent] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


class _Bounded:
    """A file of which no header can ask for more memory than a header needs."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header claims {size:,} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def samples(file: Path, label: str, passed: PassedOver) -> list[Sample]:
    """The images of a shard in order, each with its labels; `label` is what the shard is called in findings.

    Files of one sample have one name up to the last dot, or up to the first, as WebDataset has it: `0001.jpg` and
    `0001.cls`, `v1.2.jpg` and `v1.2.cls`, `0001.image.jpg` and `0001.label.cls`. A hard link or a symbolic one stands
    for what it leads to.
    """
    shard = _members(file, label, passed)
    with file.open("rb") as opened:
        texts = {
            name: _content(opened, extent) for name, extent in shard.files.items() if _ending(name) not in IMAGE_ENDINGS
        }
    images = [name for name in shard.files if _ending(name) in IMAGE_ENDINGS]
    return list(_joined(shard, images, texts, label, passed))


def _joined(
    shard: _Shard, images: list[str], texts: dict[str, bytes | None], label: str, passed: PassedOver
) -> Iterator[Sample]:
    """Images with the labels of the same name up to the last dot, or else up to the first."""
    by_last: dict[str, dict[int, object]] = {}
    by_first: dict[str, dict[int, object]] = {}
    for name, text in texts.items():
        rank, value = _rank(name), _value(text, _ending(name))
        if value is None:
            continue
        by_last.setdefault(_stem(name), {}).setdefault(rank, value)
        by_first.setdefault(_key(name), {}).setdefault(rank, value)
    together: dict[str, list[str]] = {}
    for name in images:
        together.setdefault(_key(name), []).append(name)
    for name in images:
        found = by_last.get(_stem(name))
        if found is None and (found := by_first.get(_key(name))) is not None:
            main = _main(together[_key(name)])
            if name != main:
                which = (
                    f"the label goes with {main.rpartition('/')[2]}" if main else "nothing says which the label means"
                )
                passed.count("ignored", f"{label}/{name}", f"{ONE_OF_SEVERAL}, and {which}")
                continue
        yield Sample(name, shard.files[name], found or {})


def _main(names: list[str]) -> str | None:
    """Of the images of one sample the one that its label means; None where nothing says which."""
    if len(names) == 1:
        return names[0]
    fields = {name.removeprefix(_key(name)).strip(".").rpartition(".")[0].lower(): name for name in reversed(names)}
    return next((fields[main] for main in _MAIN if main in fields), None)


def _members(file: Path, label: str, passed: PassedOver) -> _Shard:
    """The members of a shard. Raises the error for what is no tar file, or one that is cut off."""
    shard = _Shard()
    size = file.stat().st_size
    try:
        with file.open("rb") as opened:
            stream: Any = _Bounded(opened)
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                while (member := archive.next()) is not None:
                    archive.members.clear()  # type: ignore[attr-defined]  # a million members would fill the memory
                    _take(member, size, shard, label, passed)
                _check_end(opened, archive.offset)
    except (tarfile.TarError, OSError, ValueError, MemoryError, RecursionError) as error:
        raise DeepenoughError(f"{file}: {_trouble(file, error)}") from None
    for name, target in _targets(shard).items():
        if _ending(name) not in IMAGE_ENDINGS and _rank(name) == len(LABEL_ENDINGS):
            continue
        if target is None:
            passed.add("missing", f"{label}/{name}", "a link to nothing in the shard")
        else:
            shard.files[name] = target
    return shard


def _check_end(opened: BinaryIO, offset: int) -> None:
    """Raise the error where members end at a damaged header, or before others that were appended behind the end."""
    opened.seek(offset)
    header = opened.read(tarfile.BLOCKSIZE)
    if header.strip(b"\0"):
        raise tarfile.ReadError(f"the header at byte {offset:,} is damaged")
    if opened.read(_TAIL).strip(b"\0"):
        raise tarfile.ReadError(
            f"more follows behind its end at byte {offset:,}, as where shards are put together by cat"
        )


def _take(member: tarfile.TarInfo, size: int, shard: _Shard, label: str, passed: PassedOver) -> None:
    """Note one member of a shard of `size` bytes."""
    name = posixpath.normpath(member.name)
    base = posixpath.basename(name)
    if member.isdir():
        return
    if base.startswith("."):
        passed.count("ignored", f"{label}/{name}", "hidden, by the dot its name begins with")
    elif member.isfile() and _ending(name) not in IMAGE_ENDINGS and _rank(name) == len(LABEL_ENDINGS):
        what = f"a file .{_ending(name)}" if _ending(name) else "a file without an ending"
        passed.count("ignored", f"{label}/{name}", f"{what} is neither an image nor a label")
    elif member.islnk() or member.issym():
        folder = posixpath.dirname(name) if member.issym() else ""
        shard.links[name] = posixpath.normpath(posixpath.join(folder, member.linkname))
    elif not member.isfile() or member.issparse():
        passed.add("not-a-file", f"{label}/{name}", "it is stored as no plain file")
    elif member.size < 0 or member.offset_data + member.size > size:
        raise tarfile.ReadError(f"{name} claims {member.size:,} bytes and goes beyond the end of the file")
    else:
        shard.files[name] = Extent(member.offset_data, member.size)


def _targets(shard: _Shard) -> dict[str, Extent | None]:
    """The extent that each link stands for, through further links; None where it leads nowhere or in a circle.

    Each link is followed once, since a shard may hold a chain of a million.
    """
    found: dict[str, Extent | None] = {}
    for name in shard.links:
        chain: dict[str, None] = {}
        while name in shard.links and name not in shard.files and name not in found and name not in chain:
            chain[name] = None
            name = shard.links[name]
        target = shard.files.get(name) or found.get(name)
        found |= dict.fromkeys(chain, target)
    return {name: shard.files.get(name) or found.get(name) for name in shard.links}


def _trouble(file: Path, error: BaseException) -> str:
    """The reason why a file is no tar file that can be read, and what to do."""
    with file.open("rb") as opened:
        start = opened.read(2)
    if start in _COMPRESSED:
        return f"it is compressed ({_COMPRESSED[start]}), and a shard is read where it lies; unpack it to a plain .tar"
    if isinstance(error, MemoryError):
        return "a header claims more memory than there is; fetch the file again"
    return f"not a readable tar file ({first_line(error)}); fetch it again"


def _content(opened: BinaryIO, extent: Extent) -> bytes | None:
    """The content of a label; None where it is too large for one."""
    if extent.length > _LARGEST_LABEL:
        return None
    opened.seek(extent.start)
    return opened.read(extent.length)


def _value(content: bytes | None, ending: str) -> object:
    """Read a label: a word, or a value in JSON; None where it says nothing."""
    if content is None:
        return None
    if ending != "json":
        return content.decode("utf-8", "backslashreplace").strip() or None  # which keeps different labels apart
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict):
        found = next((found[key] for key in _KEYS if key in found), None)
    return None if isinstance(found, dict) else found


def _ending(name: str) -> str:
    """The letters behind the last dot, in lower case."""
    _, dot, ending = name.rpartition("/")[2].rpartition(".")
    return ending.lower() if dot else ""


def _rank(name: str) -> int:
    """The place in `LABEL_ENDINGS` of a file; beyond their end for none. `0001.cls.txt` is a class and no caption."""
    ending = _ending(name)
    if ending == "txt" and _ending(name[: -len(".txt")]) in LABEL_ENDINGS[:_CAPTION]:
        ending = _ending(name[: -len(".txt")])
    return LABEL_ENDINGS.index(ending) if ending in LABEL_ENDINGS else len(LABEL_ENDINGS)


def _stem(name: str) -> str:
    """The name up to its last dot; that of `0001.cls.txt` up to the first of its two endings."""
    stem = name.rpartition(".")[0]
    if _ending(name) == "txt" and _rank(name) < _CAPTION:
        stem = stem.rpartition(".")[0]
    return stem


def _key(name: str) -> str:
    """The name up to the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    return f"{folder}{slash}{base.partition('.')[0]}"
