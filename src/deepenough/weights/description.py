"""The description that a file has of its own network, held against the network of the zoo that its tensors fit.

Tensors and names don't tell a stride, an activation or how features are pooled: a model that somebody changed has those
of the published one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets.build import build
from deepenough.nets.combinators import Auxiliary
from deepenough.nets.layers import Flatten, GlobalAvgPool
from deepenough.nets.network import Network
from deepenough.preprocessing import Preprocessing
from deepenough.weights.fit import Fitted
from deepenough.weights.graphs.described import TOLERANCE, Described
from deepenough.weights.inputs import scaled, takes_size
from deepenough.weights.keras_images import keras_images
from deepenough.weights.match import last_layer
from deepenough.weights.presets import preset
from deepenough.weights.torch_file import is_program

NOISES = (1.0, 64.0)
"""The factors of the noise that is compared: some networks take 0..255, others -1..1, and what a response normalisation
or a bound does shows in the right range alone."""

SMOOTH = tuple(2.0**power for power in range(8))
"""The factors of the smooth image that is compared: noise has little contrast behind the first layers of a trained
network, and doesn't reach the bounds of the later ones. Which of them an image reaches depends on its contrast."""

BLOTCHES = 7
"""Random numbers along a side of the smooth image, between which it is interpolated."""

PUBLISHERS = {"keras": "keras.applications", "caffe": "Caffe's releases"}
"""Whose images are taken where a file says nothing of them."""


@dataclass(frozen=True, eq=False)
class OwnDescription:
    """The network that a file describes, or why its description can't be read; neither where it has weights alone."""

    described: Described | None = None
    trouble: str = ""

    def notes_of(self, network: Network, source: str, *, guessed: bool) -> tuple[str, ...]:
        """Notes on the description of what is read as a network of the zoo; `guessed` are images that nobody stated."""
        if self.described is not None:
            # What the description leaves out are the network's own heads for training, where it has as many.
            heads = sum(isinstance(layer, Auxiliary) for layer in network.stack)
            has_all = len(self.described.left_out) <= heads
            return self.described.notes if has_all else self.described.all_notes
        if not self.trouble:
            return ()
        told = guessed and source in PUBLISHERS
        images = f"; its images are taken to be those of {PUBLISHERS[source]}" if told else ""
        return (
            f"it has the tensors of {network.name}, but what it says of strides, activations and pooling was not "
            f"compared, as it can't be read ({self.trouble}){images}",
        )


def own_description(path: Path, source: str, fitted: Fitted) -> OwnDescription:
    """The description in a file of a source, whose tensors are those of a network of the zoo."""
    try:
        match source:
            case "keras":
                from deepenough.weights.graphs.keras import read_keras_graph

                return OwnDescription(read_keras_graph(path))
            case "caffe":
                return OwnDescription(_of_caffe(path, fitted.network))
            case _ if is_program(path):
                return OwnDescription(trouble="it is a program of TorchScript, and nothing in a file is run")
    except DeepenoughError as error:
        return OwnDescription(trouble=" ".join(str(error).split()))
    return OwnDescription()


def _of_caffe(path: Path, network: Network) -> Described | None:
    """The network that a file of Caffe describes, for images of the network's usual size where it states none."""
    from deepenough.weights.caffemodel import read_net
    from deepenough.weights.graphs.caffe import read_caffe_graph, states_layers

    net = read_net(path)
    return read_caffe_graph(path, usual_shape(network), net) if states_layers(path, net) else None


def usual_shape(network: Network) -> tuple[int, int, int]:
    """The shape (C, H, W) of the images that Caffe's release of a network of the zoo takes."""
    usual = preset("caffe-bgr", network.name).size
    height, width = usual if takes_size(network, usual) else network.input[1:]
    return network.input[0], height, width


