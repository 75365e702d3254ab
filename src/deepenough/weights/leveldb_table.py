"""LevelDB's tables of keys and values, as TensorFlow writes the index of its arrays: sorted, and not compressed."""

from __future__ import annotations

from collections.abc import Iterator

from deepenough.weights.crc32c import crc32c, masked
from deepenough.weights.malformed import MalformedError

TABLE_END = (0xDB4775248B80FB57).to_bytes(8, "little")
"""A table's last bytes."""

FOOTER = 48
"""Bytes of a table's end: two handles of at most 20 bytes together each, and the number above."""

TRAILER = 5
"""Bytes behind a block: how it is compressed, and a checksum."""

MOST_ENTRIES = 200_000
"""Entries of a table that are read; a ResNet-152 with its optimizer has about 3,000."""

LONGEST_KEY = 4_096
"""Bytes of a key that are read; few bytes of a table can make a long one, by the start of the one before."""

LARGEST_TABLE = 1 << 26
"""Bytes of a table that are read."""


def read_table(content: bytes) -> dict[bytes, bytes]:
    """Read all entries of a table."""
    if len(content) < FOOTER or not content.endswith(TABLE_END):
        raise MalformedError("its index does not end as a table of LevelDB does")
    if len(content) > LARGEST_TABLE:
        raise MalformedError(f"its index has {len(content):,} bytes; at most {LARGEST_TABLE:,} are read")
    footer = content[-FOOTER:]
    _, place = _handle(footer, 0)  # of a block that describes the table, which TensorFlow leaves empty
    where, _ = _handle(footer, place)
    found: dict[bytes, bytes] = {}
    last: bytes | None = None
    left = len(content)
    for _, handle in _entries(_block(content, where)):
        block = _block(content, _handle(handle, 0)[0])
        left -= len(block) + TRAILER  # blocks that lie in one another, or stand for several
        if left < 0:
            raise MalformedError("its index has blocks with more bytes than it has itself")
        for key, value in _entries(block):
            if last is not None and key <= last:
                raise MalformedError("its index has keys that are not in order, or that come twice")
            if len(found) == MOST_ENTRIES:
                raise MalformedError(f"its index has more than {MOST_ENTRIES:,} entries")
            found[key] = value
            last = key
    return found


def _block(content: bytes, where: tuple[int, int]) -> bytes:
    start, size = where
    end = start + size
    if end + TRAILER > len(content) - FOOTER:
        raise MalformedError("its index has a block beyond its end; it is cut off or damaged")
    if content[end]:
        raise MalformedError("its index is compressed, which TensorFlow's are not")
    if masked(crc32c(content[start : end + 1])) != int.from_bytes(content[end + 1 : end + TRAILER], "little"):
        raise MalformedError("its index does not have the checksum that it states")
    return content[start:end]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Entries of a block: each key by how much of the one before it begins with, and the rest."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if len(block) < 4 or end < 0:
        raise MalformedError("its index has a block without its end")
    place, key = 0, b""
    while place < end:
        shared, place = varint(block, place)
        rest, place = varint(block, place)
        size, place = varint(block, place)
        if shared > len(key) or shared + rest > LONGEST_KEY or place + rest + size > end:
            raise MalformedError("its index has an entry beyond its block, or a key that is too long")
        key = key[:shared] + block[place : place + rest]
        place += rest + size
        yield key, block[place - size : place]


def _handle(content: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Read the place of a block: its first byte and its size."""
    start, place = varint(content, place)
    size, place = varint(content, place)
    return (start, size), place


def varint(content: bytes | bytearray, place: int) -> tuple[int, int]:
    """Read an unsigned number of seven bits a byte, the lowest first; returns it and the place behind it."""
    number = 0
    for shift in range(0, 64, 7):
        if place >= len(content):
            break
        byte = content[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, place
    raise MalformedError("it has a number without an end")
