"""Python signatures and docstrings with every option, made from the schema."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from textwrap import fill
from typing import Any, TypeVar

from deepenough.experiment.options import Options, fit_options
from deepenough.schema import Option, options_of
from deepenough.units import UNITS

_Function = TypeVar("_Function", bound=Callable[..., Any])
WIDTH = 100


def takes_options(function: _Function, *, without: Collection[str] = ()) -> _Function:
    """Have `inspect.signature` and `help` of a function with `**options` list the options of `fit`, with defaults, but
    those that it is `without`."""
    plain: Any = function
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    added = [each for name, each in fit_options().items() if name not in (*signature.parameters, *without)]
    plain.__signature__ = signature.replace(parameters=[*own, *map(_parameter, added)])
    lines = [_line(each) for each in added]
    plain.__doc__ = "\n".join([inspect.cleandoc(plain.__doc__), "", "Options:", *lines])
    return function


def _parameter(each: Option) -> inspect.Parameter:
    """A keyword; an option of the recipe or of the augmentation is None unless it is given."""
    mine = each.name in options_of(Options)
    kind = each.kind if mine or each.kind.endswith("None") else f"{each.kind} | None"
    kind = f"str | {kind}" if each.unit in UNITS else kind
    default = each.default if mine else None
    return inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _line(each: Option) -> str:
    text = each.help + " One or several." * each.several
    if unit := UNITS.get(each.unit):
        text += f" A number{f' of {unit.base}' if unit.base else ''}, or text such as {unit.examples}."
    text += f" Choices: {', '.join(each.known)}." if each.choices else ""
    text += f" Default: {each.default_in_words}." if each.default_in_words else ""
    return fill(f"{each.name}: {text}", WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 8)
