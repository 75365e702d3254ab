"""Types of values on the command line: CxHxW, TIME, SIZE, and the pictures that commands write."""

from __future__ import annotations

import re
from typing import Any

import click

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of the pictures that commands write."""


class InputShape(click.ParamType[tuple[int, int, int]]):
    """Channels, height and width: 3x224x224."""

    name = "CxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", str(value).lower().replace("×", "x"))
        if not match or "0" in match.groups():
            self.fail(f"{value!r}: expected channels, height and width, such as 3x224x224", param, ctx)
        channels, height, width = (int(number) for number in match.groups())
        return channels, height, width


class Time(click.ParamType[float]):
    """A length of time: 90, 90s, 20m, 1.5h; in seconds."""

    name = "TIME"
    examples = "90s, 20m or 1.5h"
    units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}  # noqa: RUF012

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).lower())
        if not match:
            self.fail(f"{value!r}: expected a length of time, such as {self.examples}", param, ctx)
        return float(match[1]) * self.units[match[2]]


class Size(click.ParamType[float]):
    """An amount of memory: 500MB, 20GB, 1.5TB; in bytes."""

    name = "SIZE"
    examples = "500MB or 20GB"
    units = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}  # noqa: RUF012

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", str(value).upper())
        if not match:
            self.fail(f"{value!r}: expected an amount of memory, such as {self.examples}", param, ctx)
        return float(match[1]) * self.units[match[2]]
