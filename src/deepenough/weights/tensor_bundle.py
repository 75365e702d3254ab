"""TensorFlow's tensor bundles: a table of where arrays lie, and the files that they lie in. Nothing in them is run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.weights.crc32c import crc32c, masked
from deepenough.weights.graphs.graph import plain_name
from deepenough.weights.leveldb_table import LARGEST_TABLE, read_table, varint
from deepenough.weights.malformed import MalformedError
from deepenough.weights.messages import Fields, messages_of, parsed

MESSAGES: dict[str, Fields] = {
    "Header": {"num_shards": (1, "int32"), "endianness": (2, "int32")},
    "Dim": {"size": (1, "int64")},
    "Shape": {"dim": (2, "repeated Dim"), "unknown_rank": (3, "bool")},
    "Entry": {
        "dtype": (1, "int32"), "shape": (2, "Shape"), "shard_id": (3, "int32"), "offset": (4, "int64"),
        "size": (5, "int64"), "crc32c": (6, "fixed32"), "slices": (7, "repeated bytes"),
    },
}  # fmt: skip
"""BundleHeaderProto, TensorShapeProto and BundleEntryProto, as much of them as is read."""

TYPES = {
    1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 14: "<u2", 17: "<u2", 19: "<f2",
    22: "<u4", 23: "<u8",
}  # fmt: skip
"""NumPy's types by TensorFlow's numbers of theirs."""

VALUE_END = "/.ATTRIBUTES/VARIABLE_VALUE"
"""The end of each array's key."""

STRING, BFLOAT16 = 7, 14

MOST_SHARDS = 1_000
"""Files with arrays of a bundle that are read; a model that one machine saves has one."""

MOST_SIDES = 8
"""Sides of an array that is read."""

LARGEST = 2 * 2**30
"""Bytes of all arrays that are read of a bundle; VGG-19 has a quarter of it."""


@dataclass(frozen=True)
class _Entry:
    """The place of an array: its type by TensorFlow's number, its sides, the file, the first byte and how many."""

    kind: int
    sides: tuple[int, ...]
    shard: int
    start: int
    size: int
    checksum: int
    sliced: bool


