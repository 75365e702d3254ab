"""TensorFlow: a SavedModel with a serving signature, from the same layers as for Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from deepenough.files import write_whole
from deepenough.frameworks import keras
from deepenough.frameworks.export import Export
from deepenough.frameworks.metadata import JSON_FILE, LABELS_FILE, ModelMetadata
from deepenough.frameworks.refusals import averages_beyond, strides_and_dilates
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.shapes import Visit

EXTRA = "assets.extra"
"""The folder of a SavedModel for files that the graph does not load."""


def serving(model: Any) -> Callable[[Any], dict[str, Any]]:
    """Return the function of the signature."""
    return lambda images: {"logits": model(images, training=False)}


def signature(export: Export) -> Any:
    """The specification of `images`."""
    import tensorflow

    channels, height, width = export.network.input
    return tensorflow.TensorSpec((None, height, width, channels), tensorflow.uint8, name="images")


class TensorflowTarget(Target):
    """A SavedModel, and the source that it was made from."""

    name = "tensorflow"
    title = "TensorFlow"
    extra = "tensorflow"
    packages = ("keras", "tensorflow")
    files = ("saved_model", "network.py")
    needed_files = ("saved_model",)
    needs = "tensorflow"
    runtimes = (Runtime("TensorFlow", ("tensorflow",)),)
    layout = "NHWC"
    refused: ClassVar[Mapping[str, str]] = {"int8": "TensorFlow runs int8 through LiteRT; take --to litert"}
    notes = (
        "`saved_model/` is a SavedModel. Its signature `serving_default`, which TensorFlow Serving calls too, takes "
        "`images` and gives `logits`, for any batch size. `assets.extra/` in it has class names and preprocessing.",
        "`network.py` is the source that it was made from, in `keras.layers`.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The SavedModel: its signature `serving_default` takes `images`, uint8 (N, H, W, C), and gives `logits`."""
        keras.choose_backend("tensorflow")
        from keras.export import ExportArchive

        model = keras.keras_model(export, folder)
        archive = ExportArchive()
        archive.track(model)
        archive.add_endpoint("serving_default", serving(model), input_signature=[signature(export)])
        archive.write_out(str(folder / self.files[0]), verbose=False)
        metadata, extra = ModelMetadata.of(export), folder / self.files[0] / EXTRA
        extra.mkdir()
        write_whole(extra / JSON_FILE, metadata.dumps())
        write_whole(extra / LABELS_FILE, metadata.labels())

    def refuses(self, visit: Visit) -> str | None:
        return averages_beyond(visit, self.title) or strides_and_dilates(visit)
