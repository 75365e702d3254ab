"""From bytes, a file, a Pillow image or an array to one kind of picture: upright, 8-bit, grey or RGB.

Training, prediction, export and serving all decode here, so that they all see the same pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from deepenough.data.bounds.raster import check_pixels
from deepenough.data.decoder_remarks import collected, listen_to_libtiff
from deepenough.data.finding import ImageError
from deepenough.data.image_file import open_content, read_file, read_stream, supported
from deepenough.data.sixteen_bits import (
    FULL_RANGE,
    GREY_MODES,
    Histogram,
    Levels,
    convert,
    low_bytes,
    scaled_colours,
    scaled_grey,
    strips_of,
)
from deepenough.preprocessing import Preprocessing

ImageLike = str | Path | bytes | bytearray | memoryview | BinaryIO | Image.Image | NDArray[Any]

SMALLEST_SIDE = 8
"""Images with a shorter side (pixels) are called tiny."""

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_GREY = ("1", "L", "LA", "La", "F", *GREY_MODES)


class Decoded(NamedTuple):
    """A picture, and what was seen while it was decoded.

    `picture` is upright, of mode `L` or `RGB`; `histogram`: of the values of an image of 16 bits, empty for others;
    `remarks`: what decoders remarked about the file.
    """

    picture: Image.Image
    histogram: Histogram
    remarks: tuple[str, ...]


def header(image: ImageLike) -> tuple[int, int, bool]:
    """Height, width and whether it is grey, from the header alone where the format allows.

    Raises `ImageError` as `upright` does.
    """
    if isinstance(image, np.ndarray):
        _check_shape(image)
        check_pixels(image.shape[1], image.shape[0])
        _check_sides(image.shape[1], image.shape[0])
        return image.shape[0], image.shape[1], image.ndim == 2 or image.shape[2] == 1
    source = _source(image)
    with collected(), _opened(source) as opened:
        _check(opened)
        width, height = _upright_size(opened)
        if opened.mode in ("P", "PA"):
            return height, width, upright(source).mode == "L"
        return height, width, opened.mode in _GREY


def framed(image: ImageLike, wanted: Preprocessing) -> NDArray[np.uint8]:
    """uint8 (H, W, C) of an image as a network takes it. Raises `ImageError` as `upright` does."""
    return wanted.frame(upright(image, wanted.reading_side, wanted.levels))


def upright(image: ImageLike, at_least: int | None = None, levels: Levels | None = None) -> Image.Image:
    """The picture as a Pillow image of mode `L` or `RGB`, turned as its EXIF orientation says.

    Transparent pixels are laid on white; palettes, CMYK and the like are converted. Arrays are uint8 or uint16 or bool,
    or float in 0..1, shape (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).

    Args:
        image: a path, the bytes of a file, an open file, a Pillow image or an array.
        at_least: a shorter side (pixels) that is enough; a larger JPEG is then decoded at 1/2, 1/4 or 1/8 scale, never
            below that side.
        levels: the values of 16 bits that become 0 and 255, by default 0 and 65535. Values beyond become the same.

    Raises `ImageError`: damaged, missing, not-a-file, unreadable, not-an-image, unsupported, animated, bomb, tiny.
    """
    return decode_image(image, at_least, levels, measured=False).picture


def decode_image(
    image: ImageLike, at_least: int | None = None, levels: Levels | None = None, *, measured: bool = True
) -> Decoded:
    """As `upright`, with what was seen on the way. Without `measured`, no value of 16 bits is counted."""
    histogram = Histogram()
    seen = histogram if measured else None
    if isinstance(image, np.ndarray):
        picture = _from_array(image, levels, seen)
        _check(picture)
        return Decoded(picture, histogram, ())
    source = _source(image)
    with collected() as remarks, _opened(source) as opened:
        _check(opened)
        try:
            if at_least is not None and opened.format in ("JPEG", "MPO"):
                opened.draft(None, (at_least, at_least))
            if opened.format == "TIFF":
                listen_to_libtiff()
            low = low_bytes(opened, source) if measured or levels not in (None, FULL_RANGE) else None
            opened.load()
            eight = _eight_bits(opened, low, levels, seen)
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # Pillow's decoders raise many kinds for broken files
            told = "; ".join([str(error) or type(error).__name__, *remarks])
            raise ImageError("damaged", f"the image data cannot be decoded ({told})") from None
        turn = _TRANSPOSE.get(_orientation(opened))
        return Decoded(eight if turn is None else eight.transpose(turn), histogram, tuple(remarks))


def _source(image: ImageLike) -> bytes | Image.Image:
    """The bytes of a file, or an image that Pillow has read already, copied."""
    if isinstance(image, Image.Image):
        unread = getattr(image, "tile", None)
        name = getattr(image, "filename", "")
        if unread and name and Path(name).is_file():
            # Opened again, since decoding at a reduced scale would alter the caller's.
            return read_file(name)
        if unread and image.format not in (*supported(), "MPO"):
            raise ImageError("unsupported", f"it is {image.format}, which is not read; save it as PNG or JPEG")
        return image.copy()
    if isinstance(image, bytes):
        return image
    if isinstance(image, (bytearray, memoryview)):
        return bytes(image)
    if isinstance(image, (str, Path)):
        return read_file(image)
    if hasattr(image, "read"):
        return read_stream(cast(BinaryIO, image))
    raise ImageError(
        "not-an-image",
        f"a {type(image).__name__} is no image; give a path, bytes, an open file, a Pillow image or an array",
    )


def _opened(source: bytes | Image.Image) -> Image.Image:
    return open_content(source) if isinstance(source, bytes) else source


def _check(image: Image.Image) -> None:
    check_pixels(*image.size)
    # The bounds on work know of GIF and TIFF. The second picture of an MPO (a JPEG from a phone or a stereo camera) is
    # a preview or another eye, not motion.
    if image.format not in ("GIF", "TIFF", "MPO") and getattr(image, "is_animated", False):
        raise ImageError("animated", "it holds more than one picture, and one is needed")
    _check_sides(*image.size)


def _check_sides(width: int, height: int) -> None:
    if min(width, height) < SMALLEST_SIDE:
        raise ImageError("tiny", f"{width} x {height} is under {SMALLEST_SIDE} pixels a side")


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as they are after the turn."""
    width, height = image.size
    if isinstance(image, TiffImageFile):  # some versions of Pillow have turned its size already
        width, height = image.tag_v2[256], image.tag_v2[257]
    return (height, width) if _orientation(image) >= 5 else (width, height)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a broken EXIF block says nothing about the turn; the picture itself is whole
        return 1


