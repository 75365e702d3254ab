"""Portable maps that are decoded here, against Pillow, which decodes them value by value."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepenough.data.decode import upright
from deepenough.data.finding import ImageError
from deepenough.data.image_file import open_content
from deepenough.data.portable_map import PortableMap

NOTE = st.sampled_from([b" ", b"\n", b"\t \n", b"\n# a note, 1 2 3\n", b" #\n#\r\n"])


@settings(max_examples=150)
@given(
    kind=st.integers(1, 6),
    width=st.integers(8, 20),
    height=st.integers(8, 20),
    largest=st.sampled_from([1, 7, 100, 255, 256, 1023, 4095, 65534, 65535]),
    notes=st.tuples(NOTE, NOTE, NOTE),
)
def test_they_are_decoded_as_pillow_does(
    kind: int, width: int, height: int, largest: int, notes: tuple[bytes, bytes, bytes]
) -> None:
    largest = 1 if kind in (1, 4) else largest
    draws = np.random.default_rng([width, height, kind])
    values = draws.integers(0, largest + 1, (height, width * (3 if kind in (3, 6) else 1)))
    if kind < 4:
        body = b"\n".join((b"" if kind == 1 else b" ").join(str(v).encode() for v in row) for row in values) + b"\n"
    elif kind == 4:
        body = np.packbits(values, axis=1).tobytes()
    else:
        body = values.astype(">u2" if largest > 255 else np.uint8).tobytes()
    head = b"P%d%b%d%b%d" % (kind, notes[0], width, notes[1], height)
    content = head + (b"\n" if kind in (1, 4) else b"%b%d\n" % (notes[2], largest)) + body
    with Image.open(io.BytesIO(content)) as opened:
        expected = np.asarray(opened).astype(int)
    found = open_content(content)
    np.testing.assert_array_equal(np.asarray(found).astype(int), expected)
    portable = PortableMap.of(content)
    assert portable is not None
    assert portable.is_slow == (kind < 4 or (kind > 4 and largest not in ((255, 65535) if kind == 5 else (255,))))
    if kind != 4 and portable.is_slow:
        for short in (content[: len(content) - len(body) // 2], content[: -len(body)]):
            with pytest.raises(ImageError) as caught:
                upright(short)
            assert caught.value.kind == "damaged"


@pytest.mark.parametrize(
    "content", [b"P2 9 9 255\n" + b"256 " * 81, b"P2 9 9 255\n" + b"-1 " * 81, b"P1 9 9\n" + b"2" * 81, b"P2 9 9 9 x"]
)
def test_values_out_of_range_are_damage(content: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        upright(content)
    assert caught.value.kind == "damaged"
