"""Progressive resizing: smaller images in the first half of the epochs, whose steps cost as much less as their area.

The first epochs of a training learn from them almost what they learn from whole images, and the last ones, on whole
images, adapt to those (Tan and Le, EfficientNetV2, arXiv 2104.00298, section 4). A network is always judged on whole
images.
"""

from __future__ import annotations

import torch

from deepenough.nets import Network, macs
from deepenough.nets.layer import ShapeError
from deepenough.nets.shapes import output_shape, visits
from deepenough.training.freezing import training_macs
from deepenough.training.recipe import Recipe

MULTIPLE = 8  # of which the sides are, so that maps don't end in odd rows at every pooling

Size = tuple[int, int]


def first_sizes(recipe: Recipe, network: Network, teacher: Network | None = None) -> tuple[Size, ...]:
    """The size (H, W) of the images in each of the first epochs of a training, which are smaller than the whole ones.

    None where the recipe has whole images throughout, or where the network or its teacher takes no others.
    """
    _, *whole = network.input
    height, width = (_scaled(side, recipe.initial_scale) for side in whole)
    smaller = height * width < whole[0] * whole[1]
    if not smaller or not all(takes(each, (height, width)) for each in (network, teacher) if each):
        return ()
    return ((height, width),) * (recipe.epochs // 2)


def _scaled(side: int, scale: float) -> int:
    """A side of the smaller images: a multiple of `MULTIPLE`, at least one and never more than the whole side."""
    return min(max(round(scale * side / MULTIPLE), 1) * MULTIPLE, side)


def takes(network: Network, size: Size) -> bool:
    """True if a network takes images of another size (H, W) with the weights that it has."""
    other = network.with_input((network.input[0], *size))
    try:
        return output_shape(other) == output_shape(network) and _tensors(other) == _tensors(network)
    except ShapeError:
        return False


def _tensors(network: Network) -> dict[str, object]:
    """The shapes of the tensors of every layer, by module path."""
    return {visit.path: visit.layer.tensors(visit.input) for visit in visits(network, training=True)}


def resized(pixels: torch.Tensor, size: Size) -> torch.Tensor:
    """Images (N, C, H, W) at another size (H, W), smoothed first, so that none of it is an artefact of sampling."""
    return torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True, align_corners=False)


def epoch_macs(recipe: Recipe, network: Network, teacher: Network | None = None) -> list[int]:
    """Multiply-accumulates of training on one image, in each epoch: a pass forward, one backward through all but the
    frozen layers, which costs two, and the teacher's pass forward."""
    whole = training_macs(network, recipe.freeze) + (macs(teacher) if teacher else 0)
    sizes = first_sizes(recipe, network, teacher)
    if not sizes:
        return [whole] * recipe.epochs
    smaller = network.with_input((network.input[0], *sizes[0]))
    # The same layers are frozen as on whole images: of the cost of these they are as large a share, or nearly.
    first = whole * macs(smaller) // macs(network)
    return [first] * len(sizes) + [whole] * (recipe.epochs - len(sizes))