def computes_the_same(fitted: Fitted, described: Described) -> bool:
    """Tell whether a network of the zoo with a file's tensors gives the logits of the network that the file describes.

    Without a head, or with one of the user's, there are no logits to compare, and what the head reads decides. Kinds of
    activations don't: a file may have one in several steps.

    Logits of a few images may miss a bound that none of them reaches, such as that of a ReLU6 where the weights keep
    values small. So smooth images of growing contrast are compared beside noise: they show a ReLU in the place of any
    ReLU6 of a trained EfficientNet-Lite0, where noise missed a third. A bound that no image reaches stays unseen.
    """
    ours, theirs = fitted.network, described.network
    if ours.input[0] != theirs.input[0] or not takes_size(ours, theirs.input[1:]):
        return False
    images = _compared_images(theirs.input)
    ours = ours.with_input(theirs.input)
    if fitted.headless:
        return _has_its_maps(_module(theirs, described.state), ours, fitted.state, images)
    if ours.classes != theirs.classes:
        return False
    found, wanted = (_given(_module(*each), images) for each in ((ours, fitted.state), (theirs, described.state)))
    return _alike(found, wanted)


def _compared_images(shape: tuple[int, int, int]) -> Tensor:
    """Noise and smooth images of a shape, of several contrasts each."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, *shape, generator=generator)
    blotches = torch.randn(1, shape[0], BLOTCHES, BLOTCHES, generator=generator)
    smooth = nn.functional.interpolate(blotches, shape[1:], mode="bilinear")
    kinds = ((noise, NOISES), (smooth, SMOOTH))
    return torch.cat([image * factor for image, factors in kinds for factor in factors])


def _has_its_maps(theirs: nn.Module, network: Network, state: Mapping[str, Tensor], images: Tensor) -> bool:
    """Tell whether a layer of a module gives what the head of a network reads, or the pool or flattening before it."""
    ours, maps, found = _module(network, state), list[Tensor](), list[bool]()
    head = last_layer(network).partition(".")[0]
    ends = (
        child
        for layer, (name, child) in zip(network.stack, ours.named_children(), strict=True)
        if isinstance(layer, (Flatten, GlobalAvgPool)) or name == head
    )
    next(ends).register_forward_pre_hook(lambda _, given: maps.append(given[0].clone()))
    _given(ours, images)

    def compare(_module: nn.Module, _given: object, gives: object) -> None:
        if isinstance(gives, Tensor) and gives.shape == maps[0].shape:
            found.append(_alike(gives, maps[0]))

    for layer in theirs.modules():
        layer.register_forward_hook(compare)
    _given(theirs, images)
    return any(found)


def _alike(found: Tensor, wanted: Tensor) -> bool:
    """Tell whether values are the same, of each image within a share of its largest."""
    difference, largest = (values.flatten(1).abs().amax(1) for values in (found - wanted, wanted))
    return bool((difference <= TOLERANCE * largest).all())


def images_of(path: Path, source: str, network: Network, described: Described | None) -> Preprocessing | None:
    """The images that a file of a source wants, which is read as a network of the zoo; None where it doesn't say."""
    if source == "keras":
        return keras_images(path, network, described)
    return _caffe_images(network, described) if source == "caffe" else None


def _caffe_images(network: Network, described: Described | None) -> Preprocessing | None:
    """The images that a file of one of the networks released for Caffe wants, framed as the releases': order, mean and
    scale as the file states them, and of its size. None where it describes nothing."""
    if described is None:
        return None
    usual, size, stated = preset("caffe-bgr", network.name), described.network.input[1:], described.input
    framed = usual if usual.size == size else scaled(usual, size)
    return framed if stated is None else replace(framed, order=stated.order, mean=stated.mean, std=stated.std)


def _module(network: Network, state: Mapping[str, Tensor]) -> nn.Module:
    """A network with weights, in evaluation; a head that `state` lacks has any."""
    module = build(network)
    module.load_state_dict(dict(state), strict=False)
    return module.eval()


@torch.inference_mode()
def _given(module: nn.Module, images: Tensor) -> Tensor:
    found = module(images)
    assert isinstance(found, Tensor)
    return found
