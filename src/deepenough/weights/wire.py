"""Protocol buffers' wire format, both ways, without generated classes: `.caffemodel` files need only few fields.

Encoding: https://protobuf.dev/programming-guides/encoding. A message's fields are described by a table (`Fields`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Fields = Mapping[int, "Field"]
"""The fields of a message by number; others are skipped."""

Message = dict[str, list[Any]]
"""What was read: the values of every field of the table that occurs, by name."""


class WireError(ValueError):
    """Bytes that are no message."""


@dataclass(frozen=True)
class Field:
    """One field.

    `kind` is "int", "bool", "float", "double" (numbers, packed or not), "text", the table of a message, or the words of
    an enumeration, whose values are read as numbers.
    """

    name: str
    kind: str | Fields | tuple[str, ...]


def decode(data: memoryview, fields: Fields) -> Message:
    """The message in `data`. Packed floats come as one numpy array each, a view on `data`."""
    message: Message = {}
    for number, wire, value in _entries(data):
        if (field := fields.get(number)) is not None:
            message.setdefault(field.name, []).extend(_values(field, wire, value))
    return message


def _values(field: Field, wire: int, value: Any) -> list[Any]:
    if isinstance(field.kind, Mapping):
        return [decode(_bytes(field, wire, value), field.kind)]
    if field.kind == "text":
        return [bytes(_bytes(field, wire, value)).decode("utf-8", "replace")]
    if field.kind in ("int", "bool") or isinstance(field.kind, tuple):
        return [value] if wire == VARINT else _varints(_bytes(field, wire, value))
    kind = np.dtype("<f4" if field.kind == "float" else "<f8")
    data = value if wire in (FIXED32, FIXED64) else _bytes(field, wire, value)
    if len(data) % kind.itemsize:
        raise WireError(f"{field.name}: {len(data)} bytes are no whole number of {field.kind}s")
    return [np.frombuffer(data, kind)]


def _bytes(field: Field, wire: int, value: Any) -> memoryview:
    if wire != BYTES:
        raise WireError(f"{field.name} is of wire type {wire}")
    return value  # type: ignore[no-any-return]


def _entries(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Field number, wire type and raw value: an int for a varint, bytes otherwise."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise WireError("field number 0")
        if wire == VARINT:
            value, place = _varint(data, place)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, place = _varint(data, place)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise WireError(f"wire type {wire}")
        if place + size > len(data):
            raise WireError(f"it ends {place + size - len(data)} bytes too early")
        yield number, wire, data[place : place + size]
        place += size


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise WireError("a number without an end")


def _varints(data: memoryview) -> list[int]:
    values, place = [], 0
    while place < len(data):
        value, place = _varint(data, place)
        values.append(value)
    return values


def encode(message: Mapping[str, list[Any]], fields: Fields) -> bytes:
    """The bytes of a message. An array of numbers is written packed; every name has to be in the table."""
    by_name = {field.name: (number, field) for number, field in fields.items()}
    parts: list[bytes] = []
    for name, values in message.items():
        number, field = by_name[name]
        for value in values:
            parts += _encoded(number, field, value)
    return b"".join(parts)


def _encoded(number: int, field: Field, value: Any) -> tuple[bytes, ...]:
    match field.kind:
        case "float" | "double" if isinstance(value, np.ndarray):
            data = np.ascontiguousarray(value, "<f4" if field.kind == "float" else "<f8").tobytes()
            return _key(number, BYTES), _number(len(data)), data
        case "float":
            return _key(number, FIXED32), struct.pack("<f", value)
        case "double":
            return _key(number, FIXED64), struct.pack("<d", value)
        case "int" | "bool":
            return _key(number, VARINT), _number(int(value))
        case tuple() as words:
            return _key(number, VARINT), _number(words.index(value) if isinstance(value, str) else value)
        case "text":
            data = value.encode()
        case fields:
            assert isinstance(fields, Mapping)
            data = encode(value, fields)
    return _key(number, BYTES), _number(len(data)), data


def _key(number: int, wire: int) -> bytes:
    return _number(number << 3 | wire)


def _number(value: int) -> bytes:
    """A varint: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def packed_floats(values: list[Any]) -> np.ndarray[Any, Any]:
    """The numbers of a repeated field, whether they were packed or not."""
    return values[0] if len(values) == 1 else np.concatenate(values)


def number(message: Message, name: str, default: float) -> float:
    """The last value of a field, as the format wants it, or the default."""
    if not message.get(name):
        return default
    value = message[name][-1]
    return float(value[-1]) if isinstance(value, np.ndarray) else float(value)
