"""The error for tensors that fit no network known here, after which a file's own description may be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError

if TYPE_CHECKING:
    from deepenough.nets.network import Network


class MisfitError(DeepenoughError):
    """Tensors of a file that fit no network of the zoo, or not the one that was asked for."""


class RedefinedError(MisfitError):
    """Tensors of a `network` of the zoo in a file whose definitions make another one of them."""

    def __init__(self, message: str, network: Network | None = None) -> None:
        super().__init__(message)
        self.network = network
