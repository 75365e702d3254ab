"""Source files that are written: their templates, and what they have in common."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2

from deepenough.frameworks.export import Export
from deepenough.nets.longest_path import depth

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("deepenough", "frameworks"),
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # Markdown and Python, no HTML
)


def rendered(file: str, /, **values: Any) -> str:
    """Fill the template of a file."""
    return TEMPLATES.get_template(f"{file}.jinja").render(values)


def opening(export: Export, framework: str) -> str:
    """Write a file's beginning: what it is, and the constants of normalisation."""
    network, wanted = export.network, export.input
    channels, height, width = network.input
    about = "; ".join(" ".join(text.split()) for text in (network.source, network.variant) if text)
    described = f"\n\n{docstring_text(about)}." if about else ""
    takes = "RGB" if channels == 3 else "grey" if channels == 1 else f"{channels} channels"
    return (
        f'"""{docstring_text(network.name)} for {framework}, depth {depth(network)}, written by deepenough '
        f"{version('deepenough')}.{described}\n\n"
        f"Images: {takes}, {height}x{width} pixels, 0..255. The network itself takes (images / 255 - MEAN) / STD, with "
        f'channels in ORDER.\n"""\n\n'
        f"MEAN = {list(wanted.mean)!r}\nSTD = {list(wanted.std)!r}\nORDER = {wanted.order!r}\n"
    )


def docstring_text(text: str) -> str:
    """Return text that may stand in a docstring: a network's name can come from a stranger's file."""
    return text.replace("\\", "/").replace('"', "'")


def cpp_literal(text: str) -> str:
    """Return text on one line as a string literal of C++, in UTF-8 whatever the compiler takes its source for."""
    data = " ".join(text.split()).encode("utf-8", "replace")
    plain = (chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03o}" for byte in data)
    return f'"{"".join(plain)}"'


def kotlin_literal(text: str) -> str:
    """Return text on one line as a string literal of Kotlin, where a dollar begins a template."""
    return _quoted(text, '"\\$', _utf16)


def swift_literal(text: str) -> str:
    """Return text on one line as a string literal of Swift."""
    return _quoted(text, '"\\', lambda each: f"\\u{{{ord(each):x}}}")


def _utf16(character: str) -> str:
    """Return a character by its code: four digits, or a pair of such codes beyond U+FFFF."""
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[start : start + 2].hex()}" for start in range(0, len(units), 2))


def _quoted(text: str, escaped: str, code: Callable[[str], str]) -> str:
    """Return text in quotes, with a backslash before what is escaped, and what can't be printed by its code."""
    shown = " ".join(text.split()).encode("utf-8", "replace").decode()
    plain = (f"\\{each}" if each in escaped else each if each.isprintable() else code(each) for each in shown)
    return f'"{"".join(plain)}"'


def imported(path: Path) -> ModuleType:
    """Import a module that was written from its file, under a name of its own, and leave nothing behind."""
    spec = importlib.util.spec_from_file_location(f"exported_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module
