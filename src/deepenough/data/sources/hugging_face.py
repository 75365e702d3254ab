"""The rows of a `Dataset` of Hugging Face's `datasets` library."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from deepenough.data.finding import Finding
from deepenough.data.image_file import read_file
from deepenough.data.sources.headings import IMAGE_HEADINGS, LABEL_HEADINGS, columns
from deepenough.data.sources.labels import FileLabels
from deepenough.data.sources.names import NumberedNames
from deepenough.data.sources.other_columns import Choice
from deepenough.errors import DeepenoughError


def is_dataset(value: Any) -> bool:
    """True for a `datasets.Dataset`, and for an iterable one, which can't be read by row."""
    return type(value).__module__.split(".")[0] == "datasets" and hasattr(value, "cast_column")


class HuggingFaceImages(Sequence[Any]):
    """The image files of a data set with an image column, as they are stored, read one by one."""

    def __init__(self, dataset: Any, what: str) -> None:
        import datasets

        if not hasattr(dataset, "__len__"):
            raise DeepenoughError(f"{what}: a streamed data set can't be read by row; load it without streaming")
        images = _image_columns(dataset)
        if images.taken is None:
            raise DeepenoughError(
                f"{what}: an Image column is needed, it has {', '.join(dataset.features)}; make one of a column of "
                'paths by dataset.cast_column("image", datasets.Image())'
            )
        self._column = str(images.header[images.taken])
        self._rows = dataset.with_format(None).cast_column(self._column, datasets.Image(decode=False))
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> bytes:
        with self._lock:
            value = self._rows[row][self._column]
        if value is None:
            raise OSError("the image is missing")
        return bytes(value["bytes"]) if value.get("bytes") is not None else read_file(value["path"])

    def names(self, part: str) -> Sequence[str]:
        """Give each image a name: the split that it is in, with its row."""
        return NumberedNames([(part, len(self))])

    def add_to(self, digest: Any) -> None:
        """Add what `datasets` knows the content by to a hash."""
        digest.update(f"{getattr(self._rows, '_fingerprint', '')} {len(self)}".encode())


def labels_of(dataset: Any, what: str) -> tuple[list[Any], Sequence[str] | None]:
    """The labels of all rows, and the names of the classes where the column has them."""
    features = dataset.features
    choice = _label_columns(dataset)
    if choice.taken is None:
        raise DeepenoughError(f"{what}: a column of labels is needed, it has {', '.join(features)}; name one label")
    column = str(choice.header[choice.taken])
    labels = list(dataset.with_format(None)[column][:])
    classes = getattr(features[column], "names", None)
    if classes is not None and any(label is None or label < 0 for label in labels):
        raise DeepenoughError(f"{what}: some images have no label (-1); a data set with labels is needed")
    return labels, classes


def other_columns_of_dataset(dataset: Any, what: str) -> list[Finding]:
    """Findings on columns that could be the images or the labels as well as those that are taken; an error where one
    that is named like labels divides the images differently."""
    choice, rows = _label_columns(dataset), dataset.with_format(None)
    found = choice.findings()
    if set(choice.others) & set(columns(choice.header, LABEL_HEADINGS)):
        found = list(choice.labels(what, lambda place: FileLabels.of(what, rows[choice.header[place]][:])).findings)
    return _image_columns(dataset).findings() + found


def _image_columns(dataset: Any) -> Choice:
    """The columns with images, the usual names first."""
    names = list(dataset.features)
    places = [place for place, name in enumerate(names) if type(dataset.features[name]).__name__ == "Image"]
    usual = [place for place in columns(names, IMAGE_HEADINGS) if place in places]
    return Choice(names, "the image", list(dict.fromkeys((*usual, *places))))


def _label_columns(dataset: Any) -> Choice:
    """The columns of the usual names for labels, or else those with class names."""
    names = list(dataset.features)
    named = [place for place, name in enumerate(names) if type(dataset.features[name]).__name__ == "ClassLabel"]
    return Choice(names, "the label", columns(names, LABEL_HEADINGS) or named)
