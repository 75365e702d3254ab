"""LiteRT (TensorFlow Lite): one file for phones and small devices, in float32, float16 or int8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepenough.files import write_whole
from deepenough.frameworks import keras
from deepenough.frameworks.export import Export
from deepenough.frameworks.refusals import averages_beyond
from deepenough.frameworks.target import Runtime, Target
from deepenough.frameworks.tensorflow import serving, signature

MODEL = "model.tflite"


def write(export: Export, folder: Path) -> None:
    """The flat buffer. Its batch is 1 until the interpreter is told otherwise."""
    keras.backend("tensorflow")
    import tensorflow
    from tensorflow import lite
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2 as frozen

    model = keras.build(replace(export, precision="float32"), folder)
    serve = tensorflow.function(serving(model), input_signature=[signature(export)])
    # The converter would freeze a whole SavedModel, in five times the time.
    converter = lite.TFLiteConverter.from_concrete_functions([frozen(serve.get_concrete_function())])
    if export.precision != "float32":
        converter.optimizations = [lite.Optimize.DEFAULT]
    if export.precision == "float16":
        converter.target_spec.supported_types = [tensorflow.float16]
    elif export.precision == "int8":
        converter.representative_dataset = lambda: _examples(export)
    write_whole(folder / MODEL, converter.convert())


def _examples(export: Export) -> Iterator[list[Any]]:
    """The calibration images, one at a time."""
    assert export.calibration is not None
    for image in export.calibration:
        yield [image[None]]


def load(export: Export) -> str:
    """For `predict.py`."""
    return '''
from ai_edge_litert import __version__
from ai_edge_litert.interpreter import Interpreter

RUNTIME = f"LiteRT {__version__}"


def load():
    """The classifier: pixels uint8 (N, H, W, C) to logits (N, classes)."""
    interpreter = Interpreter(str(FOLDER / "model.tflite"))
    images = interpreter.get_input_details()[0]["index"]
    answer = interpreter.get_output_details()[0]["index"]
    batch = None

    def logits(pixels):
        nonlocal batch
        if pixels.shape[0] != batch:
            interpreter.resize_tensor_input(images, pixels.shape)
            interpreter.allocate_tensors()
            batch = pixels.shape[0]
        interpreter.set_tensor(images, pixels)
        interpreter.invoke()
        return interpreter.get_tensor(answer).copy()

    return logits
'''


TARGET = Target(
    name="litert",
    title="LiteRT",
    extra="litert",
    packages=("keras", "tensorflow", "ai_edge_litert"),
    files=(MODEL, keras.MODULE),
    write=write,
    load=load,
    refuses=(averages_beyond,),
    needs="ai-edge-litert",
    runtimes=(Runtime("LiteRT", ("ai_edge_litert",)),),
    layout="NHWC",
    notes=(
        "`model.tflite` runs on phones and small devices with LiteRT (once TensorFlow Lite). Its batch is 1; "
        "`resize_tensor_input` changes it.",
        "`network.py` is the source that it was made from, in `keras.layers`.",
    ),
)
