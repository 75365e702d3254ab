"""Progressive resizing: smaller images in the first half of the epochs, whose steps cost as much less as their area.

The first epochs of a training learn from them almost what they learn from images of full size, and the last ones adapt
to those (Tan and Le, EfficientNetV2, arXiv 2104.00298, section 4). A network is always judged at full size.
"""

from __future__ import annotations

import torch

from deepenough.nets import Network, macs
from deepenough.nets.layer import ShapeError
from deepenough.nets.shapes import output_shape, visits
from deepenough.training.freezing import training_macs
from deepenough.training.recipe import Recipe

Size = tuple[int, int]


def first_sizes(recipe: Recipe, network: Network, teacher: Network | None = None) -> tuple[Size, ...]:
    """The size (H, W) of the images in each of the first epochs of a training, where it is smaller: in half of them,
    rounded down.

    None where the recipe has the full size throughout, or where the network or its teacher takes no other.
    """
    _, *full = network.input
    height, width = (scaled_side(side, recipe.initial_scale) for side in full)
    smaller = height * width < full[0] * full[1]
    if not smaller or not all(takes(each, (height, width)) for each in (network, teacher) if each):
        return ()
    return ((height, width),) * (recipe.epochs // 2)


def scaled_side(side: int, scale: float) -> int:
    """A side of the smaller images, to a sixteenth of the full one: of 32 pixels a multiple of 4, of 224 one of 16, so
    that maps don't end in odd rows at every pooling, nor patches at the edge. At a scale of 1 it is the full one."""
    if scale == 1:
        return side
    multiple = 1 << max((side // 8).bit_length() - 1, 0)
    return min(max(round(scale * side / multiple), 1) * multiple, side)


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
    step, taught = training_macs(network, recipe.freeze), macs(teacher) if teacher else 0
    sizes = first_sizes(recipe, network, teacher)
    first = 0
    if sizes:
        # The same layers are frozen as at full size: of the cost they are as large a share, or nearly.
        first = step * _macs_at(network, sizes[0]) // macs(network)
        first += _macs_at(teacher, sizes[0]) if teacher else 0
    return [first] * len(sizes) + [step + taught] * (recipe.epochs - len(sizes))


def _macs_at(network: Network, size: Size) -> int:
    """Multiply-accumulates of an image of another size (H, W)."""
    return macs(network.with_input((network.input[0], *size)))
