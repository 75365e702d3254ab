"""From bytes, a file, a Pillow image or an array to one kind of picture: upright, 8-bit, grey or RGB.

Training, prediction, export and serving all decode here, so that they all see the same pixels.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deepenough.data.finding import ImageProblem

ImageLike = str | Path | bytes | Image.Image | NDArray[Any]

SMALLEST_SIDE = 8
"""Images with a shorter side (pixels) are called tiny."""

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"RIFF")
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BITS = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", "La", "F", *_SIXTEEN_BITS)


def header(image: ImageLike) -> tuple[int, int, bool]:
    """Height, width and whether it is grey, from the header alone where the format allows.

    Raises `ImageProblem` as `upright` does.
    """
    if isinstance(image, np.ndarray):
        return image.shape[0], image.shape[1], image.ndim == 2 or image.shape[2] == 1
    with _open(image) as opened:
        _check(opened)
        width, height = opened.size
        if _orientation(opened) >= 5:
            width, height = height, width
        if opened.mode in ("P", "PA"):
            return height, width, upright(image).mode == "L"
        return height, width, opened.mode in _GREY


def upright(image: ImageLike, at_least: int | None = None) -> Image.Image:
    """The picture as a Pillow image of mode `L` or `RGB`, turned as its EXIF orientation says.

    16-bit grey is scaled to 8 bits, transparent pixels are laid on white, palettes, CMYK and the like are converted.
    `at_least`: a shorter side (pixels) that is enough; a larger JPEG is then decoded at 1/2, 1/4 or 1/8 scale, never
    below that side. Arrays are uint8 or uint16 or bool, or float in 0..1, shape (H, W), (H, W, 1), (H, W, 3) or
    (H, W, 4).

    Raises `ImageProblem`: damaged, missing, not-an-image, animated, bomb, tiny.
    """
    if isinstance(image, np.ndarray):
        picture = _from_array(image)
        _check(picture)
        return picture
    with _open(image) as opened:
        _check(opened)
        try:
            if at_least is not None and opened.format in ("JPEG", "MPO"):
                opened.draft(None, (at_least, at_least))
            opened.load()
            eight = _eight_bits(opened)
        except ImageProblem:
            raise
        except Exception as error:  # Pillow's decoders raise many kinds for broken files
            raise ImageProblem("damaged", f"the image data cannot be decoded ({error or type(error).__name__})") from None
        turn = _TRANSPOSE.get(_orientation(opened))
        return eight if turn is None else eight.transpose(turn)


def _open(image: str | Path | bytes | Image.Image) -> Image.Image:
    if isinstance(image, Image.Image):
        name = getattr(image, "filename", "")
        # A file that Pillow has not read yet is read here afresh: decoding at a reduced scale would change the caller's.
        if not (image.format and name and Path(name).is_file()):
            return image.copy() if image.format is None else _keep_format(image)
        image = Path(name)
    start = image[:16] if isinstance(image, bytes) else b""
    try:
        if not isinstance(image, bytes):
            with Path(image).open("rb") as file:
                start = file.read(16)
        with warnings.catch_warnings() if _warns() else _Nothing():
            return Image.open(io.BytesIO(image) if isinstance(image, bytes) else image)
    except FileNotFoundError:
        raise ImageProblem("missing", "there is no such file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageProblem("bomb", f"it has more than {_limit():,} pixels") from None
    except UnidentifiedImageError:
        if not start:
            raise ImageProblem("damaged", "the file is empty") from None
        if start.startswith(_MAGIC):
            raise ImageProblem("damaged", "it begins like an image, but its header cannot be read") from None
        raise ImageProblem("not-an-image", "Pillow knows no image format that begins like this file") from None
    except OSError as error:
        raise ImageProblem("damaged", f"the file cannot be read ({error.strerror or error})") from None
    except Exception as error:  # Pillow's parsers raise many kinds for broken headers
        raise ImageProblem("damaged", f"its header cannot be read ({error or type(error).__name__})") from None
