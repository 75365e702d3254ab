"""From a path, bytes or an open file to an image of a fixed list of formats, whose decoding takes bounded work.

Everything that is read from outside is opened here. Pillow knows more formats: some start a program (Ghostscript for
PostScript), others are parsed by code that nobody has looked at with hostile files in mind. None of those is tried.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from deepenough.data.bounds import check_opened, check_work
from deepenough.data.bounds.raster import check_pixels
from deepenough.data.decoder_remarks import listen_to_pillow
from deepenough.data.finding import ImageError
from deepenough.data.image_formats import BEGINNING, IMAGE_FORMATS, identify, is_cut_off
from deepenough.data.other_formats import format_error
from deepenough.data.portable_map import PortableMap

LARGEST_FILE = 2**30
"""Files that are larger (bytes) are not read: an image of as many pixels as are decoded has fewer, uncompressed."""

_BOMB = ("Decompressed data too large", "Too much memory used in text chunks")  # what Pillow says of a PNG's texts
_NOT_REGULAR = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_file(path: str | Path, at_most: int | None = None) -> bytes:
    """The bytes of a regular file of at most `LARGEST_FILE`, or the first `at_most` of them.

    Pipes, sockets and devices are recognised before they are opened, since opening them may wait for ever, or act.

    Raises `ImageError`: missing, not-a-file, unreadable, bomb.
    """
    try:
        _check_regular(Path(path).stat())
        # Should something else lie there by now, this does not wait for it, and the second look finds it.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(status)
            return file.read(status.st_size if at_most is None else min(status.st_size, at_most))
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("missing", "there is no such file") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ImageError("not-a-file", "it is a link that leads to itself") from None
        raise ImageError("unreadable", f"it cannot be read ({error.strerror or error})") from None
    except ValueError:  # a null character in the path
        raise ImageError("missing", "there can be no file of this name") from None


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((words for test, words in _NOT_REGULAR if test(status.st_mode)), "something else")
        raise ImageError("not-a-file", f"it is {kind}, and no file")
    if status.st_size > LARGEST_FILE:
        raise ImageError("bomb", f"it has {status.st_size:,} bytes; at most {LARGEST_FILE:,} are read")


def read_stream(stream: BinaryIO) -> bytes:
    """All bytes of an open file, from its start where it can seek; its position is afterwards as before."""
    try:
        seekable = stream.seekable() if hasattr(stream, "seekable") else hasattr(stream, "seek")
        before = stream.tell() if seekable else 0
        if seekable:
            stream.seek(0)
        content = stream.read(LARGEST_FILE + 1)
        if seekable:
            stream.seek(before)
    except (OSError, ValueError) as error:  # a closed one raises the second
        raise ImageError("unreadable", f"the open file cannot be read ({error})") from None
    if not isinstance(content, bytes):
        raise ImageError("not-an-image", "the file is open for text; open it with mode 'rb'")
    if len(content) > LARGEST_FILE:
        raise ImageError("bomb", f"it has more than {LARGEST_FILE:,} bytes")
    return content


def open_content(content: bytes) -> Image.Image:
    """The image in the bytes of a file: its header is read, its pixels mostly are not.

    Raises `ImageError`: damaged, not-an-image, unsupported, animated, bomb, tiny.
    """
    if not content:
        raise ImageError("damaged", "the file is empty")
    kind = identify(content)
    if kind is None:
        if is_cut_off(content):
            raise ImageError("damaged", f"it ends after {len(content)} bytes")
        raise format_error(content)
    if kind not in supported():
        raise ImageError("unsupported", f"it is {kind}, which the installed Pillow cannot read; upgrade Pillow")
    check_work(kind, content)
    if kind == "PPM" and (portable := PortableMap.of(content)) and portable.is_slow:
        check_pixels(portable.width, portable.height)
        return portable.decoded(content)
    try:
        opened = Image.open(io.BytesIO(content), formats=(kind,))
    except Image.DecompressionBombError:
        raise ImageError("bomb", f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise ImageError("damaged", f"it begins like {kind}, but its header cannot be read") from None
    except Exception as error:  # Pillow's parsers raise many kinds for broken headers
        bomb = str(error).startswith(_BOMB)
        raise ImageError(
            "bomb" if bomb else "damaged", f"its header cannot be read ({error or type(error).__name__})"
        ) from None
    check_opened(kind, opened, content)
    return opened


def check_beginning(path: str | Path) -> None:
    """Raise the `ImageError` for a file that does not begin like an image, most often by its first few bytes alone."""
    if identify(read_file(path, BEGINNING)) is None:
        open_content(read_file(path))


@cache
def supported() -> tuple[str, ...]:
    """Those of `IMAGE_FORMATS` that the installed Pillow reads. No other reader is so much as imported for it."""
    for plugin in IMAGE_FORMATS.values():
        with suppress(ImportError):
            listen_to_pillow(importlib.import_module(f"PIL.{plugin}"))
    listen_to_pillow(Image)
    return tuple(name for name in IMAGE_FORMATS if name in Image.OPEN)
