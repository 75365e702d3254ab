"""Options declared once, on the fields of the dataclasses that hold them: default, help, choices, unit and limits.

The command line, Python's signatures, validation and `docs/options.md` are made from what `option` leaves on a field.
Imports nothing heavy.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from types import FunctionType, NoneType
from typing import Any

from deepenough.errors import DeepenoughError, fits_a_message, unknown
from deepenough.units import UNITS, comma_advice

METADATA = "option"


class Section(StrEnum):
    """The sections of `deepenough fit --help`, in its order."""

    DATA = "Data"
    QUESTION = "Question"
    SEARCH = "Search"
    TRAINING = "Training"
    AUGMENTATION = "Augmentation"
    SPEED = "Speed"
    OUTPUT = "Output"


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option.

    Args:
        name: of the field.
        kind: the field's type, as it is written: "float | None".
        default: the field's default.
        help: a sentence or two for the user.
        section: the section of the help.
        common: among the few that most people need.
        choices: the values that there are, or a function that gives them where importing them takes long.
        unit: what a value counts, in capitals: DEGREES, or one of `UNITS`, whose values may be text.
        least: the smallest value.
        above: the bound that every value has to be above.
        most: the largest value.
        below: the bound that every value has to be below.
        otherwise: what is done where the option is left out, if its default doesn't say it.
        hint: what to do about a value out of bounds.
        flag: its name on the command line without `--`, where that is not the field's.
        exposed: whether a user can set it; others are chosen by deepenough and kept in the record.
    """

    name: str = ""
    kind: str = ""
    default: Any = None
    help: str
    section: Section = Section.TRAINING
    common: bool = False
    choices: Any = ()
    unit: str = ""
    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    below: float = math.inf
    otherwise: str = ""
    hint: str = ""
    flag: str = ""
    exposed: bool = True

    @property
    def spelled(self) -> str:
        """The option as it is written on the command line."""
        return f"--{self.flag or self.name.replace('_', '-')}"

    @property
    def base(self) -> str:
        """The type of one value: str, int, float or bool."""
        return self.kind.removesuffix(" | None").removeprefix("tuple[").removesuffix(", ...]")

    @property
    def several(self) -> bool:
        """True if the option can be given more than once."""
        return self.kind.startswith("tuple[")

    @property
    def default_in_words(self) -> str:
        """The default, or what stands for it; empty where nothing is to be said."""
        if self.otherwise or self.section is Section.AUGMENTATION:
            return self.otherwise
        if self.default is None or self.default is False or self.default == ():
            return ""
        return f"{self.default:g}" if self.base == "float" else str(self.default)

    @property
    def known(self) -> tuple[str, ...]:
        """The choices; empty where any value will do."""
        given: Iterable[str] = self.choices() if isinstance(self.choices, FunctionType) else self.choices
        return tuple(str(each) for each in given)

    @property
    def bounds(self) -> str:
        """The limits in words: "more than 0", "0 to 180"; empty where there are none."""
        if self.above == 0 and self.below == 1:
            return "a share between 0 and 1"
        if self.least > -math.inf and self.most < math.inf:
            return f"{self.least:g} to {_number(self.most)}"
        words = (
            (self.least, f"at least {self.least:g}"),
            (self.above, f"more than {self.above:g}"),
            (self.most, f"at most {_number(self.most)}"),
            (self.below, f"less than {_number(self.below)}"),
        )
        return " and ".join(text for bound, text in words if math.isfinite(bound))

    def read(self, value: Any) -> Any:
        """A value as people write it ("20m", "95%", a NumPy number, a path) as the option holds it.

        Raises the error for one of a type that the option can't have; limits are for `check`.
        """
        if value is None:
            return None
        return tuple(map(self._read_one, _each(value))) if self.several else self._read_one(value)

    def _read_one(self, value: Any) -> Any:
        if self.choices or self.base not in ("bool", "int", "float"):
            if isinstance(value, (str, os.PathLike)):
                return str(os.fspath(value))
            if self.choices:
                raise unknown(self.spelled, value, self.known)
        elif self.base == "bool":
            if str(value) in ("True", "False", "1", "0") and not isinstance(value, str):
                return bool(value)
        elif (number := self._number(value)) is not None:
            return number
        raise DeepenoughError(f"{self.spelled} {_shown(value)}: expected {self._expected}")

    def _number(self, value: Any) -> float | None:
        """The number that a value stands for; None for a value of a type that stands for none."""
        if isinstance(value, str):
            value = self._from_text(value)
        elif not hasattr(value, "__float__") or str(value) in ("True", "False"):
            return None
        try:
            if self.base == "int" and not float(value).is_integer():
                return None
            whole = self.base == "int" and hasattr(value, "__index__")  # exact, also where a float would not be
            return operator.index(value) if whole else int(value) if self.base == "int" else float(value)
        except (TypeError, ValueError, OverflowError):
            return None

    def _from_text(self, text: str) -> float:
        """The number that a text stands for, with a unit where the option has one."""
        try:
            if self.unit in UNITS:
                return UNITS[self.unit].parse(text)
            return int(text) if text.strip().lstrip("+-").isdecimal() else float(text)
        except DeepenoughError as error:
            raise DeepenoughError(f"{self.spelled} {error}") from None
        except ValueError:
            raise DeepenoughError(f"{self.spelled} {text!r}: expected {self._expected}{comma_advice(text)}") from None

    def check(self, value: Any) -> None:
        """Raise the error for a value that the option can't have."""
        if value is None:
            if "None" not in self.kind and self.default is not None:
                raise DeepenoughError(f"{self.spelled} None: expected {self._expected}")
            return
        for each in value if self.several else (value,):
            self._check_one(each)

    def _check_one(self, value: Any) -> None:
        if self.known:
            if value not in self.known:
                raise unknown(self.spelled, value, self.known)
        elif self.base == "bool":
            if value not in (False, True):
                raise DeepenoughError(f"{self.spelled} {value}: expected True or False")
        elif self.base in ("int", "float"):
            number = isinstance(value, (int, float)) or hasattr(value, "__float__")
            if not number or (self.base == "int" and value % 1):
                raise DeepenoughError(f"{self.spelled} {value!r}: expected {self._expected}")
            # Said as what has to hold, so that nan holds nowhere.
            if not (self.least <= value <= self.most and self.above < value < self.below):
                raise DeepenoughError(f"{self.spelled} {_number(value)}: expected {self.bounds}{self._advice(value)}")

    @property
    def _expected(self) -> str:
        if self.unit in UNITS:
            noun = "a whole number" if self.base == "int" else UNITS[self.unit].noun
            return f"{noun}, such as {UNITS[self.unit].examples}"
        return {"int": "a whole number", "float": "a number", "bool": "True or False"}.get(self.base, "text")

    def _advice(self, value: float) -> str:
        """The advice on a value out of bounds. 1 may be meant as 1% or as all: a hint, if any, tells."""
        if self.above == 0 and 1 in (self.below, self.most) and 1 <= value < 100 and (value > 1 or not self.hint):
            return f"; for {value:g}% write {value / 100:g} or {value:g}%" + " (1 is 100%)" * (value == 1)
        return f"; {self.hint}" if self.hint else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _each(value: Any) -> Iterable[Any]:
    """The values of an option that takes several; one of them stands for itself, and a mapping for none."""
    one = isinstance(value, (str, os.PathLike, Mapping)) or not isinstance(value, Iterable)
    return (value,) if one else value


