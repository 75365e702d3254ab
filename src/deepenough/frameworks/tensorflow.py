"""TensorFlow: a SavedModel with a serving signature, from the same layers as for Keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepenough.frameworks import keras
from deepenough.frameworks.export import Export
from deepenough.frameworks.refusals import averages_beyond
from deepenough.frameworks.target import Runtime, Target

MODEL = "saved_model"


def write(export: Export, folder: Path) -> None:
    """The SavedModel: its signature `serving_default` takes `images`, uint8 (N, H, W, C), and gives `logits`."""
    keras.backend("tensorflow")
    from keras.export import ExportArchive

    model = keras.build(export, folder)
    archive = ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serving(model), input_signature=[signature(export)])
    archive.write_out(str(folder / MODEL), verbose=False)


def serving(model: Any) -> Callable[[Any], dict[str, Any]]:
    """What the signature computes."""
    return lambda images: {"logits": model(images, training=False)}


def signature(export: Export) -> Any:
    """The specification of `images`."""
    import tensorflow

    channels, height, width = export.network.input
    return tensorflow.TensorSpec((None, height, width, channels), tensorflow.uint8, name="images")


def load(export: Export) -> str:
    """For `predict.py`."""
    return '''
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow

RUNTIME = f"TensorFlow {tensorflow.__version__}"


def load():
    """The classifier: pixels uint8 (N, H, W, C) to logits (N, classes)."""
    model = tensorflow.saved_model.load(str(FOLDER / "saved_model"))
    serve = model.signatures["serving_default"]

    def logits(pixels):
        return serve(images=tensorflow.constant(pixels))["logits"].numpy()

    logits.model = model  # the signature does not keep it
    return logits
'''


TARGET = Target(
    name="tensorflow",
    title="TensorFlow",
    extra="tensorflow",
    packages=("keras", "tensorflow"),
    files=(MODEL, keras.MODULE),
    write=write,
    load=load,
    refuses=(averages_beyond,),
    needs="tensorflow",
    runtimes=(Runtime("TensorFlow", ("tensorflow",)),),
    layout="NHWC",
    refused={"int8": "TensorFlow runs int8 through LiteRT; take --to litert"},
    notes=(
        "`saved_model/` is a SavedModel. Its signature `serving_default`, which TensorFlow Serving calls too, takes "
        "`images` and gives `logits`, for any batch size.",
        "`network.py` is the source that it was made from, in `keras.layers`.",
    ),
)
