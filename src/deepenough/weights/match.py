"""The names of a network's tensors in files of a format, and what is wrong where a file's tensors don't fit them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import pairwise

import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.nets.combinators import Auxiliary
from deepenough.nets.layer import Shape
from deepenough.nets.layers import BatchNorm, Conv, Weighted
from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit
from deepenough.nets.zoo import NETWORKS
from deepenough.weights.misfit import MisfitError
from deepenough.weights.patterns import NameLayers, tensor_layers
from deepenough.weights.torch_file import AnyTensor, AnyTensors, loaded

SHOWN = 10
"""The most tensors that an error lists."""

NORM_KEYS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class FileLayout:
    """The names that a network's tensors have in files of a format: a key of our state to the name in the file.

    `source` is whose names they are, where a format has those of several. `evident` is False for a network that such
    files hold too, but whose publisher is another: it is taken where it was asked for. With `pads_shapes` a tensor may
    have more sides of 1 at its end than ours, or fewer: what is a 1x1 convolution here is a dense layer elsewhere.
    `sized` is a network whose size of images is stated beside the file, so that its positions are of that size.
    """

    network: Network
    names: Mapping[str, str]
    source: str = ""
    evident: bool = True
    pads_shapes: bool = False
    sized: bool = False

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """The shape of every tensor of the network, by its key in our state."""
        return shapes(self.network)

    def is_shape(self, found: Sequence[int], wanted: Shape) -> bool:
        """Tell whether a tensor of the shape `found` is one of ours of the shape `wanted`."""
        if self.pads_shapes:
            return _without_last_ones(found) == _without_last_ones(wanted)
        return tuple(found) == wanted


def file_layout(network: Network, layers: Mapping[str, str], norm: Sequence[str] = NORM_KEYS) -> FileLayout:
    """Make a layout from the names of `layers`, by our module path.

    The file's tensors are called `layer.weight` and `layer.bias`, those of a batch norm by `norm` (scale, shift, mean,
    variance). A tensor that is called otherwise is in `layers` by its key in our state.
    """
    names: dict[str, str] = {}
    for visit in tensor_layers(network):
        if isinstance(visit.layer, BatchNorm):
            layer = layers[visit.path]
            names |= {f"{visit.path}.{key}": f"{layer}.{theirs}" for key, theirs in zip(NORM_KEYS, norm, strict=True)}
        else:
            names |= {
                key: layers[key] if key in layers else f"{layers[visit.path]}.{key.rpartition('.')[2]}"
                for key in _shapes_of(visit)
            }
    return FileLayout(network, names)


def zoo_layouts(published: Mapping[str, NameLayers], norm: Sequence[str] = NORM_KEYS) -> list[FileLayout]:
    """Make the layouts of networks of the zoo, each with the function that names its layers."""
    return [_layout_of(NETWORKS[name], name_layers, tuple(norm)) for name, name_layers in published.items()]


@cache
def _layout_of(make: Callable[[], Network], name_layers: NameLayers, norm: tuple[str, ...]) -> FileLayout:
    network = make()
    return file_layout(network, name_layers(network), norm)


def own_layout(network: Network, norm: Sequence[str] = NORM_KEYS, dot: str = ".") -> FileLayout:
    """Make the layout of deepenough's own files: layers are called by their module paths, with `dot` for the dots."""
    return file_layout(network, {visit.path: visit.path.replace(".", dot) for visit in tensor_layers(network)}, norm)


def shapes(network: Network) -> dict[str, Shape]:
    """The shape of every tensor of `build(network)`, batch norm's counters left out."""
    return {key: shape for visit in tensor_layers(network) for key, shape in _shapes_of(visit).items()}


def _shapes_of(visit: Visit) -> dict[str, Shape]:
    return {f"{visit.path}.{key}": shape for key, shape in visit.layer.tensors(visit.input).items()}


