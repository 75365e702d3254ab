"""Types of values on the command line: CxHxW, and the pictures that commands write."""

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
