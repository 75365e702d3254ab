"""Remarks of decoders about files that they read all the same: collected, file by file, instead of printed."""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from functools import cache
from types import ModuleType
from typing import Any

from PIL import _imaging

MOST_REMARKS = 3  # remarks on one file that are kept

_thread = threading.local()
_HARMLESS = (
    "Image size (",  # of a bomb, which is refused
    "Palette images with Transparency",
    "Metadata Warning, tag",
    "TIFFReadDirectory: Unknown field",
)


class collected:  # noqa: N801 - it reads like the functions of contextlib, and is quicker
    """A context: the remarks on what this thread decodes meanwhile, each once, the harmless ones left out."""

    def __enter__(self) -> list[str]:
        self._before = getattr(_thread, "remarks", None)
        remarks: list[str] = []
        _thread.remarks = remarks
        return remarks

    def __exit__(self, *_: object) -> None:
        _thread.remarks = self._before


def _remark(text: str) -> bool:
    """Keep a remark, if this thread collects them."""
    remarks: list[str] | None = getattr(_thread, "remarks", None)
    if remarks is None:
        return False
    text = " ".join(text.split())
    if text not in remarks and len(remarks) < MOST_REMARKS and not text.startswith(_HARMLESS):
        remarks.append(text)
    return True


class _Warnings:
    """Stands for the module `warnings` in a module of Pillow. Python's own way of catching warnings changes the whole
    process, and threads that decode side by side would undo one another's changes."""

    def warn(
        self, message: Any, category: type[Warning] | None = None, stacklevel: int = 1, source: Any = None
    ) -> None:
        if not _remark(str(message)):
            warnings.warn(message, category, stacklevel + 1, source)

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)


def listen_to_pillow(module: ModuleType) -> None:
    """Have the warnings of a module of Pillow come here while a thread collects them."""
    if "warnings" in vars(module):
        setattr(module, "warnings", _Warnings())  # noqa: B010 - the type checker knows of no such attribute
    # Python prints what nobody handles.
    logging.getLogger(module.__name__).addHandler(logging.NullHandler())


@cache
def listen_to_libtiff() -> None:
    """Have libtiff's remarks come here instead of to the process's standard error.

    Pillow gives no access to them, and its own library's functions are asked for by name; where they can't be had,
    libtiff goes on printing.
    """
    try:
        library, process = ctypes.CDLL(_imaging.__file__), ctypes.CDLL(None)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(ctypes.cast(_libtiff_handler, ctypes.c_void_p))
        process.vsnprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p]
    except (OSError, AttributeError, TypeError):
        return


def _hear_libtiff(module: bytes | None, text: bytes, values: int) -> None:
    """Take one remark: its format, and the list of its values as C hands it over (a pointer, on Linux and macOS)."""
    line = ctypes.create_string_buffer(512)
    ctypes.CDLL(None).vsnprintf(line, len(line), text, ctypes.c_void_p(values))
    _remark(b": ".join(filter(None, (module, line.value))).decode("utf-8", "replace"))


_libtiff_handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_hear_libtiff)
