"""`hf:NAME`: a data set of the Hugging Face hub, through the `datasets` library."""

from __future__ import annotations

from deepenough.data.sources.hugging_face import HuggingFaceImages, labels_of, other_columns_of_dataset
from deepenough.data.sources.in_memory import InMemory
from deepenough.data.sources.labels_in_python import label_names
from deepenough.errors import DeepenoughError
from deepenough.hub import HUB_PREFIX


class Hub(InMemory):
    """All splits of a data set with one image column and one column of class labels."""

    @classmethod
    def is_named(cls, word: str) -> bool:
        return word.startswith(HUB_PREFIX)

    @classmethod
    def open(cls, given: str) -> Hub:
        return cls(given.removeprefix(HUB_PREFIX))

    def __init__(self, name: str) -> None:
        try:
            import datasets
        except ImportError:
            raise DeepenoughError(
                f"hf:{name} needs the datasets library, which is not installed: pip install 'deepenough[hub]'"
            ) from None
        try:
            found = datasets.load_dataset(name)
        except Exception as error:  # network, spelling, permission: the library's own words say which
            raise DeepenoughError(f"hf:{name}: it could not be loaded ({error})") from None
        parts, findings = {}, []
        for split, dataset in found.items():
            labels, classes = labels_of(dataset, f"hf:{name}")
            parts[str(split)] = HuggingFaceImages(dataset, f"hf:{name}"), label_names(labels, f"hf:{name}", classes)
            findings += other_columns_of_dataset(dataset, f"hf:{name}")
        super().__init__(parts, known_splits_only=False, findings=findings)
        self.name = f"hf:{name}"

    def __reduce__(self) -> tuple[type[Hub], tuple[str]]:
        return Hub, (self.name.removeprefix(HUB_PREFIX),)  # locks do not travel to other processes
