"""The process that writes exports, with one Keras model for all that are made of it; run by test_natively.py.

It does the jobs of `deepenough.frameworks.writer` in their order: a network for Keras, then for TensorFlow and LiteRT.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from deepenough.files import write_whole
from deepenough.frameworks import keras, writer
from deepenough.frameworks.export import Export

build_anew = keras.keras_model
last: tuple[Export, Any] | None = None


def build(export: Export, folder: Path) -> Any:
    """The model as `keras.keras_model` makes it, or the last one where that is of the same network."""
    global last
    if last is None or last[0].network != export.network:
        last = export, build_anew(export, folder)
    assert last[0].precision == export.precision
    write_whole(folder / "network.py", keras.keras_source(export))
    return last[1]


if __name__ == "__main__":
    keras.choose_backend("tensorflow")
    keras.keras_model = build
    sys.exit(writer.do_jobs())