def _shown(value: Any) -> str:
    """A value in a message: text as it is, else its repr, or its type where that is long."""
    if isinstance(value, str):
        return value if value.strip() else repr(value)
    text = repr(value)
    return text if fits_a_message(text) else f"of type {type(value).__name__}"


def option(default: Any, text: str, section: Section = Section.TRAINING, **more: Any) -> Any:
    """A field of a dataclass that is an option; `more` are fields of `Option`."""
    return field(default=default, metadata={METADATA: Option(help=text, section=section, **more)})


def internal(default: Any, text: str, **more: Any) -> Any:
    """A field that deepenough sets itself; `more` are fields of `Option`."""
    return option(default, text, exposed=False, **more)


def options_of(schema: type) -> Mapping[str, Option]:
    """The options of a dataclass by name."""
    return {
        each.name: replace(each.metadata[METADATA], name=each.name, kind=str(each.type), default=each.default)
        for each in fields(schema)
        if METADATA in each.metadata
    }


def exposed_options(*schemas: type) -> dict[str, Option]:
    """The options that a user can set, of several dataclasses."""
    return {name: each for schema in schemas for name, each in options_of(schema).items() if each.exposed}


def check_options(instance: Any) -> None:
    """Raise the error for the first field whose value its option can't have."""
    for name, each in options_of(type(instance)).items():
        each.check(getattr(instance, name))


def parts_of(name: str, given: Any) -> dict[str, Any]:
    """The options that a user gives together, by their names; none for None. Anything else is an error."""
    if not isinstance(given, (Mapping, NoneType)):
        raise DeepenoughError(f"{name}={given!r:.60}: expected a dict of options by their names, as {{'rotation': 10}}")
    return dict(given or {})
