"""Formats that are not read as images: the error names them, and says what to do."""

from __future__ import annotations

import re

from deepenough.data.finding import ImageError
from deepenough.data.image_formats import brands

_SAVE = "save it as PNG or JPEG"
_PICTURES: dict[bytes, tuple[str, str]] = {
    b"%!PS": ("PostScript", _SAVE),
    b"\xc5\xd0\xd3\xc6": ("PostScript (EPS)", _SAVE),
    b"%PDF-": ("PDF", "save its page as PNG"),
    b"8BPS": ("a Photoshop document", _SAVE),
    b"\0\0\1\0": ("a Windows icon", _SAVE),
    b"\0\0\2\0": ("a Windows cursor", _SAVE),
    b"icns": ("a macOS icon", _SAVE),
    b"\xd7\xcd\xc6\x9a": ("a Windows metafile", _SAVE),
    b"\1\0\x09\0\0\3": ("a Windows metafile", _SAVE),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("FlashPix or an Office document", _SAVE),
    b"AT&TFORM": ("DjVu", _SAVE),
    b"SIMPLE  =": ("FITS", "save it as TIFF or PNG of 16 bits"),
    b"DDS ": ("a DirectDraw surface", _SAVE),
    b"v/1\x01": ("OpenEXR", _SAVE),
    b"#?RADIANCE": ("Radiance HDR", _SAVE),
    b"#?RGBE": ("Radiance HDR", _SAVE),
    b"\xff\x0a": ("JPEG XL", _SAVE),
    b"\0\0\0\x0cJXL ": ("JPEG XL", _SAVE),
    b"II\xbc": ("JPEG XR", _SAVE),
    b"FUJIFILMCCD-RAW": ("a camera's raw file", "develop it to JPEG or TIFF"),
    b"IIU\0": ("a camera's raw file", "develop it to JPEG or TIFF"),
    b"IIRO": ("a camera's raw file", "develop it to JPEG or TIFF"),
    b"qoif": ("QOI", _SAVE),
    b"P7\n": ("PAM", _SAVE),
    b"PF\n": ("PFM in colour", _SAVE),
    b"\n\5\1": ("PCX", _SAVE),
    b"\x01\xda": ("SGI", _SAVE),
    b"Y\xa6j\x95": ("a Sun raster", _SAVE),
    b"/* XPM */": ("XPM", _SAVE),
    b"gimp xcf": ("a GIMP document", _SAVE),
    b"\x8aMNG": ("MNG, an animation", "save one of its pictures as PNG"),
    b"BLP": ("BLP", _SAVE),
}
_OTHERS: dict[bytes, tuple[str, str]] = {
    b"version https://git-lfs": ("a pointer of Git LFS, not the picture itself", "fetch it with `git lfs pull`"),
    b"PK\3\4": ("a ZIP archive", "unpack it"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it"),
    b"BZh": ("compressed by bzip2", "unpack it"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it"),
    b"(\xb5/\xfd": ("compressed by zstd", "unpack it"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    b"\x93NUMPY": ("a NumPy array", "save it as PNG"),
    b"\x89HDF": ("HDF5", "save its images as PNG"),
    b"MATLAB 5.0": ("a MATLAB file", "save its images as PNG"),
    b"\x1aE\xdf\xa3": ("a video", "save single pictures of it"),
    b"\0\0\1\xba": ("a video", "save single pictures of it"),
    b"\0\5\x16\7": ("what macOS keeps beside a file", "delete it"),
    b"SQLite format 3": ("a database", "leave it out"),
}
_MARKUP = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|\?xml|!--|svg)", re.IGNORECASE)
_BRANDS = {
    b"crx ": "a camera's raw file",
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), "HEIC"),
}
_LOOKED_AT = 1024


def format_error(content: bytes) -> ImageError:
    """The error for the bytes of a file that is none of the formats that are read.

    Its kind is "unsupported" for pictures of another format, and "not-an-image" for anything else.
    """
    start = content[:_LOOKED_AT]
    for signature, (name, advice) in _PICTURES.items():
        if start.startswith(signature):
            return ImageError("unsupported", f"it is {name}, which is not read; {advice}")
    if start[128:132] == b"DICM":
        return ImageError("unsupported", "it is DICOM, which is not read; save it as PNG or TIFF of 16 bits")
    if start[40:44] == b" EMF":
        return ImageError("unsupported", f"it is a Windows metafile, which is not read; {_SAVE}")
    if found := brands(start):
        return _media(found)
    for signature, (name, advice) in _OTHERS.items():
        if start.startswith(signature):
            return ImageError("not-an-image", f"it is {name}; {advice}")
    if start.startswith(b"RIFF"):
        return ImageError("not-an-image", "it is sound or video; save single pictures of it")
    if found_markup := _MARKUP.match(start):
        if found_markup[1].lower() == b"svg" or b"<svg" in start:
            return ImageError("unsupported", "it is SVG, which is not read; save it as PNG")
        if found_markup[1].lower() not in (b"?xml", b"!--"):
            return ImageError("not-an-image", "it is a web page, maybe an error message; fetch the picture again")
    return ImageError("not-an-image", "it begins like no image format that is read")


def _media(found: list[bytes]) -> ImageError:
    """The error for a file of the ISO base media format, by the kinds that it says it is."""
    name = next((_BRANDS[brand] for brand in found if brand in _BRANDS), None)
    if name is None and any(brand in (b"mif1", b"msf1") for brand in found):
        name = "HEIF"
    if name is not None:
        return ImageError("unsupported", f"it is {name}, which is not read; {_SAVE}")
    return ImageError("not-an-image", "it is a video; save single pictures of it")
