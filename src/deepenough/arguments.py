"""Arguments of public functions, checked by their annotations as Python calls them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from deepenough.errors import DeepenoughError, fits_a_message

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_WORDS = {
    bool: "True or False", int: "a whole number", float: "a number", str: "text", Path: "a path", NoneType: "None"
}  # fmt: skip


def check_arguments(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """Have the arguments of each call checked: for one that is not of its annotation, the error says what is expected.

    NumPy's numbers are taken for Python's, which the function gets, and whatever names a path for a `Path`.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def checked(*args: _Given.args, **kwargs: _Given.kwargs) -> _Result:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # Python's own error names the function
        hints = get_type_hints(function)
        for name, value in given.arguments.items():
            hint = hints.get(name, Any)
            if not _is_of(value, hint):
                raise DeepenoughError(f"{name}={_shown(value)}: expected {_expected(hint)}")
            if hint is not Any:
                given.arguments[name] = _plain(value)
        return function(*given.args, **given.kwargs)

    return checked


def _is_of(value: Any, hint: Any) -> bool:
    """True if a value is what an annotation says."""
    if hint is Any:
        return True
    if get_origin(hint) in (Union, UnionType):
        return any(_is_of(value, each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        return isinstance(value, (tuple, list)) and len(value) == len(kinds) and all(map(_is_of, value, kinds))
    truth = isinstance(value, (bool, np.bool_))
    if hint in (int, float):
        return not truth and isinstance(value, Integral if hint is int else Real)
    return truth if hint is bool else isinstance(value, os.PathLike if hint is Path else get_origin(hint) or hint)


def _plain(value: Any) -> Any:
    """A value with Python's own numbers, truth values and paths, also within a tuple."""
    if isinstance(value, (tuple, list)):
        return list(map(_plain, value)) if isinstance(value, list) else tuple(map(_plain, value))
    if isinstance(value, os.PathLike):
        return Path(os.fspath(value))
    return value.item() if isinstance(value, np.generic) else value


def _shown(value: Any) -> str:
    """A value in a message: its repr, or its type where that is long."""
    text = repr(value)
    return text if fits_a_message(text) else f"<{type(value).__name__}>"


def _expected(hint: Any) -> str:
    """The annotation in words."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_expected(each) for each in get_args(hint))
    if get_origin(hint) is tuple:
        return f"({', '.join(_expected(each) for each in get_args(hint))})"
    return _WORDS.get(hint) or f"a {hint.__name__}"