def _eight_bits(
    image: Image.Image, low: Image.Image | None, levels: Levels | None, seen: Histogram | None
) -> Image.Image:
    """A loaded image in mode `L` or `RGB`. Values of 16 bits are counted in `seen`; `low` has the lower bytes of those
    that Pillow keeps the upper ones of."""
    mode = image.mode
    if mode in GREY_MODES:
        return scaled_grey(image, levels, seen)
    if mode == "F":
        return _scaled(np.asarray(image))
    if low is not None:
        image = scaled_colours(image, low, levels, seen)
    palette = image.palette
    clear = "transparency" in image.info or (mode == "P" and palette is not None and palette.mode == "RGBA")
    if clear or mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        whole = image.convert("LA" if mode == "La" else "RGBA").convert("RGBA")
        white = Image.new("RGBA", whole.size, "white")
        laid = Image.alpha_composite(white, whole).convert("RGB")
        return laid.convert("L") if mode in ("1", "L", "LA", "La") else _grey_if_grey(laid, mode)
    if mode in ("L", "RGB"):
        return image  # `_opened` made it for us
    return image.convert("L") if mode == "1" else _grey_if_grey(image.convert("RGB"), mode)


def _grey_if_grey(image: Image.Image, mode: str) -> Image.Image:
    """Palettes say nothing about colour, so their pixels do; a mode with colours counts as coloured."""
    if mode in ("P", "PA"):
        red, green, blue = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            return red
    return image


def _scaled(values: NDArray[Any]) -> Image.Image:
    """Floats in 0..1, (H, W) or (H, W, C), as a picture."""
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):
        raise ImageError("damaged", f"its values run from {low:g} to {high:g}; 0 to 1 can be read")
    pixels = np.empty(values.shape, np.uint8)
    row = 0
    for strip in strips_of(values):
        pixels[row : row + len(strip)] = np.rint(strip.astype(np.float64) * 255)
        row += len(strip)
    return Image.fromarray(pixels)


def _check_shape(array: NDArray[Any]) -> None:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or 0 in array.shape:
        raise ImageError(
            "not-an-image", f"an array of shape {array.shape} is no image; (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) is"
        )


def _from_array(array: NDArray[Any], levels: Levels | None, seen: Histogram | None) -> Image.Image:
    """An array as a picture. Values of 16 bits are counted in `seen`."""
    _check_shape(array)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype == np.uint16:
        pixels = np.empty(array.shape, np.uint8)
        convert(strips_of(array), levels, pixels, seen)
        array = pixels
    elif array.dtype.kind == "f":
        array = np.asarray(_scaled(array))
    elif array.dtype != np.uint8:
        raise ImageError("not-an-image", f"an array of {array.dtype}; uint8, uint16, bool or float in 0..1 can be read")
    picture = Image.fromarray(np.ascontiguousarray(array))
    return _eight_bits(picture, None, None, None) if picture.mode == "RGBA" else picture
