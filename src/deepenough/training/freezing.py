"""The frozen first layers of a pretrained network: they stay as they are, and have no backward pass."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from deepenough.nets import Network, macs
from deepenough.nets.prefix import prefix


def training_macs(network: Network, freeze: float) -> int:
    """Multiply-accumulates of training on one image: a pass forward and one backward, which costs two, but in the
    frozen layers; `freeze` as in `Recipe.freeze`."""
    return 3 * macs(network) - 2 * prefix(network, freeze).macs


def freeze_layers(model: nn.Module, paths: Iterable[str]) -> None:
    """Take the parameters of the layers at these module paths out of the training.

    Images have no gradient, so where these are the first layers, nothing of them is kept for a backward pass.
    """
    for path in paths:
        model.get_submodule(path).requires_grad_(False)
