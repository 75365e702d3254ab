"""Pickles of NumPy arrays, read without running anything: whatever else they name is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.pickles import Ordered, check_pickle


class _RefusedError(Exception):
    """The name that a pickle asked for and does not get."""


def _encode(text: object, encoding: str = "latin1") -> object:
    """Bytes as pickles of protocol 2 write them, still as text: each call would make a copy."""
    if encoding != "latin1":
        raise _RefusedError(f"_codecs.encode to {encoding}")
    return text


class _Kind:
    """The mark of plain arrays, `numpy.ndarray`; a call would make one of any size."""

    def __new__(cls, *_given: Any) -> _Kind:
        raise _RefusedError("an array without its content")


class _DType:
    """A `numpy.dtype`, of which only plain numbers' are made."""

    def __init__(self, code: Any, *_given: Any) -> None:
        self._code = code
        self._order: Any = "="

    def __setstate__(self, state: Any) -> None:
        self._order = state[1]

    def made(self) -> np.dtype[Any]:
        if not isinstance(self._code, str) or len(self._code) > 3:
            raise ValueError("not a type of numbers")
        return np.dtype(self._code).newbyteorder(self._order)


class _Array:
    """An array in a pickle: it keeps what the pickle has for it, which other arrays may share, and copies nothing."""

    def __init__(self) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def made(self) -> np.ndarray[Any, Any]:
        """Make the array, read-only. What does not fit together raises any exception."""
        _, shape, kind, fortran, content = self._state
        if not isinstance(kind, _DType):
            raise TypeError("an array of no type")
        content = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(content, kind.made()).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    """Do as numpy's `_reconstruct` for a plain array: make an empty one, whose content follows."""
    if kind is not _Kind or shape != (0,):
        raise _RefusedError("an array of a kind of its own")
    return _Array()


ALLOWED = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    ("numpy", "ndarray"): _Kind,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): Ordered,
}
"""Everything that a pickle may name: what arrays are made of."""


class _Arrays(pickle.Unpickler):
    """An unpickler that knows arrays and containers, and can call nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise _RefusedError(f"{module}.{name}")
        return ALLOWED[module, name]


def array_of(value: object) -> np.ndarray[Any, Any] | None:
    """The array that an object of a pickle stands for, read-only; None for anything else and for a damaged one."""
    try:
        return value.made() if isinstance(value, _Array) else None
    except Exception:  # of state that may be anything
        return None


def load_pickled_arrays(path: Path, expected: str) -> Any:
    """The plain containers and values of a pickle, in which `array_of` finds the arrays. Text of Python 2 is Latin-1.

    Raises the error for a pickle that names anything else than arrays, which says what was `expected`.
    """
    try:
        with path.open("rb") as file:
            check_pickle(file)
            file.seek(0)
            return _Arrays(file, encoding="latin1").load()
    except _RefusedError as refused:
        raise DeepenoughError(
            f"{path} is a pickle that asks for {refused}, which could run code; it was not loaded. Expected are "
            f"{expected}"
        ) from None
    except Exception as error:  # a damaged pickle fails in every way there is
        raise DeepenoughError(
            f"{path} is a pickle that can't be read ({type(error).__name__}); fetch it again"
        ) from None
