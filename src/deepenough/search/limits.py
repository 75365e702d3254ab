"""Limits of size that networks have to keep to be considered at all. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError
from deepenough.units import count_text, latency_text, size_text

if TYPE_CHECKING:
    from deepenough.search.architectures import Architecture


class StoredAs(StrEnum):
    """The numbers that weights are stored in, in the words of `export`: as they are, with --half or with --int8."""

    FLOAT32 = "float32"
    HALF = "half"
    INT8 = "int8"


@dataclass(frozen=True)
class SizeLimits:
    """The most seconds of a prediction (by its median), parameters, and bytes of weights; None for any.

    The bytes are those of weights stored as `size_as`, a `StoredAs`.
    """

    latency: float | None = None
    parameters: int | None = None
    size: float | None = None
    size_as: str = StoredAs.FLOAT32

    def exceeded(self, architecture: Architecture) -> str:
        """Name what of an architecture is over a limit: "2.8M parameters"; empty where nothing is."""
        values = self._values(architecture)
        return " and ".join(said for said, value, most in values if value > most)

    def excess(self, architecture: Architecture) -> float:
        """The quantity that is furthest over its limit, as a multiple of that; 0 where nothing has a limit."""
        return max((value / most for _, value, most in self._values(architecture)), default=0.0)

    def _values(self, architecture: Architecture) -> list[tuple[str, float, float]]:
        """Every quantity that has a limit and is known: in words, its value, and the limit."""
        latency, size = architecture.latency, architecture.bytes_as(self.size_as)
        values: list[tuple[str, float, float | None]] = [
            (f"{count_text(architecture.parameters)} parameters", architecture.parameters, self.parameters),
            (self._weights_text(size), size, self.size),
        ]
        if latency is not None:
            values.append((latency_text(latency.median), latency.median, self.latency))
        return [(said, value, most) for said, value, most in values if most is not None]

    def __str__(self) -> str:
        parts = []
        if self.latency is not None:
            parts.append(f"{1000 * self.latency:g} ms")
        if self.parameters is not None:
            parts.append(f"{count_text(self.parameters)} parameters")
        if self.size is not None:
            parts.append(self._weights_text(self.size))
        return " and ".join(parts)

    def _weights_text(self, size: float) -> str:
        """Bytes of weights, "4 MB of weights as int8"."""
        stored = "" if self.size_as == StoredAs.FLOAT32 else f" as {self.size_as}"
        return f"{size_text(size)} of weights{stored}"


def check_any_left(limits: SizeLimits, architectures: Sequence[Architecture], kept: Sequence[Architecture]) -> None:
    """Raise the error where no architecture of the search space keeps the limits, with the nearest."""
    if kept:
        return
    nearest = min(architectures, key=limits.excess)
    everything = (
        f"none of the {len(architectures)} networks is" if len(architectures) > 1 else "the only network is not"
    )
    raise DeepenoughError(
        f"{everything} within {limits}; the nearest is {nearest.name} with {limits.exceeded(nearest)}: give a higher "
        "limit, or smaller networks (a --width below 1, another --family, other --weights, or a smaller --size)"
    )


def limits_text(limits: SizeLimits, kept: Sequence[Architecture], left_out: Sequence[Architecture]) -> str:
    """Count the architectures within the limits, "5 of 6 depths are within 2M parameters", and name the others."""
    everything = [*kept, *left_out]
    alike = len({(each.family, each.width) for each in everything}) == 1
    text = f"{len(kept)} of {len(everything)} {'depths' if alike else 'networks'} are within {limits}"
    if not left_out:
        return text
    return f"{text}; left out: " + ", ".join(f"{each.name} ({limits.exceeded(each)})" for each in left_out)
