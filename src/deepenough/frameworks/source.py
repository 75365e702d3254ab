"""What the written source files have in common."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from deepenough.frameworks.export import Export
from deepenough.nets.longest_path import depth


def opening(export: Export, framework: str) -> str:
    """A file's beginning: what it is, and the constants of normalisation."""
    network, wanted = export.network, export.input
    channels, height, width = network.input
    about = "; ".join(" ".join(text.split()) for text in (network.source, network.variant) if text)
    described = f"\n\n{plain(about)}." if about else ""
    takes = "RGB" if channels == 3 else "grey" if channels == 1 else f"{channels} channels"
    return (
        f'"""{plain(network.name)} for {framework}, depth {depth(network)}, written by deepenough '
        f"{version('deepenough')}.{described}\n\n"
        f"Images: {takes}, {height}x{width} pixels, 0..255. The network itself takes (images / 255 - MEAN) / STD, with "
        f'channels in ORDER.\n"""\n\n'
        f"MEAN = {list(wanted.mean)!r}\nSTD = {list(wanted.std)!r}\nORDER = {wanted.order!r}\n"
    )


def plain(text: str) -> str:
    """Text that may stand in a docstring: a network's name can come from a stranger's file."""
    return text.replace("\\", "/").replace('"', "'")


def imported(path: Path) -> ModuleType:
    """A module that was written, imported from its file under a name of its own, and nothing left behind."""
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
