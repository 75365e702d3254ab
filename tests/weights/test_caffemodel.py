"""Files of Caffe: every way to write the same numbers, and bytes that no one wrote."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.weights.caffe_messages import CAFFE_MESSAGES, message
from deepenough.weights.caffemodel import layers

VALUES = np.arange(6, dtype=np.float32)
FLOATS = b"".join(struct.pack("<Bf", 5 << 3 | 5, value) for value in VALUES)
DOUBLES = b"".join(struct.pack("<Bd", 8 << 3 | 1, value) for value in VALUES)
PACKED = bytes([5 << 3 | 2, 24]) + VALUES.tobytes()
HALVES = bytes([5 << 3 | 2, 12]) + VALUES[:3].tobytes() + bytes([5 << 3 | 2, 12]) + VALUES[3:].tobytes()
WIDE = bytes([8 << 3 | 2, 48]) + VALUES.astype("<f8").tobytes()
NEW_SHAPE, OLD_SHAPE, LOOSE_SHAPE = b"\x3a\x04\x0a\x02\x02\x03", b"\x18\x02\x20\x03", b"\x3a\x04\x08\x02\x08\x03"


def file_with(folder: Path, *entries: tuple[bytes, bytes]) -> Path:
    """A file of layers, each a key and its content."""
    path = folder / "net.caffemodel"
    path.write_bytes(b"".join(key + bytes([len(content)]) + content for key, content in entries))
    return path


def layer_with(blob: bytes) -> bytes:
    return b"\x0a\x01n\x12\x05Scale" + bytes([7 << 3 | 2, len(blob)]) + blob


@pytest.mark.parametrize("numbers", [FLOATS, DOUBLES, PACKED, HALVES, WIDE])
@pytest.mark.parametrize("shape", [NEW_SHAPE, OLD_SHAPE, LOOSE_SHAPE])
@pytest.mark.parametrize("unknown", [b"", b"\x48\x07" + b"\x52\x02ab" + b"\x5d1234" + b"\x61" + b"12345678"])
def test_numbers_in_every_form(tmp_path: Path, numbers: bytes, shape: bytes, unknown: bytes) -> None:
    (layer,) = layers(file_with(tmp_path, (b"\xa2\x06", layer_with(numbers + unknown + shape))))
    assert (layer.name, layer.kind, layer.parameters) == ("n", "Scale", None)
    (array,) = layer.arrays
    assert array.shape == ((1, 1, 2, 3) if shape is OLD_SHAPE else (2, 3))
    np.testing.assert_array_equal(array.ravel(), VALUES)


def test_a_name_in_another_encoding(tmp_path: Path) -> None:
    (layer,) = layers(file_with(tmp_path, (b"\xa2\x06", b"\x0a\x03\xb2\xe3a\x12\x04ReLU")))
    assert (layer.name, layer.kind) == ("\ufffd\ufffda", "ReLU")


def test_a_layer_of_before_2014_says_its_kind_by_number(tmp_path: Path) -> None:
    pool = b"\x22\x01p\x28\x11\x9a\x01\x04\x08\x01\x10\x03"
    first, other = layers(file_with(tmp_path, (b"\x12", pool), (b"\x12", b"\x22\x01q\x28\x63")))
    assert (first.name, first.kind, other.kind, other.parameters) == ("p", "Pooling", "99", None)
    assert first.parameters is not None
    assert [first.parameters.pool, first.parameters.kernel_size, first.parameters.stride] == [1, 3, 1]


@pytest.mark.parametrize(
    ("blob", "match"),
    [
        (PACKED, "6 numbers for a shape of 1 x 1 x 1 x 1"),
        (b"\x2a\x03abc" + NEW_SHAPE, "multiple of element size"),
        (PACKED + b"\x18" + b"\xff" * 9 + b"\x01\x10" + b"\xfa" + b"\xff" * 8 + b"\x01", "x -1 x 1"),
        (b"\x28\x01", "0 numbers"),
        (b"\x2a\x7fabc", ""),
        (b"\x3a\x02\x0a\x05", ""),
    ],
)
def test_blobs_that_are_none(tmp_path: Path, blob: bytes, match: str) -> None:
    with pytest.raises(DeepenoughError, match=f"not a whole .caffemodel file: .*{match}"):
        layers(file_with(tmp_path, (b"\xa2\x06", layer_with(blob))))


@pytest.mark.parametrize("data", [b"\x0a\x05ab", b"\x0a", b"\x03", b"\x00\x00", b"\xff" * 12])
def test_bytes_that_are_no_message(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DeepenoughError, match=r"not a whole \.caffemodel file"):
        layers(tmp_path / "x")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda b: b"\xa2\x06" + bytes([len(b)]) + b)))
def test_any_bytes_are_layers_or_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    try:
        found = layers(tmp_path / "x")
    except DeepenoughError:
        return
    assert all(isinstance(layer.name, str) and isinstance(layer.kind, str) for layer in found)


def part(key: bytes, content: bytes) -> bytes:
    return key + varint(len(content)) + content


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"\xa2\x06\x00" * 100_000, "it has 100,000 layers"),
        (b"\x12\x00" * 100_000, "it has 100,000 layers"),
        (part(b"\xa2\x06", b"\x3a\x00" * 50_000), "it has 50,000 blobs in layer "),
        (part(b"\xa2\x06", part(b"\x3a", b"\x2a\x00" * 50_000)), "it has 50,000 pieces"),
        (part(b"\xa2\x06", part(b"\x3a", part(b"\x3a", b"\x08\x01" * 50_000))), "it has 50,000 sides"),
        (part(b"\xa2\x06", part(b"\x3a", part(b"\x3a", b"\x08\x01" * 33))), "it has 33 sides"),
        (b"\xa3\x06" * 100_000, "Error parsing"),  # groups in groups
    ],
)
def test_what_is_repeated_without_end_is_refused(tmp_path: Path, data: bytes, match: str) -> None:
    """Each small part would become an object, so that a file of megabytes took gigabytes."""
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DeepenoughError, match=f"not a whole .caffemodel file: {match}"):
        layers(tmp_path / "x")


def test_a_file_beyond_the_format_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(2**40)  # sparse: it takes no room on the disk, and none in memory unless it is read
    with pytest.raises(DeepenoughError, match="it has 1,099,511,627,776 bytes"):
        layers(tmp_path / "x")


def test_numbers_of_fields_are_given_once() -> None:
    for name, fields in CAFFE_MESSAGES.items():
        described = message(name).DESCRIPTOR.fields_by_name
        assert {title: number for title, (number, *_) in fields.items()} == {k: f.number for k, f in described.items()}
        assert len({number for number, *_ in fields.values()}) == len(fields)
