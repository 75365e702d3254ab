"""The description inside LiteRT files: TensorFlow Lite's metadata (metadata_schema.fbs 1.0.0), signature, label file.

The metadata are a flat buffer inside the model's; the files that they name are a zip archive behind it.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

from deepenough.frameworks.metadata import JSON_FILE, LABELS_FILE, ModelMetadata

BUFFER = "TFLITE_METADATA"
IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
SIGNATURE = "serving_default"
_DESCRIPTIONS, _AXIS_LABELS = 1, 2  # of AssociatedFileType
_IMAGE_PROPERTIES = 2  # of ContentProperties
_COLOURS = {3: 1, 1: 2}  # of ColorSpaceType: RGB, grey


def with_metadata(model: bytes, metadata: ModelMetadata) -> bytes:
    """Return the model with metadata, a signature, named ends and the files behind it. No weight is touched."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model))
    made.description = metadata.description
    _name_ends(made, schema)
    made.buffers.append(schema.BufferT(data=_metadata(metadata)))
    entry = schema.MetadataT(name=BUFFER, buffer=len(made.buffers) - 1)
    made.metadata = [*(made.metadata or []), entry]
    builder = flatbuffers.Builder(len(model))
    builder.Finish(made.Pack(builder), b"TFL3")
    stream = io.BytesIO()
    stream.write(builder.Output())
    with zipfile.ZipFile(stream, "a") as archive:
        for name, text in ((LABELS_FILE, metadata.labels()), (JSON_FILE, metadata.dumps())):
            archive.writestr(zipfile.ZipInfo(name), text)  # of 1980, so that the same model gives the same bytes
    return stream.getvalue()


def _name_ends(model: Any, schema: Any) -> None:
    """Call the input `images` and the output `logits`, as tensors and in the one signature."""
    (graph,) = model.subgraphs
    ends = {}
    for name, (tensor,) in (("images", graph.inputs), ("logits", graph.outputs)):
        graph.tensors[tensor].name = name.encode()
        ends[name] = [schema.TensorMapT(name=name, tensorIndex=tensor)]
    model.signatureDefs = [
        schema.SignatureDefT(inputs=ends["images"], outputs=ends["logits"], signatureKey=SIGNATURE, subgraphIndex=0)
    ]


class _Tables:
    """A builder of flat buffers that makes a table of its slots, since no generated code for the schema is on PyPI."""

    def __init__(self) -> None:
        import flatbuffers

        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return int(self.builder.CreateString(value))

    def vector(self, offsets: list[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())

    def table(self, offsets: dict[int, int], *, small: dict[int, int] | None = None, **numbers: int) -> int:
        """A table with these slots: offsets of other objects, bytes (`small`), and unsigned numbers (`slot0=...`)."""
        given = [*offsets, *(small or {}), *(int(name.removeprefix("slot")) for name in numbers)]
        self.builder.StartObject(max(given) + 1)
        for slot, value in offsets.items():
            self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        for name, value in numbers.items():
            self.builder.PrependUint32Slot(int(name.removeprefix("slot")), value, 0)
        for slot, value in (small or {}).items():
            self.builder.PrependInt8Slot(slot, value, 0)
        return int(self.builder.EndObject())

    def file(self, name: str, about: str, kind: int) -> int:
        """An AssociatedFile."""
        return self.table({0: self.text(name), 1: self.text(about)}, small={2: kind})

    def names(self, *names: str) -> int:
        return self.vector([self.text(name) for name in names])


def _metadata(metadata: ModelMetadata) -> bytes:
    """The ModelMetadata."""
    tables = _Tables()
    height, width = metadata.preprocessing.size
    image = tables.table(
        {1: tables.table({}, slot0=width, slot1=height)},
        small={0: _COLOURS.get(metadata.preprocessing.channels, 0)},
    )
    content = tables.table({1: image}, small={0: _IMAGE_PROPERTIES})
    images = tables.table({
        0: tables.text("images"), 1: tables.text("Pixels 0..255; normalisation is inside the model."),
        2: tables.names("batch", "height", "width", "channels"), 3: content,
    })  # fmt: skip
    labels = tables.file(LABELS_FILE, "The class names in the order of the logits.", _AXIS_LABELS)
    logits = tables.table({
        0: tables.text("logits"), 1: tables.text("Logits; their softmax is the probabilities of the classes."),
        2: tables.names("batch", "classes"), 6: tables.vector([labels]),
    })  # fmt: skip
    graph = tables.table({0: tables.text(metadata.name), 2: tables.vector([images]), 3: tables.vector([logits])})
    about = tables.file(JSON_FILE, "Class names, preprocessing and source as JSON.", _DESCRIPTIONS)
    tables.builder.Finish(
        tables.table({
            0: tables.text(metadata.name), 1: tables.text(metadata.description), 2: tables.text(metadata.version),
            3: tables.vector([graph]), 4: tables.text(f"deepenough {metadata.version}"), 6: tables.vector([about]),
            7: tables.text(PARSER_VERSION),
        }),
        IDENTIFIER,
    )  # fmt: skip
    return bytes(tables.builder.Output())
