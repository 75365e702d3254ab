"""Pretrained weights in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepenough.nets.network import Network
from deepenough.preprocessing import Preprocessing

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Weights:
    """A network of the zoo with somebody's weights.

    `state` holds float32 tensors on the CPU by the module paths of `build(network)`, all of them. `name` is what the
    user called them, `source` who made them ("torchvision", "caffe", ...), `classes` the class names where they are
    known. `sha256` is that of the file that they came from, in hexadecimal.

    Of a file without a classifier that is known they are `headless`: `state` lacks the tensors of the network's last
    layer. `notes` say what was chosen where the file left a choice, a line each.
    """

    name: str
    source: str
    network: Network
    state: Mapping[str, Tensor]
    input: Preprocessing
    sha256: str
    classes: tuple[str, ...] | None = None
    headless: bool = False
    notes: tuple[str, ...] = ()

    @property
    def class_names(self) -> list[str]:
        """The names of the classes; their numbers where nothing tells."""
        return list(self.classes or map(str, range(self.network.classes)))