class TensorBundle:
    """The arrays of a bundle by their keys, each read when it is asked for, with its checksum."""

    def __init__(self, index: Path) -> None:
        if not index.is_file():
            raise MalformedError(f"{index.name} is missing")
        if index.stat().st_size > LARGEST_TABLE:
            raise MalformedError(f"{index.name} has {index.stat().st_size:,} bytes; at most {LARGEST_TABLE:,} are read")
        table = read_table(index.read_bytes())
        self.shards = _shards(index, table.pop(b"", None))
        self.entries = {_text(key): _entry(key, value) for key, value in table.items()}
        self._check_places()
        self._left = LARGEST

    def array(self, key: str) -> Any:
        """Read the numbers of an array."""
        entry = self._entry(key)
        if entry.kind not in TYPES:
            raise MalformedError(f"{_shown(key)} has numbers of a type that is not known here ({entry.kind})")
        dtype = np.dtype(TYPES[entry.kind])
        if entry.size != prod(entry.sides) * dtype.itemsize:
            sides = " x ".join(map(str, entry.sides)) or "one number"
            raise MalformedError(f"{_shown(key)} has {entry.size:,} bytes, which is not its shape, {sides}")
        content = self._bytes(key, entry)
        self._check(key, entry, crc32c(content))
        found = np.frombuffer(content, dtype).reshape(entry.sides)
        if entry.kind == BFLOAT16:
            return (found.astype(np.uint32) << 16).view(np.float32)
        return found

    def text(self, key: str) -> bytes:
        """Read an array that is one string: its length, a checksum of that, and its bytes."""
        entry = self._entry(key)
        if entry.kind != STRING or entry.sides:
            raise MalformedError(f"{_shown(key)} is not one string")
        content = self._bytes(key, entry)
        length, place = varint(content, 0)
        if place + 4 + length != len(content):
            raise MalformedError(f"{_shown(key)} has another length than it states")
        self._check(key, entry, crc32c(length.to_bytes(4 if length < 1 << 32 else 8, "little") + content[place:]))
        return bytes(content[place + 4 :])

    def _entry(self, key: str) -> _Entry:
        if key not in self.entries:
            raise MalformedError(f"{_shown(key)} is not in its index")
        if self.entries[key].sliced:
            raise MalformedError(f"{_shown(key)} is saved in slices, which are not read; save the model on one machine")
        return self.entries[key]

    def _bytes(self, key: str, entry: _Entry) -> bytearray:
        self._left -= entry.size
        if self._left < 0:
            raise MalformedError(f"its arrays have more than {LARGEST / 2**30:.0f} GiB, which are not read")
        content = bytearray(entry.size)  # which arrays can be changed in
        with self.shards[entry.shard].open("rb") as file:
            file.seek(entry.start)
            read = file.readinto(content)
        if read != entry.size:
            raise MalformedError(f"{_shown(key)} lies beyond the end of {self.shards[entry.shard].name}")
        return content

    def _check(self, key: str, entry: _Entry, checksum: int) -> None:
        if masked(checksum) != entry.checksum:
            raise MalformedError(f"{_shown(key)} does not have the checksum that its index states")

    def _check_places(self) -> None:
        """Check that each array lies in its file, and that no two of them are in the same place."""
        sizes = [file.stat().st_size for file in self.shards]
        ends = [0] * len(sizes)
        for key, entry in sorted(self.entries.items(), key=lambda each: (each[1].shard, each[1].start, each[1].size)):
            if entry.sliced:
                continue  # its parts are entries of their own
            if not 0 <= entry.shard < len(sizes):
                raise MalformedError(f"{_shown(key)} lies in file {entry.shard} of {len(sizes)}")
            file, end = self.shards[entry.shard], entry.start + entry.size
            if entry.start < 0 or entry.size < 0 or end > sizes[entry.shard]:
                raise MalformedError(
                    f"{_shown(key)} lies beyond the end of {file.name}, which has {sizes[entry.shard]:,} bytes"
                )
            if entry.size and entry.start < ends[entry.shard]:
                raise MalformedError(f"{_shown(key)} lies where another array is in {file.name}")
            ends[entry.shard] = max(end, ends[entry.shard])


def _shards(index: Path, content: bytes | None) -> list[Path]:
    if content is None:
        raise MalformedError(f"{index.name} does not say which files its arrays are in")
    header = parsed(_pool(), "bundle.Header", content, index.name)
    if header.endianness:
        raise MalformedError("its numbers have the highest byte first, which are not read")
    if not 1 <= header.num_shards <= MOST_SHARDS:
        raise MalformedError(f"its arrays lie in {header.num_shards:,} files; read are 1 to {MOST_SHARDS:,}")
    count = header.num_shards
    files = [index.with_name(f"{index.stem}.data-{number:05d}-of-{count:05d}") for number in range(count)]
    for file in files:
        if not file.is_file():  # nor what would have to be waited for
            raise MalformedError(f"{file.name} is missing")
    return files


def _entry(key: bytes, content: bytes) -> _Entry:
    found = parsed(_pool(), "bundle.Entry", content, f"the entry of {_shown(_text(key))}")
    sides = tuple(dim.size for dim in found.shape.dim)
    if len(sides) > MOST_SIDES or found.shape.unknown_rank or any(side < 0 for side in sides):
        raise MalformedError(
            f"{_shown(_text(key))} has the shape {' x '.join(map(str, sides[:MOST_SIDES]))}, which no array has"
        )
    return _Entry(found.dtype, sides, found.shard_id, found.offset, found.size, found.crc32c, sliced=bool(found.slices))


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")


def _shown(key: str) -> str:
    """A key for a message: without what the keys of all arrays end with."""
    return plain_name(key.removesuffix(VALUE_END))


@lru_cache
def _pool() -> Any:
    return messages_of("bundle", MESSAGES)
