"""Core ML: an ML Program in a `.mlpackage`, for iPhones, iPads and Macs.

The program is written operation by operation: coremltools' own conversion of torch fuses layers, and is tested with
versions of torch other than ours. Core ML itself exists on Apple's systems only. So whatever is written, anywhere, is
read back and compared with the network (`coreml_read_back`); on macOS it is run, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from deepenough.frameworks.coreml_read_back import compare_with_network
from deepenough.frameworks.coreml_tokens import attention, class_token_and_positions
from deepenough.frameworks.export import Export, overhang
from deepenough.frameworks.graph_walk import GraphWalk
from deepenough.frameworks.metadata import PRODUCER, ModelMetadata
from deepenough.frameworks.names import coreml_names
from deepenough.frameworks.refusals import averages_beyond, has_no_centre, unknown_layer
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.activation import Activation, PRelu
from deepenough.nets.combinators import Elementwise
from deepenough.nets.layers import (
    BatchNorm,
    ChannelShuffle,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalPool,
    GroupNorm,
    LayerNorm,
    LayerScale,
    Lrn,
    MaxPool,
    Pool,
)
from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens


class CoremlGraph(GraphWalk[Any]):
    """The network's operations, added to the program that is being built. A walk's value is a variable of it."""

    def __init__(self, export: Export, images: Any) -> None:
        from coremltools.converters.mil import Builder

        super().__init__(export)
        self.mb = Builder
        self.names = coreml_names(export.network)
        self.logits = self.through(export.network.stack, self._normalised(images))

    def weight(self, key: str) -> Any:
        """Return a tensor of the network."""
        return self.export.state[key]

    def name(self, path: str, part: str = "") -> str:
        return f"{self.names[path]}__{part}" if part else self.names[path]

    def _normalised(self, images: Any) -> Any:
        """(images / 255 - mean) / std. The order of the channels is the input's own."""
        mean, std = (
            np.array(numbers, np.float32).reshape(1, -1, 1, 1)
            for numbers in (self.export.input.mean, self.export.input.std)
        )
        unit = self.mb.real_div(x=images, y=np.float32(255), name="normalise__unit")
        return self.mb.real_div(x=self.mb.sub(x=unit, y=mean, name="normalise__mean"), y=std, name="normalise__std")

    def concatenated(self, ends: Sequence[Any], name: str) -> Any:
        return self.mb.concat(values=list(ends), axis=1, name=name)

    def combined(self, layer: Elementwise, first: Any, second: Any, name: str) -> Any:
        return getattr(self.mb, layer.coreml)(x=first, y=second, name=name)

    def _activation(self, layer: Activation, path: str, value: Any) -> Any:
        values = [value]
        for number, node in enumerate(layer.nodes("coreml"), 1):
            given = dict(zip("xy", (values[place] for place in node.inputs), strict=False))
            name = self.name(path, "" if number == len(layer.coreml) else str(number))
            values.append(getattr(self.mb, node.kind)(**given, **node.attributes, name=name))
        return values[-1]

    def _sloped(self, visit: Visit, layer: PRelu, value: Any) -> Any:
        """The operation takes maps and a slope a channel: features become maps of one position."""
        path, mb, slopes = visit.path, self.mb, self.weight(f"{visit.path}.weight")
        if layer.shared:
            return mb.leaky_relu(x=value, alpha=slopes[0], name=self.name(path))
        if len(visit.input) == 3:
            return mb.prelu(x=value, alpha=slopes, name=self.name(path))
        one = mb.expand_dims(x=value, axes=[2, 3], name=self.name(path, "one"))
        sloped = mb.prelu(x=one, alpha=slopes, name=self.name(path, "map"))
        return mb.squeeze(x=sloped, axes=[2, 3], name=self.name(path))

    def _convolution(self, visit: Visit, layer: Conv, value: Any) -> Any:
        bias = {"bias": self.weight(f"{visit.path}.bias")} if layer.bias else {}
        return self.mb.conv(
            x=value,
            weight=self.weight(f"{visit.path}.weight"),
            strides=[layer.stride] * 2,
            pad_type="custom",
            pad=[pad for side in layer.pads(visit.input) for pad in side],
            dilations=[layer.dilation] * 2,
            groups=layer.groups,
            name=self.name(visit.path),
            **bias,
        )

    def _batch_norm(self, visit: Visit, eps: float, value: Any) -> Any:
        """The operation takes maps; features become maps of one position in a row."""
        path, flat = visit.path, len(visit.input) == 1
        scale, shift, mean, variance = self.export.tensors(path)
        if flat:
            value = self.mb.expand_dims(x=value, axes=[2], name=self.name(path, "row"))
        normed = self.mb.batch_norm(
            x=value, mean=mean, variance=variance, gamma=scale, beta=shift, epsilon=np.float32(eps),
            name=self.name(path, "norm") if flat else self.name(path),
        )  # fmt: skip
        return self.mb.squeeze(x=normed, axes=[2], name=self.name(path)) if flat else normed

    def _layer_norm(self, visit: Visit, eps: float, value: Any) -> Any:
        path, image = visit.path, len(visit.input) == 3
        scale, shift = self.export.tensors(path)
        if image:
            value = self.mb.transpose(x=value, perm=[0, 2, 3, 1], name=self.name(path, "last"))
        normed = self.mb.layer_norm(
            x=value, axes=[-1], gamma=scale, beta=shift, epsilon=np.float32(eps),
            name=self.name(path, "norm") if image else self.name(path),
        )  # fmt: skip
        return self.mb.transpose(x=normed, perm=[0, 3, 1, 2], name=self.name(path)) if image else normed

    def _group_norm(self, visit: Visit, layer: GroupNorm, value: Any) -> Any:
        """Each group as one channel in one row, which an instance norm takes; then factors and shifts of channels."""
        path, mb = visit.path, self.mb
        rows = mb.reshape(x=value, shape=[1, layer.groups, -1], name=self.name(path, "rows"))
        normed = mb.instance_norm(x=rows, epsilon=np.float32(layer.eps), name=self.name(path, "norm"))
        back = mb.reshape(x=normed, shape=[1, *visit.input], name=self.name(path, "map"))
        scale, shift = (tensor.reshape(1, -1, 1, 1) for tensor in self.export.tensors(path))
        return mb.add(x=mb.mul(x=back, y=scale, name=self.name(path, "scaled")), y=shift, name=self.name(path))

    def _pool(self, visit: Visit, layer: Pool, value: Any) -> Any:
        pads = [layer.padding, overhang(visit, 1), layer.padding, overhang(visit, 2)]
        stated = {"kernel_sizes": [layer.kernel] * 2, "strides": [layer.step] * 2, "pad_type": "custom", "pad": pads}
        if isinstance(layer, MaxPool):
            return self.mb.max_pool(x=value, **stated, name=self.name(visit.path))
        return self.mb.avg_pool(x=value, **stated, exclude_padding_from_average=False, name=self.name(visit.path))

    def _global_pool(self, visit: Visit, layer: GlobalPool, value: Any) -> Any:
        reduce = self.mb.reduce_mean if isinstance(layer, GlobalAvgPool) else self.mb.reduce_max
        axes = [1] if len(visit.input) == 2 else [2, 3]
        return reduce(x=value, axes=axes, keep_dims=len(visit.output) == 3, name=self.name(visit.path))

    def written(self, visit: Visit, value: Any) -> Any:
        layer, path, mb = visit.layer, visit.path, self.mb
        match layer:
            case Conv():
                return self._convolution(visit, layer, value)
            case BatchNorm(eps=eps):
                return self._batch_norm(visit, eps, value)
            case LayerNorm(eps=eps):
                return self._layer_norm(visit, eps, value)
            case GroupNorm():
                return self._group_norm(visit, layer, value)
            case LayerScale():
                factors = self.weight(f"{path}.weight")
                factors = factors.reshape(1, -1, 1, 1) if len(visit.input) == 3 else factors
                return mb.mul(x=value, y=factors, name=self.name(path))
            case PRelu():
                return self._sloped(visit, layer, value)
            case Activation():
                return self._activation(layer, path, value)
            case Lrn(size=size, alpha=alpha, beta=beta, k=k):
                numbers = {"alpha": np.float32(alpha), "beta": np.float32(beta), "k": np.float32(k)}
                return mb.local_response_norm(x=value, size=size, **numbers, name=self.name(path))
            case Pool():
                return self._pool(visit, layer, value)
            case GlobalPool():
                return self._global_pool(visit, layer, value)
            case Dropout():
                return value  # it does nothing in inference
            case ChannelShuffle():
                apart = mb.reshape(x=value, shape=[1, *layer.apart(visit.input)], name=self.name(path, "apart"))
                across = mb.transpose(x=apart, perm=[0, 2, 1, 3, 4], name=self.name(path, "across"))
                return mb.reshape(x=across, shape=[1, *visit.output], name=self.name(path))
            case ChannelSlice():
                begin, end = [0, *layer.begin(visit.input)], [1, layer.stop, *visit.input[1:]]
                return mb.slice_by_index(x=value, begin=begin, end=end, name=self.name(path))
            case Flatten():
                return mb.reshape(x=value, shape=[1, *visit.output], name=self.name(path))
            case Dense(bias=bias):
                shift = {"bias": self.weight(f"{path}.bias")} if bias else {}
                return mb.linear(x=value, weight=self.weight(f"{path}.weight"), **shift, name=self.name(path))
            case Tokens():
                return class_token_and_positions(self, visit, value)
            case SelfAttention(heads=heads):
                return attention(self, visit, heads, value)
            case FirstToken():
                ends, channels = [False, True, False], visit.output[0]
                return mb.slice_by_index(
                    x=value, begin=[0, 0, 0], end=[1, 1, channels], squeeze_mask=ends, name=self.name(path)
                )
        raise unknown_layer(visit, "Core ML")


