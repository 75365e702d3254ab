"""The network that a `network.json` beside a file of weights states, and what the file calls its layers.

deepenough writes such a file beside its own weights, whose layers are called as ours. Beside somebody else's it may
have a table of names, and stand for a network of the zoo or a family by its name alone:

    {"format": 1, "name": "resnet18", "classes": 7,
     "names": {"backbone.c1": "stem.conv", "backbone.stage1": "level1", "ema_decay": null, ...}}

A name on the left is the file's, of a tensor, a layer or all layers that begin so; ours is on the right, or `null` for
what is left out. The longest name that fits counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from deepenough.errors import DeepenoughError, unknown
from deepenough.nets.choose import choose_network
from deepenough.nets.network import Network
from deepenough.nets.serialization import NETWORK_FORMAT, network_of, parsed
from deepenough.weights.match import FileLayout, own_layout

T = TypeVar("T")

OF_A_NAME = ("format", "name", "input", "classes", "depth", "width")
"""The fields that choose a network of the zoo or a family where there is no stack of layers."""


@dataclass(frozen=True)
class StatedNetwork:
    """A network, and what a file calls its layers.

    `names` maps the file's names to ours, None for what is left out. Without a table it is None: deepenough wrote the
    file, and calls its layers as ours.
    """

    network: Network
    names: Mapping[str, str | None] | None = None

    @property
    def is_foreign(self) -> bool:
        """Tell whether the file is somebody else's."""
        return self.names is not None

    def as_ours(self, tensors: Mapping[str, T], layout: FileLayout) -> dict[str, T]:
        """Return a file's tensors by the names that our own file of this layout would have, less those left out."""
        if self.names is None:
            return dict(tensors)
        self._check_there(tensors)
        ours = {self._theirs(key, name): name for key, name in layout.names.items()}
        taken: dict[str, str] = {}
        for theirs in tensors:
            if self._is_left_out(theirs):
                continue
            name = ours.get(theirs, theirs)
            if name in taken:
                raise DeepenoughError(
                    f"both {taken[name]!r:.80} and {theirs!r:.80} of the file are {name}; give one of them null in the "
                    "names"
                )
            taken[name] = theirs
        return {name: tensors[theirs] for name, theirs in taken.items()}

    def count_named(self, tensors: Iterable[str]) -> int:
        """Count the names of the table that tensors have."""
        return len(_all_starts(tensors).intersection(self.names or ()))

    def _check_there(self, tensors: Iterable[str]) -> None:
        """Refuse names of the table that nothing in the file has."""
        parts = _all_starts(tensors)
        for theirs in self.names or ():
            if theirs not in parts:
                raise unknown("the names: tensor or layer of the file", theirs, sorted(parts))

    def _is_left_out(self, name: str) -> bool:
        """Tell whether the longest name of the table that a tensor of the file begins with stands for nothing."""
        names = self.names or {}
        begun = [start for start in _starts(name) if start in names]
        return bool(begun) and names[begun[-1]] is None

    @cached_property
    def _by_ours(self) -> Mapping[str, str]:
        """The file's names by ours."""
        return {ours: theirs for theirs, ours in (self.names or {}).items() if ours is not None}

    def _theirs(self, key: str, name: str) -> str:
        """The file's name for a tensor of ours, which our own file would call `name`."""
        theirs = self._by_ours
        if key in theirs:
            return theirs[key]
        layer = key.rpartition(".")[0]
        begun = [ours for ours in _starts(layer) if ours in theirs]
        return theirs[begun[-1]] + layer[len(begun[-1]) :] + name[len(layer) :] if begun else name


def stated_network(file: Path, content: bytes) -> StatedNetwork:
    """Read what a `network.json` states; `file` is its path, for errors."""
    document = parsed(content)
    if not isinstance(document, dict) or "names" not in document:
        return StatedNetwork(network_of(document))
    table = document.pop("names")
    network = network_of(document) if "stack" in document else _named_network(file, document)
    if not isinstance(table, dict) or not all(isinstance(ours, str | None) for ours in table.values()):
        raise DeepenoughError(f'{file}: "names" has to be an object: the file\'s names, each with ours or null')
    _check(file, table, network)
    return StatedNetwork(network, table)


def _named_network(file: Path, document: dict[str, Any]) -> Network:
    """The network of the zoo, or of a family, that is stated by its name."""
    for key in document:
        if key not in OF_A_NAME:
            raise unknown(f"field of {file}", key, OF_A_NAME)
    if document.get("format") != NETWORK_FORMAT:
        raise DeepenoughError(f"{file}: format is {document.get('format')!r:.80}; this version reads {NETWORK_FORMAT}")
    if not isinstance(document.get("name"), str):
        raise DeepenoughError(f'{file}: it needs a "stack" of layers, or the "name" of a network or family')
    shape = document.get("input")
    if shape is not None and not (isinstance(shape, list) and len(shape) == 3 and all(_is_count(n) for n in shape)):
        raise DeepenoughError(f"{file}: input is {shape!r:.80}; expected [channels, height, width]")
    for key in ("classes", "depth"):
        if not _is_count(document.get(key, 1)):
            raise DeepenoughError(f"{file}: {key} is {document[key]!r:.80}; expected a whole number above 0")
    width = document.get("width")
    if width is not None and (not isinstance(width, int | float) or isinstance(width, bool) or not width > 0):
        raise DeepenoughError(f"{file}: width is {width!r:.80}; expected a number above 0")
    chosen = {key: document.get(key) for key in ("classes", "depth", "width")}
    return choose_network(document["name"], shape=None if shape is None else tuple(shape), **chosen)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**20


def _check(file: Path, table: Mapping[str, str | None], network: Network) -> None:
    """Refuse names that are not ours, and those that two of the file's names stand for."""
    parts = _all_starts(own_layout(network).names)
    seen: dict[str, str] = {}
    for theirs, ours in table.items():
        if ours is None:
            continue
        if ours not in parts:
            raise unknown(f"layer of {network.name}, which {file} calls {theirs!r:.80},", ours, sorted(parts))
        if ours in seen:
            raise DeepenoughError(f"{file}: both {seen[ours]!r:.80} and {theirs!r:.80} are said to be {ours}")
        seen[ours] = theirs


def _starts(name: str) -> list[str]:
    """List what a name begins with, part by part, itself last."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _all_starts(names: Iterable[str]) -> set[str]:
    """Return what any of the names begins with."""
    return {start for name in names for start in _starts(name)}
