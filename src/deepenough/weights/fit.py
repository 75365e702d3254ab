"""Tensors of a file that fit a network, and the network with their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from deepenough.nets.network import Network
from deepenough.weights.checkpoint import is_average
from deepenough.weights.heads import WithHead
from deepenough.weights.match import problems
from deepenough.weights.torch_file import AnyTensors


@dataclass(frozen=True, eq=False)
class Fit:
    """Tensors of a file as a layout's: where they lie, the head that was found, and whether order alone tells."""

    taken: WithHead
    tensors: AnyTensors
    place: str
    ordered: bool = False

    @property
    def network(self) -> Network:
        return self.taken.layout.network

    @cached_property
    def wrong(self) -> list[str]:
        """The tensors that do not fit, a line each. Where all shapes are right, finding out reads the file."""
        return problems(self.tensors, self.taken.layout)

    @property
    def merit(self) -> tuple[bool, bool, int]:
        """The order of preference: whole networks, averages of the weights, the most tensors."""
        return not self.taken.headless, is_average(self.place), len(self.taken.layout.names)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A network with a file's tensors, all but the classifier's where it is `headless`.

    `source` is whose network it is, where the format has those of several; `notes` say what was chosen.
    """

    network: Network
    state: Mapping[str, Tensor]
    source: str = ""
    headless: bool = False
    notes: tuple[str, ...] = ()
