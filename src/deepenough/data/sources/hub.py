"""`hf:NAME`: a data set of the Hugging Face hub, through the `datasets` library."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from deepenough.data.sources.base import SPLIT_NAMES, Source, check_classes, is_text_like, present_classes, stamp_of
from deepenough.data.sources.names import NumberedNames
from deepenough.data.split import UNASSIGNED
from deepenough.errors import DeepenoughError

PREFIX = "hf:"


class Hub(Source):
    """All splits of a data set with one image column and one column of class labels."""

    sequential = True

    @classmethod
    def is_named(cls, word: str) -> bool:
        return word.startswith(PREFIX)

    @classmethod
    def open(cls, given: str) -> Hub:
        return cls(given.removeprefix(PREFIX))

    def __init__(self, name: str) -> None:
        try:
            import datasets
        except ImportError:
            raise DeepenoughError(
                f"hf:{name} needs the datasets library, which is not installed: pip install 'deepenough[hub]'"
            ) from None
        self.name = f"hf:{name}"
        try:
            found = datasets.load_dataset(name)
        except Exception as error:  # network, spelling, permission: the library's own words say which
            raise DeepenoughError(f"hf:{name}: it could not be loaded ({error})") from None
        first = next(iter(found.values()))
        image = [c for c, f in first.features.items() if type(f).__name__ == "Image"]
        label = [c for c, f in first.features.items() if type(f).__name__ == "ClassLabel"]
        if not image or not label:
            raise DeepenoughError(
                f"hf:{name}: an Image column and a ClassLabel column are needed, it has {', '.join(first.features)}"
            )
        self._column = image[0]
        column = "label" if "label" in label else label[0]
        self._parts: list[Any] = [part.cast_column(image[0], datasets.Image(decode=False)) for part in found.values()]
        counts = [len(part) for part in self._parts]
        labels = np.concatenate([np.asarray(part[column], np.int64) for part in self._parts])
        if len(labels) and labels.min() < 0:
            raise DeepenoughError(f"hf:{name}: some images have no label (-1); a data set with labels is needed")
        self.classes, self.labels = present_classes(labels, first.features[column].names)
        check_classes(self.name, self.classes)
        splits = [SPLIT_NAMES.get(str(split).lower(), UNASSIGNED) for split in found]
        self.splits = np.repeat(np.array(splits, np.int8), counts)
        self.names = NumberedNames([(f"{name}/{split}", n) for split, n in zip(found, counts, strict=True)])
        self.mirror = not is_text_like(self.classes)
        prints = [getattr(part, "_fingerprint", "") or str(len(part)) for part in found.values()]
        self.stamp = stamp_of(["hf", name, *prints, *self.classes])
        self._starts = np.cumsum([0, *counts])
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Hub], tuple[str]]:
        return Hub, (self.name.removeprefix(PREFIX),)  # locks do not travel to other processes

    def read(self, row: int) -> bytes:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        with self._lock:
            value = self._parts[part][row - int(self._starts[part])][self._column]
        if value is None:
            raise OSError("the image is missing")
        if value.get("bytes") is not None:
            return bytes(value["bytes"])
        from pathlib import Path

        return Path(value["path"]).read_bytes()