def coreml_model(export: Export) -> Any:
    """The model as coremltools has it in memory, without its description."""
    import coremltools
    from coremltools.converters.mil import Builder

    shape = (1, *export.network.input)

    @Builder.program(input_specs=[Builder.TensorSpec(shape=shape)], opset_version=coremltools.target.iOS15)  # type: ignore[untyped-decorator]
    def program(images: Any) -> Any:
        logits = Builder.identity(x=CoremlGraph(export, images).logits, name="logits")
        return logits, Builder.softmax(x=logits, axis=-1, name="probabilities")

    layouts = coremltools.colorlayout
    layout = layouts.GRAYSCALE if shape[1] == 1 else layouts[export.input.order]
    return coremltools.convert(
        program,
        source="milinternal",
        convert_to="mlprogram",
        inputs=[coremltools.ImageType("images", shape=shape, color_layout=layout)],
        classifier_config=coremltools.ClassifierConfig(
            list(export.classes), predicted_probabilities_output="probabilities"
        ),
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS15,
        pass_pipeline=coremltools.PassPipeline.EMPTY,  # nothing is folded
        skip_model_load=True,
    )


def describe(model: Any, export: Export) -> None:
    """Put the description where Core ML and Xcode look for it."""
    metadata = ModelMetadata.of(export)
    model.author = PRODUCER
    model.version = metadata.version
    model.license = f"That of the weights{f' of {metadata.source}' if metadata.source else ''}"
    model.short_description = metadata.description
    for key, value in metadata.to_strings().items():
        model.user_defined_metadata[key] = value
    model.input_description["images"] = "An upright, resized image, 0..255; normalisation is inside."
    model.output_description["logits"] = "Their softmax is the classes' probabilities."
    model.output_description["classLabel"] = "The likeliest class."
    model.output_description["classLabel_probs"] = "The probability of each class."


