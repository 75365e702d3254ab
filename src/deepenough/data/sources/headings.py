"""Names of columns: one list of each role, for CSV and Parquet files, data frames and data sets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PATH_HEADINGS = (
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "image_name",
    "name",
)
LABEL_HEADINGS = ("label", "labels", "fine_label", "class", "category", "target", "class_name")
SPLIT_HEADINGS = ("split", "set", "subset", "partition")
IMAGE_HEADINGS = ("image", "img", "images", "pixel_values", *(name for name in PATH_HEADINGS if name != "image"))
"""Names of columns, in lower case, the likeliest first. `IMAGE_HEADINGS`: of images themselves or their paths."""


def columns(names: Iterable[object], wanted: Sequence[str]) -> list[int]:
    """The places of all columns that have one of the `wanted` names, the likeliest first."""
    given = [str(name).strip().strip("\ufeff").lower() for name in names]
    return [place for word in wanted for place, name in enumerate(given) if name == word]


def column(names: Iterable[object], wanted: Sequence[str]) -> int | None:
    """The place of the first of `wanted` among the names of columns; None where none is there."""
    return next(iter(columns(names, wanted)), None)
