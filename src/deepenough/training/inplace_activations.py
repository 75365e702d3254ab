"""Memory that a training step does not have to take twice."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from deepenough.nets import LAYER_KINDS, Activation
from deepenough.nets.build import AuxiliaryHead, BranchesOf, BuiltNetwork

# Layers whose output is new, and not what their own backward pass looks at.
FREE_OUTPUT = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d, BranchesOf)

IN_PLACE = tuple(
    getattr(nn, kind.torch) for kind in LAYER_KINDS.values() if issubclass(kind, Activation) and kind.inplace
)


def use_inplace_activations(model: nn.Module) -> nn.Module:
    """Have the activations of a built network write over what they are given, where nothing else needs that.

    The numbers stay the same, bit for bit; one activation in three or so is not kept.
    """
    for stack in model.modules():
        if isinstance(stack, (BuiltNetwork, AuxiliaryHead, nn.Sequential)):
            for before, layer in pairwise(stack.children()):
                if isinstance(layer, IN_PLACE) and isinstance(before, FREE_OUTPUT):
                    layer.inplace = True
    return model
