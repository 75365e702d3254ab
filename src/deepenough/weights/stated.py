"""The network that a `network.json` beside a file of weights states, and what the file calls its layers.

deepenough writes such a file beside its own weights, whose layers are called as ours. Beside somebody else's it may
have a table of names, and stand for a network of the zoo or a family by its name alone:

    {"format": 1, "name": "resnet18", "classes": 7,
     "names": {"backbone.c1": "stem.conv", "backbone.stage1": "level1", "ema_decay": null, ...}}

A name on the left is the file's, of a tensor, a layer or all layers that begin so; ours is on the right, the most exact
one counts. What has `null` is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from deepenough.errors import DeepenoughError, unknown
from deepenough.nets.choose import choose_network
from deepenough.nets.network import Network
from deepenough.nets.serialization import network_of, parsed
from deepenough.weights.match import FileLayout, own_layout

T = TypeVar("T")

OF_A_NAME = ("format", "name", "input", "classes", "depth", "width")
"""The fields that choose a network of the zoo or a family where there is no stack of layers."""


@dataclass(frozen=True)
class StatedNetwork:
    """A network, and the file's names of its layers: `names` has theirs by ours, `left_out` those that are none of it.

    Both are empty beside what deepenough wrote.
    """

    network: Network
    names: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    @property
    def is_foreign(self) -> bool:
        """Whether the file is somebody else's."""
        return bool(self.names or self.left_out)

    def as_ours(self, tensors: Mapping[str, T], layout: FileLayout) -> dict[str, T]:
        """Return a file's tensors by the names that our own file of this layout would have, less those left out."""
        kept = {
            name: tensor for name, tensor in tensors.items() if not any(_begins(name, out) for out in self.left_out)
        }
        if not self.names:
            return kept
        ours = {self._theirs(key, name): name for key, name in layout.names.items()}
        found = {ours.get(name, name): tensor for name, tensor in kept.items()}
        if len(found) < len(kept):
            double = next(name for name in kept if name not in ours and name in ours.values())
            theirs = next(name for name in ours if ours[name] == double and name in kept)
            raise DeepenoughError(
                f"both {theirs!r:.80} and {double!r:.80} of the file are {double}; give the second null in the names"
            )
        return found

    def _theirs(self, key: str, name: str) -> str:
        """The file's name for a tensor of ours, which our own file would call `name`."""
        if key in self.names:
            return self.names[key]
        layer = key.rpartition(".")[0]
        begun = [ours for ours in self.names if _begins(layer, ours)]
        if not begun:
            return name
        ours = max(begun, key=len)
        return self.names[ours] + layer[len(ours) :] + name[len(layer) :]


def stated_network(file: Path, content: bytes) -> StatedNetwork:
    """Read what a `network.json` states; `file` is its path, for errors."""
    document = parsed(content)
    if not isinstance(document, dict) or "names" not in document:
        return StatedNetwork(network_of(document))
    table = document.pop("names")
    network = network_of(document) if "stack" in document else _named_network(file, document)
    if not isinstance(table, dict) or not all(isinstance(ours, str | None) for ours in table.values()):
        raise DeepenoughError(f'{file}: "names" has to be an object: the file\'s names, each with ours or null')
    stated = StatedNetwork(
        network,
        {ours: theirs for theirs, ours in table.items() if ours is not None},
        tuple(theirs for theirs, ours in table.items() if ours is None),
    )
    _check(file, table, network)
    return stated


def _named_network(file: Path, document: dict[str, Any]) -> Network:
    """The network of the zoo, or of a family, that is stated by its name."""
    for key in document:
        if key not in OF_A_NAME:
            raise unknown(f"field of {file}", key, OF_A_NAME)
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
    return choose_network(str(document.get("name")), shape=None if shape is None else tuple(shape), **chosen)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 < value < 2**20


def _check(file: Path, table: Mapping[str, str | None], network: Network) -> None:
    """Refuse names that are not ours, and those that two of the file's names stand for."""
    keys = list(own_layout(network).names)
    parts = {".".join(key.split(".")[:length]) for key in keys for length in range(1, key.count(".") + 2)}
    seen: dict[str, str] = {}
    for theirs, ours in table.items():
        if ours is None:
            continue
        if ours not in parts:
            raise unknown(f"layer of {network.name}, which {file} calls {theirs!r:.80},", ours, sorted(parts))
        if ours in seen:
            raise DeepenoughError(f"{file}: both {seen[ours]!r:.80} and {theirs!r:.80} are said to be {ours}")
        seen[ours] = theirs


def _begins(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}.")
