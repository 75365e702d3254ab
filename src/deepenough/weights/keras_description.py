"""The description that a Keras file has of its own network, held against the network of the zoo that its tensors fit.

Tensors and names don't tell a stride, an activation or how features are pooled: a model that somebody changed has those
of the published one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Activation
from deepenough.nets.build import build
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.preprocessing import Preprocessing
from deepenough.weights.fit import Fitted
from deepenough.weights.graphs.described import TOLERANCE, Described
from deepenough.weights.graphs.keras import read_keras_graph
from deepenough.weights.inputs import takes_size
from deepenough.weights.keras_images import images_of_normalization, keras_preset


def own_description(path: Path) -> Described | None:
    """The network that a Keras file describes; None where it is of weights alone, or has layers not known here."""
    try:
        return read_keras_graph(path)
    except DeepenoughError:
        return None


def computes_the_same(fitted: Fitted, described: Described) -> bool:
    """Tell whether a network of the zoo with a file's tensors gives the logits of the network that the file describes,
    by as many activations of each kind: whether one has a bound, the logits of a few images needn't show.

    Without a head, or with one of the user's, there are no logits to compare, and the kinds of activations decide.
    """
    ours, theirs = fitted.network, described.network
    if fitted.headless:
        return _activations(ours).keys() <= _activations(theirs).keys()
    if _activations(ours) != _activations(theirs):
        return False
    if ours.input[0] != theirs.input[0] or ours.classes != theirs.classes or not takes_size(ours, theirs.input[1:]):
        return False
    images = torch.randn(2, *theirs.input, generator=torch.Generator().manual_seed(0))
    found = _logits(ours.with_input(theirs.input), fitted.state, images)
    wanted = _logits(theirs, described.state, images)
    return bool((found - wanted).abs().max() <= TOLERANCE * wanted.abs().max())


def keras_images(path: Path, network: Network, described: Described | None) -> Preprocessing | None:
    """The images that a file of one of Keras' own networks wants: by its first layers, else those of `preprocess_input`
    in the size that the file states. None where it states neither."""
    if described is None:
        return images_of_normalization(path, network) if network.name.startswith("efficientnet") else None
    if described.input is not None:
        return described.input
    return replace(keras_preset(network.name), size=described.network.input[1:])


def _activations(network: Network) -> Counter[Activation]:
    return Counter(replace(v.layer, name="") for v in visits(network) if isinstance(v.layer, Activation))


@torch.inference_mode()
def _logits(network: Network, state: Mapping[str, Tensor], images: Tensor) -> Tensor:
    module = build(network)
    module.load_state_dict(dict(state))
    found = module.eval()(images)
    assert isinstance(found, Tensor)
    return found
