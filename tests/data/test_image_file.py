"""What is opened: regular files of a fixed list of formats. Nothing else is started, or waited for, or decoded."""

from __future__ import annotations

import io
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepenough import load
from deepenough.data.decode import header, upright
from deepenough.data.finding import ImageError
from deepenough.data.image_file import read_file, supported
from deepenough.data.image_formats import IMAGE_FORMATS, identify
from deepenough.data.images import prepare
from deepenough.data.sources import open_source

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\n0 0 64 64 rectfill\nshowpage\n"


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def refused(given: Any) -> ImageError:
    with pytest.raises(ImageError) as caught:
        upright(given)
    return caught.value


@pytest.mark.parametrize("name", IMAGE_FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_every_format_of_the_list_is_told_by_its_content_and_decoded(photo: Any, name: str, mode: str) -> None:
    if name not in supported():
        pytest.skip(f"the installed Pillow does not read {name}")
    content = encode(photo(1).convert(mode), name)
    assert identify(content) == name
    with Image.open(io.BytesIO(content)) as opened:
        expected = opened.convert("RGB")
    np.testing.assert_array_equal(np.asarray(upright(content).convert("RGB")), np.asarray(expected))
    assert header(content)[:2] == (96, 120)
    assert identify(content[:64]) == name or name == "TGA"  # which has no signature


def box(brand: bytes, *compatible: bytes) -> bytes:
    return struct.pack(">I", 16 + 4 * len(compatible)) + b"ftyp" + brand + bytes(4) + b"".join(compatible) + bytes(200)


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (POSTSCRIPT, "unsupported", r"PostScript.*save it as PNG"),
        (b"\xc5\xd0\xd3\xc6" + bytes(26) + POSTSCRIPT, "unsupported", "EPS"),
        (box(b"heic", b"mif1", b"heic"), "unsupported", r"HEIC.*save it as PNG or JPEG"),
        (box(b"mif1", b"heix"), "unsupported", "HEIC"),
        (box(b"isom", b"mp41"), "not-an-image", "video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "not-an-image", "sound or video"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512), "unsupported", "FlashPix"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "unsupported", "metafile"),
        (bytes(128) + b"DICM" + bytes(60), "unsupported", "DICOM"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported", "SVG"),
        (b"<!DOCTYPE html><html>404</html>", "not-an-image", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "not-an-image", "git lfs pull"),
        (b"PK\3\4" + bytes(30), "not-an-image", "unpack it"),
        (b"these are words, whatever the file is called", "not-an-image", "no image format"),
        (b"\x89PN", "damaged", "ends after 3 bytes"),
        (b"", "damaged", "empty"),
    ],
)
def test_what_is_not_read_is_called_what_it_is(content: bytes, kind: str, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        upright(content)
    assert caught.value.kind == kind
    with pytest.raises(ImageError, match=words):
        header(content)


def test_formats_that_pillow_reads_and_that_are_not_of_the_list_are_refused(photo: Any) -> None:
    for kind in ("ICO", "PCX", "SGI", "DDS", "EPS", "PDF", "MSP", "SPIDER", "XBM"):
        picture = photo(1, 64, 64).convert("1" if kind in ("MSP", "XBM") else "F" if kind == "SPIDER" else "RGB")
        assert refused(encode(picture, kind)).kind in ("unsupported", "not-an-image")
    opened = Image.open(io.BytesIO(encode(photo(1), "ICO")))
    opened.tile = [("raw", (0, 0, 1, 1), 0, "RGB")]  # type: ignore[list-item] # as one that is still to be read has
    assert refused(opened).kind == "unsupported"


@pytest.mark.skipif(os.name == "nt", reason="needs a shell script that is a program")
def test_no_program_is_ever_started(two_classes: Path, tmp_path: Path, finished: Path) -> None:
    """Pillow runs `gs` for anything that begins like PostScript. A `gs` of our own tells of every start."""
    programs, told = tmp_path / "programs", tmp_path / "told"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\necho started >> {told}\n")
    (programs / "gs").chmod(0o755)
    photos = [two_classes / "cat" / name for name in ("a.eps", "b.jpg", "c.png")]
    for photo in photos:
        photo.write_bytes(POSTSCRIPT)
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}

    def run(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=300, capture_output=True)

    run(f"from PIL import Image\ntry:\n    Image.open({str(photos[0])!r}).load()\nexcept Exception: pass")
    assert told.exists()  # the trap works
    told.unlink()
    run(
        "from deepenough.data.images import prepare\n"
        "from deepenough.data.sources import open_source\n"
        "from deepenough.__main__ import main\n"
        "import sys\n"
        f"images = prepare(open_source({str(two_classes)!r}), cache={str(tmp_path / 'cache')!r})\n"
        "assert [f.kind for f in images.findings] == ['unsupported'] * 3\n"
        "for words in ('predict', 'explain'):\n"
        f"    sys.argv = ['deepenough', words, {str(finished)!r}, *{[str(p) for p in photos]!r}]\n"
        "    try: main()\n"
        "    except SystemExit as end: assert end.code == 1\n"
    )
    assert not told.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_named_without_being_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("device").symlink_to("/dev/zero")
    Path("round").symlink_to("round")
    Path("folder").mkdir()
    Path("nowhere").symlink_to("gone")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        opened: list[Any] = []
        monkeypatch.setattr(os, "open", lambda *given, **more: opened.append(given))
        kinds = {path.name: refused(path).kind for path in sorted(Path().iterdir())}
    monkeypatch.undo()
    assert kinds == {
        **dict.fromkeys(("pipe", "device", "round", "folder", "socket"), "not-a-file"),
        "nowhere": "missing",
    }
    assert opened == []
    assert "named pipe" in str(refused(tmp_path / "pipe"))
    assert refused("a\0b").kind == "missing"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the opening."""
    os.mkfifo(tmp_path / "pipe")
    file = tmp_path / "file"
    file.write_bytes(b"1")
    as_it_was = file.stat()
    assert stat.S_ISREG(as_it_was.st_mode)
    monkeypatch.setattr(Path, "stat", lambda self, **given: as_it_was)
    with pytest.raises(ImageError, match="named pipe"):
        read_file(tmp_path / "pipe")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_left_out_of_a_set_and_of_commands(
    two_classes: Path, tmp_path: Path, finished: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    os.mkfifo(two_classes / "cat" / "pipe.png")
    (two_classes / "dog" / "zero.png").symlink_to("/dev/zero")
    images = prepare(open_source(two_classes), cache=tmp_path / "cache")
    assert {(finding.kind, finding.name) for finding in images.findings} == {
        ("not-a-file", "cat/pipe.png"),
        ("not-a-file", "dog/zero.png"),
    }
    assert len(images) == 24
    for words in (("predict",), ("explain", "--out", tmp_path / "out")):
        status, _, err = command(words[0], finished, two_classes / "cat" / "pipe.png", *words[1:])
        assert status == 2
        assert "named pipe" in err


def test_a_file_of_an_impossible_size_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(2**31)  # takes no room
    assert refused(tmp_path / "large.png").kind == "bomb"


def test_open_files_are_read_from_their_start_and_left_where_they_were(photo: Any, tmp_path: Path) -> None:
    content = encode(photo(3), "PNG")
    expected = np.asarray(upright(content))
    stream = io.BytesIO(content)
    stream.seek(9)
    for _ in range(2):
        np.testing.assert_array_equal(np.asarray(upright(stream)), expected)
        assert stream.tell() == 9
    (tmp_path / "a.png").write_bytes(content)
    with (tmp_path / "a.png").open("rb") as file:
        np.testing.assert_array_equal(np.asarray(upright(file)), expected)
    assert refused(file).kind == "unreadable"  # it is closed
    for other in (bytearray(content), memoryview(content)):
        np.testing.assert_array_equal(np.asarray(upright(other)), expected)

    class Pipe:
        def read(self, size: int) -> bytes:
            return content

    np.testing.assert_array_equal(np.asarray(upright(Pipe())), expected)  # type: ignore[arg-type]
    with (tmp_path / "a.png").open(encoding="latin-1") as text:
        assert "mode 'rb'" in str(refused(text))
    assert "a int is no image" in str(refused(7))


def test_models_predict_open_files_and_bytes(finished: Path, shape: Callable[..., Image.Image]) -> None:
    model, content = load(finished), encode(shape("cross", 3), "PNG")
    (expected,) = model.predict(content)
    assert model.predict(io.BytesIO(content)) == [expected]
    for found in model.predict([io.BytesIO(content), content, bytearray(content)]):
        assert found.classes == expected.classes
        assert found.probabilities == pytest.approx(expected.probabilities, rel=1e-4)
