"""LiteRT (TensorFlow Lite): one file for phones and small devices, in float32, float16 or int8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.files import write_whole
from deepenough.frameworks import keras
from deepenough.frameworks.export import Export
from deepenough.frameworks.litert_metadata import with_metadata
from deepenough.frameworks.metadata import ModelMetadata
from deepenough.frameworks.refusals import averages_beyond, strides_and_dilates
from deepenough.frameworks.source import kotlin_literal, swift_literal
from deepenough.frameworks.target import Runtime, Target
from deepenough.frameworks.tensorflow import serving, signature
from deepenough.nets.layers import LayerScale
from deepenough.nets.shapes import Visit

INTEGER_ENDS = "model_full_integer.tflite"
"""The int8 model that takes and gives integers, for devices that compute with nothing else."""
INTEGER_NOTE = (
    f"`{INTEGER_ENDS}` is the same for devices that compute with integers only: it takes the pixels, and gives uint8; "
    "logits are `(value - zero_point) * scale`, both of which the file holds. It has all that `model.tflite` has, and "
    f'`predict.load("{INTEGER_ENDS}")` runs it.'
)


def _examples(export: Export) -> Iterator[list[Any]]:
    """The calibration images, one at a time."""
    assert export.calibration is not None
    for image in export.calibration:
        yield [image[None]]


def _examples_of_floats(export: Export) -> Iterator[list[Any]]:
    """The same as float32; two pixels of the first span 0..255, so that an integer is a level of a pixel."""
    for number, (images,) in enumerate(_examples(export)):
        pixels = images.astype(np.float32)
        if not number:
            pixels[0, 0, 0], pixels[0, -1, -1] = 0, 255
        yield [pixels]


def _serving_floats(export: Export, model: Any) -> Callable[[Any], dict[str, Any]]:
    """The function of the signature for pixels as float32, which an integer input has to be converted from.

    Normalisation is a 1x1 convolution: one rounding where factors and shifts are two, and it orders channels, too.
    """
    import keras as library
    import tensorflow

    wanted = export.input
    scale = np.diag([1 / (255 * std) for std in wanted.std]).astype(np.float32)
    if wanted.order == "BGR":
        scale = scale[::-1]
    shift = np.array([-mean / std for mean, std in zip(wanted.mean, wanted.std, strict=True)], np.float32)
    body = library.Model(model.get_layer("normalise").output, model.output)

    def serve(images: Any) -> dict[str, Any]:
        normalised = tensorflow.nn.bias_add(tensorflow.nn.conv2d(images, scale[None, None], 1, "VALID"), shift)
        return {"logits": body(normalised, training=False)}

    return serve


def _converter(serve: Callable[[Any], dict[str, Any]], images: Any) -> Any:
    """The converter of a function of the images that `images` specifies."""
    import tensorflow
    from tensorflow import lite
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2 as frozen

    function = tensorflow.function(serve, input_signature=[images])
    # The converter would freeze a whole SavedModel, in five times the time.
    return lite.TFLiteConverter.from_concrete_functions([frozen(function.get_concrete_function())])


class LitertTarget(Target):
    """A flat buffer of LiteRT, and the source that it was made from."""

    name = "litert"
    title = "LiteRT"
    extra = "litert"
    packages = ("keras", "tensorflow", "ai_edge_litert")
    files = ("model.tflite", "network.py")
    needed_files = ("model.tflite",)
    needs = "ai-edge-litert"
    runtimes = (Runtime("LiteRT", ("ai_edge_litert",)),)
    snippets = ("predict.kt", "predict.swift")
    layout = "NHWC"
    notes = (
        "`model.tflite` runs on phones and small devices with LiteRT (once TensorFlow Lite). Its batch is 1; "
        "`resize_tensor_input` changes it. Its signature `serving_default` takes `images` and gives `logits`. "
        "TensorFlow Lite's metadata name both; `labels.txt` and `metadata.json` are packed into the file.",
        "`network.py` is the source that it was made from, in `keras.layers`.",
        "`predict.kt` classifies a bitmap on Android, in Kotlin, `predict.swift` an image on iOS, in Swift. Both are "
        "text for an app: no compiler of either was at hand where they were written.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The flat buffer. Its batch is 1 until the interpreter is told otherwise."""
        keras.choose_backend("tensorflow")
        import tensorflow
        from tensorflow import lite

        model = keras.keras_model(replace(export, precision="float32"), folder)
        converter = _converter(serving(model), signature(export))
        if export.precision != "float32":
            converter.optimizations = [lite.Optimize.DEFAULT]
        if export.precision == "float16":
            converter.target_spec.supported_types = [tensorflow.float16]
        elif export.precision == "int8":
            converter.representative_dataset = lambda: _examples(export)
        self._store(folder / self.files[0], converter, export)
        for file in self.more_files(export.precision):
            images = tensorflow.TensorSpec(signature(export).shape, tensorflow.float32, name="images")
            converter = _converter(_serving_floats(export, model), images)
            converter.optimizations = [lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: _examples_of_floats(export)
            converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tensorflow.uint8
            self._store(folder / file, converter, export)

    def predict_values(self, export: Export) -> dict[str, Any]:
        wanted, channels = export.input, export.network.input[0]
        order = f", channels in {wanted.order}" if channels == 3 else ""
        values = {
            "model_file": self.files[0],
            "kotlin_literals": [kotlin_literal(name) for name in export.classes],
            "swift_literals": [swift_literal(name) for name in export.classes],
            "shorter": 0 if wanted.covers() else wanted.shorter,
            "colours": {1: "grey", 3: "red, green, blue"}.get(channels, "which no picture has"),
            "normalised": f"(value / 255 - {list(wanted.mean)}) / {list(wanted.std)}{order}",
        }
        return {**values, "notes": (*self.notes, INTEGER_NOTE)} if self.more_files(export.precision) else values

    def _store(self, file: Path, converter: Any, export: Export) -> None:
        write_whole(file, with_metadata(converter.convert(), ModelMetadata.of(export)))

    def more_files(self, precision: str) -> tuple[str, ...]:
        return (INTEGER_ENDS,) if precision == "int8" else ()

    def runtimes_for(self, precision: str) -> tuple[Runtime, ...]:
        ends = [
            Runtime("LiteRT, integer ends", ("ai_edge_litert",), {"file": file}) for file in self.more_files(precision)
        ]
        return (*self.runtimes, *ends)

    def refuses(self, visit: Visit) -> str | None:
        if isinstance(visit.layer, LayerScale) and len(visit.input) < 3:
            return "LiteRT can't run what Keras has for a layer scale of tokens or features (EinsumDense)"
        return averages_beyond(visit, self.title) or strides_and_dilates(visit)
