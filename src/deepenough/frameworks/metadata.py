"""The description that stands inside a model file: class names, preprocessing, and where the model came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from deepenough.nets.longest_path import depth
from deepenough.preprocessing import Preprocessing

if TYPE_CHECKING:
    from deepenough.frameworks.export import Export

PRODUCER = "deepenough"
JSON_FILE = "metadata.json"
"""The name of the description in formats that hold files."""
LABELS_FILE = "labels.txt"
"""The name of the class names in formats that hold files: one a line, in the order of the logits."""


@dataclass(frozen=True)
class ModelMetadata:
    """The description of a classifier. `source` is the run or the weights that it was made of, "" where unknown."""

    name: str
    description: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    source: str
    version: str

    @classmethod
    def of(cls, export: Export) -> ModelMetadata:
        """Describe what is to be written."""
        network = export.network
        channels, height, width = network.input
        colours = {1: "grey", 3: "RGB"}.get(channels, f"{channels}-channel")
        many = f"{len(export.classes)} class{'' if len(export.classes) == 1 else 'es'}"
        about = (
            f"Image classifier {network.name} of depth {depth(network)}: {colours} pixels, {height} high and {width} "
            f"wide, to the logits of {many}, in {export.precision}"
        )
        return cls(network.name, about, export.classes, export.input, export.source, version("deepenough"))

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON: `preprocessing` is what `preprocess.json` holds."""
        return {
            "name": self.name,
            "description": self.description,
            "classes": list(self.classes),
            "preprocessing": self.preprocessing.to_json(),
            "source": self.source,
            "producer": PRODUCER,
            "version": self.version,
        }

    def dumps(self) -> str:
        """Return the description as the text of a JSON file."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False)

    def to_strings(self) -> dict[str, str]:
        """Return the description for formats that hold text only: `classes` and `preprocessing` are JSON."""
        return {
            key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for key, value in self.to_json().items()
        }

    def labels(self) -> str:
        """Return the class names, one a line; white space in a name becomes a blank, so that each has one line."""
        return "".join(f"{' '.join(name.split())}\n" for name in self.classes)
