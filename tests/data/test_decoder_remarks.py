"""What Pillow and libtiff remark about a file becomes a finding of that file, and is not printed."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from deepenough.data.decode import decode_image, upright
from deepenough.data.finding import ImageError
from deepenough.data.images import prepare
from deepenough.data.sources import open_source


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cut_exif(image: Image.Image) -> bytes:
    """A JPEG whose EXIF data says that it has more tags than there are."""
    return encode(image, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0" + struct.pack("<HHII", 0x0112, 3, 1, 1))


def torn_tiff(image: Image.Image) -> bytes:
    whole = bytearray(encode(image, "TIFF", compression="tiff_lzw"))
    whole[60:400] = bytes(340)
    return bytes(whole)


def test_remarks_come_with_the_picture_and_nothing_is_warned(photo: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = decode_image(cut_exif(photo(1)))
        assert decode_image(encode(photo(1), "JPEG")).remarks == ()
    (remark,) = found.remarks
    assert "EXIF" in remark
    assert found.picture.size == (120, 96)


def test_threads_hear_of_their_own_files_only(photo: Any) -> None:
    files = [cut_exif(photo(number)) if number % 2 else encode(photo(number), "JPEG") for number in range(8)] * 10
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda content: len(decode_image(content).remarks), files))
    assert found == [0, 1] * 40


def test_pillow_goes_on_warning_those_who_read_with_it_themselves(photo: Any) -> None:
    upright(encode(photo(1), "JPEG"))
    with pytest.warns(UserWarning, match="EXIF"), Image.open(io.BytesIO(cut_exif(photo(1)))) as opened:
        opened.getexif()
    with pytest.warns(UserWarning, match="plain"):
        TiffImagePlugin.warnings.warn("plain", stacklevel=1)  # type: ignore[attr-defined]


def test_remarks_are_findings_and_the_images_stay(two_classes: Path, tmp_path: Path, photo: Any) -> None:
    (two_classes / "cat" / "cut.jpg").write_bytes(cut_exif(photo(70)))
    (two_classes / "dog" / "torn.tif").write_bytes(torn_tiff(photo(71)))
    images = prepare(open_source(two_classes), cache=tmp_path / "cache")
    kept, left_out = sorted(images.findings, key=lambda finding: finding.name)
    assert (kept.kind, kept.name, kept.action) == ("imperfect", "cat/cut.jpg", "kept")
    assert "EXIF" in kept.detail
    assert (left_out.kind, left_out.name) == ("damaged", "dog/torn.tif")
    assert len(images) == 25


def test_libtiff_prints_nothing_and_what_it_says_is_in_the_error(tmp_path: Path, photo: Any) -> None:
    content = torn_tiff(photo(1))
    with pytest.raises(ImageError, match=r"decoder error.*LZWDecode"):
        upright(content)
    (tmp_path / "torn.tif").write_bytes(content)

    def printed(read: str) -> str:
        code = f"file = {str(tmp_path / 'torn.tif')!r}\ntry: {read}\nexcept Exception: pass"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
        return done.stderr

    assert "LZWDecode" in printed("from PIL import Image; Image.open(file).load()")
    assert printed("from deepenough.data.decode import upright; upright(file)") == ""


def test_a_whole_tiff_with_unknown_tags_is_no_finding(photo: Any) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[65_000] = "private"
    found = decode_image(encode(photo(2), "TIFF", compression="tiff_lzw", tiffinfo=info))
    assert found.remarks == ()
    np.testing.assert_array_equal(np.asarray(found.picture), np.asarray(photo(2)))
