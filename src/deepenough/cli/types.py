"""Types of values on the command line: CxHxW, the schema's options, and pictures that are written."""

from __future__ import annotations

import re
from typing import Any

import click

from deepenough.schema import Option

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


class OptionValue(click.ParamType[Any]):
    """A value of an option of the schema, read and limited as it is in Python."""

    def __init__(self, option: Option) -> None:
        self.option = option
        self.name = {"int": "integer", "float": "float"}.get(option.base, "text")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        read = self.option.read((value,) if self.option.several else value)
        self.option.check(read)
        return read[0] if self.option.several else read
