"""The rows of a `Dataset` of Hugging Face's `datasets` library."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from deepenough.data.image_file import read_file
from deepenough.data.sources.headings import LABEL_HEADINGS
from deepenough.data.sources.names import NumberedNames
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
        columns = [name for name, kind in dataset.features.items() if type(kind).__name__ == "Image"]
        if not columns:
            raise DeepenoughError(
                f"{what}: an Image column is needed, it has {', '.join(dataset.features)}; make one of a column of "
                'paths by dataset.cast_column("image", datasets.Image())'
            )
        self._column = columns[0]
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
    named = [name for name, kind in features.items() if type(kind).__name__ == "ClassLabel"]
    column = next((name for name in (*LABEL_HEADINGS, *named) if name in features), None)
    if column is None:
        raise DeepenoughError(f"{what}: a column of labels is needed, it has {', '.join(features)}; name one label")
    labels = list(dataset.with_format(None)[column][:])
    classes = getattr(features[column], "names", None)
    if classes is not None and any(label is None or label < 0 for label in labels):
        raise DeepenoughError(f"{what}: some images have no label (-1); a data set with labels is needed")
    return labels, classes
