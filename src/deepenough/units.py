"""Quantities as people write them, 20m, 4MB, 5ms or 2M, as numbers. Imports nothing heavy."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, DecimalException

from deepenough.errors import DeepenoughError

NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?"  # not negative


@dataclass(frozen=True)
class Unit:
    """A kind of quantity.

    Args:
        name: in capitals, as options of it are shown.
        noun: for a value of it, in errors.
        base: what its numbers count.
        examples: of values, in words.
        factors: by the endings in lower case; without an ending only where "" is one.
    """

    name: str
    noun: str
    base: str
    examples: str
    factors: Mapping[str, str]

    def parse(self, text: str) -> float:
        """A number of `base`; text that is no quantity of this unit is an error.

        >>> UNITS["LATENCY"].parse("5ms"), UNITS["COUNT"].parse("2.3M")
        (0.005, 2300000.0)
        """
        match = re.fullmatch(rf"({NUMBER})\s*([a-zµμ%]*)", text.strip().lower())
        if match and match[2] in self.factors:
            with suppress(DecimalException):  # beyond what Decimal holds
                number = float(Decimal(match[1]) * Decimal(self.factors[match[2]]))  # in decimals: 95% is 0.95
                if math.isfinite(number):
                    return number
        raise DeepenoughError(f"{text!r}: expected {self.noun}, such as {self.examples}{comma_advice(text)}")


def comma_advice(text: str) -> str:
    """The advice for a number with a decimal comma; empty for other text."""
    comma = re.fullmatch(r"\s*([+-]?\d*),(\d+)(.*)", text)
    return f"; write a point for the comma: {comma[1] or '0'}.{comma[2]}{comma[3].rstrip()}" if comma else ""


def _bytes() -> dict[str, str]:
    """The endings of amounts of memory: K, KB and KiB, up to T."""
    factors = {"": "1", "b": "1"}
    for power, letter in enumerate("kmgt", 1):
        factors |= dict.fromkeys((letter, f"{letter}b"), str(1000**power))
        factors |= dict.fromkeys((f"{letter}i", f"{letter}ib"), str(1024**power))
    return factors


UNITS = {
    unit.name: unit
    for unit in (
        Unit("TIME", "a length of time", "seconds", "90s, 20m or 1.5h", {"": "1", "s": "1", "m": "60", "h": "3600"}),
        Unit("SIZE", "an amount of memory", "bytes", "500MB or 20GB", _bytes()),
        Unit(
            "LATENCY",
            "a latency with its unit",
            "seconds",
            "5ms, 800us or 0.1s",
            {"s": "1", "ms": "1e-3", "us": "1e-6", "µs": "1e-6", "μs": "1e-6"},
        ),
        Unit("SHARE", "a share", "", "0.95 or 95%", {"": "1", "%": "0.01"}),
        Unit("COST", "a number or a share", "", "2, 0.7 or 70%", {"": "1", "%": "0.01"}),
        Unit("PROBABILITY", "a probability", "", "0.25 or 25%", {"": "1", "%": "0.01"}),
        Unit("COUNT", "a count", "", "500k or 2M", {"": "1", "k": "1e3", "m": "1e6", "g": "1e9", "b": "1e9"}),
    )
}
"""The units of options that can be given as text, by name."""


def latency_text(seconds: float) -> str:
    """A latency with three figures: 0.00123 is "1.23 ms"."""
    value = 1000 * seconds
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f} ms"


def count_text(number: float) -> str:
    """A count, exactly: 2,300,000 is "2.3M", 1,234,567 stays "1,234,567"."""
    return _exact(number, (("G", 1e9), ("M", 1e6), ("k", 1e3)), "")


def size_text(number: float) -> str:
    """Bytes, exactly: 4,200,000 is "4.2 MB", 1,234,567 is "1,234,567 bytes"."""
    return _exact(number, ((" GB", 1e9), (" MB", 1e6), (" kB", 1e3)), " bytes")


def _exact(number: float, endings: tuple[tuple[str, float], ...], otherwise: str) -> str:
    for ending, factor in endings:
        short = f"{number / factor:.3g}"
        if number >= factor and "e" not in short and float(short) * factor == number:
            return short + ending
    return f"{number:,.0f}{otherwise}"
