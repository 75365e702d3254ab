"""The frozen first layers of a pretrained network: they stay as they are, and have no backward pass."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from deepenough.nets import Network, Weighted, macs
from deepenough.nets.prefix import prefix, prefixes
from deepenough.nets.shapes import visits


def training_macs(network: Network, freeze: float) -> int:
    """Multiply-accumulates of training on one image: a pass forward and one backward, which costs two, but in the
    frozen layers; `freeze` as in `Recipe.freeze`."""
    return 3 * macs(network) - 2 * prefix(network, freeze).macs


def frozen_layers(network: Network, freeze: float) -> int:
    """The number of weighted layers that a share freezes: the first ones, in the order of computation."""
    paths = set(prefix(network, freeze).paths)
    return sum(isinstance(visit.layer, Weighted) for visit in visits(network) if visit.path in paths)


def frozen_text(network: Network, freeze: float) -> str:
    """Say in a line which layers a share freezes, or why it freezes none."""
    found, whole = prefix(network, freeze), macs(network)
    if found.paths:
        return f"frozen: up to {found.place}, {found.macs / whole:.1%} of the multiply-accumulates"
    blocks = prefixes(network)
    if not blocks:
        return "nothing is frozen: there is no block before the classifier"
    return (
        f"nothing is frozen: the first block, {blocks[0].place}, has {blocks[0].macs / whole:.1%} of the "
        f"multiply-accumulates, and --freeze is {freeze:.1%}"
    )


def freeze_layers(model: nn.Module, paths: Iterable[str]) -> None:
    """Take the parameters of the layers at these module paths out of the training.

    Images have no gradient, so where these are the first layers, nothing of them is kept for a backward pass.
    """
    for path in paths:
        model.get_submodule(path).requires_grad_(False)
