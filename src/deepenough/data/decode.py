"""From bytes, a file, a Pillow image or an array to one kind of picture: upright, 8-bit, grey or RGB.

Training, prediction, export and serving all decode here, so that they all see the same pixels.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deepenough.data.finding import ImageError
from deepenough.preprocessing import Preprocessing

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

    Raises `ImageError` as `upright` does.
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


def framed(image: ImageLike, wanted: Preprocessing) -> NDArray[np.uint8]:
    """uint8 (H, W, C) of a path, the bytes of a file, a Pillow image or an array. Raises `ImageError` as `upright`."""
    return wanted.frame(upright(image, wanted.reading_side))


def upright(image: ImageLike, at_least: int | None = None) -> Image.Image:
    """The picture as a Pillow image of mode `L` or `RGB`, turned as its EXIF orientation says.

    16-bit grey is scaled to 8 bits, transparent pixels are laid on white, palettes, CMYK and the like are converted.
    `at_least`: a shorter side (pixels) that is enough; a larger JPEG is then decoded at 1/2, 1/4 or 1/8 scale, never
    below that side. Arrays are uint8 or uint16 or bool, or float in 0..1, shape (H, W), (H, W, 1), (H, W, 3) or
    (H, W, 4).

    Raises `ImageError`: damaged, missing, not-an-image, animated, bomb, tiny.
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
        except ImageError:
            raise
        except Exception as error:  # Pillow's decoders raise many kinds for broken files
            raise ImageError("damaged", f"the image data cannot be decoded ({error or type(error).__name__})") from None
        turn = _TRANSPOSE.get(_orientation(opened))
        return eight if turn is None else eight.transpose(turn)


def _open(image: str | Path | bytes | Image.Image) -> Image.Image:
    start = image[:16] if isinstance(image, bytes) else b""
    try:
        if isinstance(image, Image.Image):
            name = getattr(image, "filename", "")
            if not (getattr(image, "tile", None) and name and Path(name).is_file()):
                return image.copy()
            # A file that Pillow has not read yet is opened again: decoding at a reduced scale would alter the caller's.
            image = Path(name)
        if isinstance(image, bytes):
            return Image.open(io.BytesIO(image))
        with Path(image).open("rb") as file:
            start = file.read(16)
        return Image.open(image)
    except FileNotFoundError:
        raise ImageError("missing", "there is no such file") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError("bomb", f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        if not start:
            raise ImageError("damaged", "the file is empty") from None
        if start.startswith(_MAGIC):
            raise ImageError("damaged", "it begins like an image, but its header cannot be read") from None
        raise ImageError("not-an-image", "it begins like no image format that Pillow knows") from None
    except OSError as error:
        raise ImageError("damaged", f"it cannot be read ({error.strerror or error})") from None
    except Exception as error:  # Pillow's parsers raise many kinds for broken headers
        raise ImageError("damaged", f"its header cannot be read ({error or type(error).__name__})") from None


def _check(image: Image.Image) -> None:
    width, height = image.size
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ImageError("bomb", f"{width} x {height} is more than {limit:,} pixels")
    # The second picture of an MPO (a JPEG from a phone or a stereo camera) is a preview or another eye, not motion.
    if image.format != "MPO" and (count := _frames(image)) > 1:
        raise ImageError("animated", f"it holds {count} pictures, and one is needed")
    if min(width, height) < SMALLEST_SIDE:
        raise ImageError("tiny", f"{width} x {height} is under {SMALLEST_SIDE} pixels a side")


def _frames(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception as error:  # counting reads on in the file, and stumbles where it is broken
        raise ImageError("damaged", f"its pictures cannot be counted ({error or type(error).__name__})") from None


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a broken EXIF block says nothing about the turn; the picture itself is whole
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode in _SIXTEEN_BITS:
        return _scaled(np.asarray(image).astype(np.int64), 65535)
    if mode == "F":
        return _scaled(np.asarray(image).astype(np.float64), 1)
    palette = image.palette
    clear = "transparency" in image.info or (mode == "P" and palette is not None and palette.mode == "RGBA")
    if clear or mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        whole = image.convert("LA" if mode == "La" else "RGBA").convert("RGBA")
        white = Image.new("RGBA", whole.size, "white")
        laid = Image.alpha_composite(white, whole).convert("RGB")
        return laid.convert("L") if mode in ("1", "L", "LA", "La") else _grey_if_grey(laid, mode)
    if mode in ("L", "RGB"):
        return image  # `_open` made it for us
    if mode == "1":
        return image.convert("L")
    return _grey_if_grey(image.convert("RGB"), mode)


def _grey_if_grey(image: Image.Image, mode: str) -> Image.Image:
    """Palettes say nothing about colour, so their pixels do; a mode with colours counts as coloured."""
    if mode in ("P", "PA"):
        red, green, blue = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return red
    return image


def _scaled(values: NDArray[Any], top: int) -> Image.Image:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):
        raise ImageError("damaged", f"its values run from {low:g} to {high:g}; 0 to {top} can be read")
    return Image.fromarray(np.rint(values * (255 / top)).astype(np.uint8))


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ImageError(
            "damaged", f"an array of shape {array.shape} is no image; (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) is"
        )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype != np.uint8:
        if array.dtype != np.uint16 and array.dtype.kind != "f":
            raise ImageError("damaged", f"an array of {array.dtype}; uint8, uint16, bool or float in 0..1 can be read")
        array = np.asarray(
            _scaled(array.reshape(array.shape[0], -1), 65535 if array.dtype == np.uint16 else 1)
        ).reshape(array.shape)
    picture = Image.fromarray(np.ascontiguousarray(array))
    return _eight_bits(picture) if picture.mode == "RGBA" else picture