class CoremlTarget(Target):
    """An ML Program of Core ML."""

    name = "coreml"
    title = "Core ML"
    extra = "coreml"
    packages = ("coremltools",)
    files = ("model.mlpackage",)
    needed_files = ("model.mlpackage",)
    snippets = ("predict.swift",)
    needs = "macOS, coremltools"
    runtimes = (Runtime("Core ML", ("coremltools",), system="macOS"),)
    read_back = "read back, its operations, their arguments and shapes are the network's, and its weights bit for bit"
    refused: ClassVar[Mapping[str, str]] = {
        "float16": "ML Programs are written in float32 only; Core ML Tools convert them, or take --to litert",
        "int8": "ML Programs are written in float32 only; Core ML Tools quantise them, or take --to litert",
    }
    notes = (
        "`model.mlpackage` is an ML Program for iOS 15, macOS 12 and later, and a classifier, as Xcode and Vision know "
        "them: it takes one image, `images`, and gives `classLabel`, `classLabel_probs` and `logits`. Its metadata "
        "have class names and preprocessing.",
        "`predict.swift` classifies an image in an app, with Vision, whose scaling of images is not Pillow's.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The package, which is then read back."""
        model = coreml_model(export)
        describe(model, export)
        package = folder / self.files[0]
        model.save(str(package))
        compare_with_network(package, export)

    def refusal(self, network: Network) -> str | None:
        channels, *_ = network.input
        beyond = f"images of {channels} channels; Core ML's have 1 or 3" if channels not in (1, 3) else None
        return super().refusal(network) or beyond

    def refuses(self, visit: Visit) -> str | None:
        return has_no_centre(visit, self.title) or averages_beyond(visit, self.title)

    def predict_values(self, export: Export) -> dict[str, Any]:
        channels, height, width = export.network.input
        colours = "A grey" if channels == 1 else "An RGB"
        takes = f"{colours} image of {width}x{height} pixels, one at a time. Normalisation is inside"
        shorter = 0 if export.input.covers() else export.input.shorter
        return {"takes": f"{takes}, and the order of the channels", "shorter": shorter}
