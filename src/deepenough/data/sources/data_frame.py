"""Columns of a pandas `DataFrame`: of images, of labels, of splits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepenough.data.finding import Finding
from deepenough.data.sources.headings import IMAGE_HEADINGS, LABEL_HEADINGS, SPLIT_HEADINGS
from deepenough.data.sources.labels import FileLabels
from deepenough.data.sources.other_columns import Choice
from deepenough.data.sources.splits import SplitColumns
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError

_SHOWN_COLUMNS = 10
_SPLITS = {UNASSIGNED: "", TRAIN: "train", VALIDATION: "validation", TEST: "test"}


def is_frame(data: Any) -> bool:
    """True for a pandas `DataFrame`."""
    return hasattr(data, "columns") and any(kind.__module__.split(".")[0] == "pandas" for kind in type(data).__mro__)


def images_of_frame(frame: Any) -> list[Any]:
    """The images or their paths."""
    return list(frame.iloc[:, _chosen(frame, IMAGE_HEADINGS, "images or paths").places[0]])


def labels_of_frame(frame: Any) -> Any:
    """The column of labels."""
    return frame.iloc[:, _chosen(frame, LABEL_HEADINGS, "labels").places[0]]


def other_columns_of_frame(frame: Any, what: str) -> list[Finding]:
    """Findings on columns that could be the labels, the images or the splits as well as those that are taken; an error
    where other labels divide the images differently."""
    labels = _chosen(frame, LABEL_HEADINGS, "labels")
    images, splits = (
        Choice.among(frame.columns, role, wanted)
        for role, wanted in (("the image", IMAGE_HEADINGS), ("the split", SPLIT_HEADINGS))
    )
    findings = [*images.findings(), *splits.findings()]
    if labels.others:
        findings += labels.labels(what, lambda place: FileLabels.of(what, frame.iloc[:, place].tolist())).findings
    return findings


def frames_by_split(frame: Any) -> Any:
    """The rows of a data frame by the name of their split, where columns tell it, as those of a CSV do."""
    columns = SplitColumns.among([str(name) for name in frame.columns], SPLIT_HEADINGS)
    if not columns.places:
        return frame
    rows: dict[str, list[int]] = {}
    cells = [frame.iloc[:, place].tolist() for place in columns.places]
    for row, values in enumerate(zip(*cells, strict=True)):
        told = dict(zip(columns.places, values, strict=True))
        rows.setdefault(_SPLITS[columns.split(told, f"the images, row {row}")], []).append(row)
    return {name: frame.iloc[places] for name, places in rows.items()}


def _chosen(frame: Any, names: Sequence[str], role: str) -> Choice:
    """The columns of these names. Raises the error where there is none."""
    choice = Choice.among(frame.columns, "the label", names)
    if choice.taken is None:
        shown = ", ".join(map(str, frame.columns[:_SHOWN_COLUMNS])) + ", ..." * (len(frame.columns) > _SHOWN_COLUMNS)
        raise DeepenoughError(
            f"a DataFrame with the columns {shown}: no column of {role} among them; call it {names[0]!r}"
        )
    return choice