def fold_biases(found: AnyTensors, layout: FileLayout) -> dict[str, AnyTensor]:
    """The same tensors with every bias of a convolution moved into the mean of the batch norm behind it.

    Only where our convolution has no bias: norm(x + b) with mean m is norm(x) with mean m - b.
    """
    folded = dict(found)
    layers = tensor_layers(layout.network)
    for conv, norm in pairwise(layers):
        if not (isinstance(conv.layer, Conv) and not conv.layer.bias and isinstance(norm.layer, BatchNorm)):
            continue
        place = layout.names[f"{conv.path}.weight"].rpartition(".")[0]
        mean = layout.names[f"{norm.path}.running_mean"]
        bias, wanted = folded.get(f"{place}.bias"), norm.layer.tensors(norm.input)["running_mean"]
        if bias is not None and mean in folded and tuple(folded[mean].shape) == tuple(bias.shape) == wanted:
            folded[mean] = loaded(folded[mean]).float() - loaded(bias).float()
            del folded[f"{place}.bias"]
    return folded


def ambiguous(file: str, networks: Iterable[Network]) -> DeepenoughError:
    """The error for tensors that fit several networks, which compute different things with them."""
    lines = "".join(f"\n  {net.name}: {net.variant}" for net in networks)
    return DeepenoughError(
        f"{file} has tensors that fit several networks, and names none; say which one it was trained as "
        f"(--network NAME, or network=...):{lines}"
    )


def misfit(file: str, network: Network, wrong: Sequence[str], *, asked: bool) -> MisfitError:
    """The error for tensors that don't fit; `wrong` says of each what is the matter."""
    start = f"does not fit {network.name}" if asked else f"fits no network known here; the nearest is {network.name}"
    count = "1 tensor" if len(wrong) == 1 else f"{len(wrong)} tensors"
    lines = "".join(f"\n  {line}" for line in wrong[:SHOWN])
    more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return MisfitError(f"{file} {start}, with {count} missing, misshapen or left over:{lines}{more}")


def problems(found: AnyTensors, layout: FileLayout) -> list[str]:
    """List what is missing, misshapen, not finite or left over, a line each."""
    wrong = []
    wanted = layout.shapes
    for key, name in layout.names.items():
        shape = wanted[key]
        if name not in found:
            wrong.append(f"{name}: missing; expected {_text(shape)}")
        elif not layout.is_shape(found[name].shape, shape):
            wrong.append(f"{name}: {_text(tuple(found[name].shape))}; expected {_text(shape)}")
        elif not found[name].is_floating_point():
            wrong.append(f"{name}: of type {str(found[name].dtype).removeprefix('torch.')}; expected floating point")
    wrong += [f"{name}: not in this network" for name in sorted(set(found) - set(layout.names.values()))]
    if not wrong:
        wrong = [f"{name}: holds NaN or infinite values" for name in found if not loaded(found[name]).isfinite().all()]
    return wrong


def count_fitting(found: AnyTensors, layout: FileLayout) -> int:
    """Count the tensors that fit."""
    wanted = layout.shapes
    return sum(name in found and layout.is_shape(found[name].shape, wanted[key]) for key, name in layout.names.items())


def without_auxiliary(network: Network) -> Network:
    """The network less its auxiliary branches; its variant says so."""
    stack = tuple(layer for layer in network.stack if not isinstance(layer, Auxiliary))
    return replace(network, stack=stack, variant=f"{network.variant}; without auxiliary heads, which the file lacks")


def square_input(network: Network, features: int, channels: int, shrink: int) -> Network:
    """The network for square images of which `features` values reach its first dense layer, where there are such.

    `channels` of the last feature map, which is `shrink` times smaller than the image.
    """
    side = math.isqrt(features // channels)
    return network.with_input((3, side * shrink, side * shrink)) if side * side * channels == features else network


def last_layer(network: Network) -> str:
    """The path of the layer that gives the logits."""
    heads = {layer.name for layer in network.stack if isinstance(layer, Auxiliary)}
    layers = (visit for visit in tensor_layers(network) if isinstance(visit.layer, Weighted))
    return [visit.path for visit in layers if visit.path.partition(".")[0] not in heads][-1]


def state_of(found: AnyTensors, layout: FileLayout) -> dict[str, Tensor]:
    """The state of the layout's network, in float32."""
    wanted = layout.shapes
    return {key: _float(loaded(found[name]).reshape(wanted[key])) for key, name in layout.names.items()}


def _float(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32).clone(memory_format=torch.contiguous_format)


def _without_last_ones(shape: Sequence[int]) -> tuple[int, ...]:
    sides = list(shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def _text(shape: Shape) -> str:
    return " x ".join(str(side) for side in shape) or "one number"
