"""LiteRT (TensorFlow Lite): one file for phones and small devices, in float32, float16 or int8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepenough.files import write_whole
from deepenough.frameworks import keras
from deepenough.frameworks.export import Export
from deepenough.frameworks.litert_metadata import with_metadata
from deepenough.frameworks.metadata import ModelMetadata
from deepenough.frameworks.refusals import averages_beyond, strides_and_dilates
from deepenough.frameworks.target import Runtime, Target
from deepenough.frameworks.tensorflow import serving, signature
from deepenough.nets.layers import LayerScale
from deepenough.nets.shapes import Visit


def _examples(export: Export) -> Iterator[list[Any]]:
    """The calibration images, one at a time."""
    assert export.calibration is not None
    for image in export.calibration:
        yield [image[None]]


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
    layout = "NHWC"
    notes = (
        "`model.tflite` runs on phones and small devices with LiteRT (once TensorFlow Lite). Its batch is 1; "
        "`resize_tensor_input` changes it. Its signature `serving_default` takes `images` and gives `logits`. "
        "TensorFlow Lite's metadata name both; `labels.txt` and `metadata.json` are packed into the file.",
        "`network.py` is the source that it was made from, in `keras.layers`.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The flat buffer. Its batch is 1 until the interpreter is told otherwise."""
        keras.choose_backend("tensorflow")
        import tensorflow
        from tensorflow import lite
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2 as frozen

        model = keras.keras_model(replace(export, precision="float32"), folder)
        serve = tensorflow.function(serving(model), input_signature=[signature(export)])
        # The converter would freeze a whole SavedModel, in five times the time.
        converter = lite.TFLiteConverter.from_concrete_functions([frozen(serve.get_concrete_function())])
        if export.precision != "float32":
            converter.optimizations = [lite.Optimize.DEFAULT]
        if export.precision == "float16":
            converter.target_spec.supported_types = [tensorflow.float16]
        elif export.precision == "int8":
            converter.representative_dataset = lambda: _examples(export)
        write_whole(folder / self.files[0], with_metadata(converter.convert(), ModelMetadata.of(export)))

    def refuses(self, visit: Visit) -> str | None:
        if isinstance(visit.layer, LayerScale) and len(visit.input) < 3:
            return "LiteRT can't run what Keras has for a layer scale of tokens or features (EinsumDense)"
        return averages_beyond(visit, self.title) or strides_and_dilates(visit)
