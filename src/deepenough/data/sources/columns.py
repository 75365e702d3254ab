"""The columns of Parquet files: which hold the images, the labels and the splits, and what the labels say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from deepenough.data.sources.base import distinct
from deepenough.data.sources.headings import IMAGE_HEADINGS, LABEL_HEADINGS, columns
from deepenough.data.sources.labels import MISSING, FileLabels, SeveralLabelsError, is_number, several, text_of
from deepenough.data.sources.other_columns import Choice
from deepenough.errors import DeepenoughError

ColumnFeatures = dict[str, dict[str, Any]]


def features_of(schema: Any) -> ColumnFeatures:
    """The features that Hugging Face writes into a schema's metadata, by column; empty where there are none."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in found.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def columns_of_images(file: str, schema: Any, features: ColumnFeatures) -> Choice:
    """The columns that hold images, bytes or a struct with `bytes`, the likeliest first: what the features call one, a
    struct, then the usual names."""
    import pyarrow as pa

    kinds = [field.type for field in schema]
    holding = [place for place, kind in enumerate(kinds) if _holds_bytes(kind)]
    if not holding:
        told = ", ".join(f"{name} ({kind})" for name, kind in zip(schema.names, kinds, strict=True))
        raise DeepenoughError(f"{file}: no image column among {told}; one with the bytes of image files is needed")
    usual = columns([schema.names[place] for place in holding], IMAGE_HEADINGS)
    rank = {holding[number]: order for order, number in enumerate(usual)}

    def unlikely(place: int) -> tuple[bool, bool, int]:
        is_image = features.get(schema.names[place], {}).get("_type") == "Image"
        return not is_image, not pa.types.is_struct(kinds[place]), rank.get(place, len(rank))

    return Choice(schema.names, "the image", sorted(holding, key=unlikely))


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def labels_of_table(file: str, schema: Any, features: ColumnFeatures, read: Callable[[str], Any]) -> FileLabels:
    """The labels of a file whose columns of one name `read` gives as a table.

    They are in a column of a usual name, or else in one for which the features have class names. Another that is named
    like labels and divides the images differently is an error; all others become findings.
    """

    def labels_at(place: int) -> FileLabels:
        name = schema.names[place]
        return read_labels(file, read(name).column(schema.names[:place].count(name)), features.get(name, {}))

    choice = Choice.among(schema.names, "the label", LABEL_HEADINGS)
    if choice.taken is not None:
        return choice.labels(file, labels_at)
    named = [place for place, name in enumerate(schema.names) if _class_names(features.get(name, {}))]
    if not named:
        raise DeepenoughError(f"{file}: no label column among {', '.join(schema.names)}; name it label")
    part = labels_at(named[0])
    return replace(part, findings=(*part.findings, *Choice(schema.names, "the label", named).findings()))


def _class_names(feature: dict[str, Any]) -> list[str]:
    """The class names of a feature, or of what it is a list of."""
    inner = feature.get("feature", feature)
    names = inner.get("names") if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def read_labels(file: str, column: Any, feature: dict[str, Any]) -> FileLabels:
    """The labels of a column, a chunked array of any type; numbers are rows of the class names that `feature` brings.

    Empty cells, and -1 where there are class names, are no label.
    """
    values, codes = _coded(file, column)
    names = [text_of(name) or name for name in distinct(_class_names(feature))]
    if not names:
        part = FileLabels.of(file, values)
        return FileLabels(file, part.names, np.append(part.codes, MISSING)[codes], findings=part.findings)
    places = [_place(file, value, names) for value in values]
    return FileLabels(file, tuple(names), np.array([*places, MISSING], np.int64)[codes], listed=True)


def _place(file: str, value: object, names: list[str]) -> int:
    """The place of a label among the class names, or `MISSING`."""
    text = text_of(value)
    if text is None or text == "-1":
        return MISSING
    if isinstance(value, str) and text in names:
        return names.index(text)
    if is_number(text) and 0 <= int(text) < len(names):
        return int(text)
    raise DeepenoughError(
        f"{file}: the label {text!r:.80} is none of its {len(names)} class names, which are numbered from 0 to "
        f"{len(names) - 1}"
    )


def _coded(file: str, column: Any) -> tuple[list[Any], Any]:
    """The different values of a column, and int64 (n,) rows into them or `MISSING`."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _listed(file, column.to_pylist())
    try:
        encoded = column.combine_chunks().dictionary_encode()
    except (pa.ArrowException, NotImplementedError):
        raise DeepenoughError(f"{file}: labels of the type {kind} can't be read; use words or whole numbers") from None
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks() if encoded.num_chunks != 1 else encoded.chunk(0)
    codes = encoded.indices.fill_null(MISSING).to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded.dictionary.to_pylist(), codes


def _listed(file: str, rows: list[Any]) -> tuple[list[Any], Any]:
    """The labels of lists of at most one."""
    places: dict[Any, int] = {}
    codes = []
    for number, row in enumerate(rows, 1):
        if row is not None and len(row) > 1:
            raise several(f"{file}, row {number}", SeveralLabelsError(", ".join(map(str, row[:3]))))
        codes.append(
            places.setdefault(row[0], len(places)) if row and not isinstance(row[0], (list, dict)) else MISSING
        )
    return list(places), np.array(codes, np.int64)
