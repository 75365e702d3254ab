"""Predictions for files and folders, in batches, each image by name; one that can't be read stops nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.data.decode import framed
from deepenough.errors import DeepenoughError, nearest
from deepenough.files import printable
from deepenough.model import Model

BATCH = 64
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2", ".avif")


def files(given: Sequence[str]) -> Iterator[Path]:
    """The images that are meant: files as they are, folders searched through, in the order of their names."""
    for name in given:
        path = Path(name)
        if path.is_dir():
            found = False
            for folder, folders, names in os.walk(path):
                folders[:] = sorted(f for f in folders if not f.startswith("."))
                for file in sorted(names):
                    if not file.startswith(".") and file.lower().endswith(SUFFIXES):
                        found = True
                        yield Path(folder) / file
            if not found:
                raise DeepenoughError(f"{name}: no images in this folder; known endings: {' '.join(SUFFIXES)}")
        elif path.exists():
            yield path
        else:
            siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            near = nearest(path.name, siblings)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise DeepenoughError(f"{name}: there is no such file or folder{hint}")


def predict_files(
    model: Model, given: Sequence[str], *, top: int = 5, reject_below: float = 0.0
) -> Iterator[dict[str, Any]]:
    """For every image a dict with `image`, `label` (None when less probable than `reject_below`), `classes` and
    `probabilities` (most probable first); or with `image` and `error`."""
    paths = files(given)
    while batch := list(islice(paths, BATCH)):
        pixels = []
        results: list[dict[str, Any]] = []
        for path in batch:
            try:
                pixels.append(framed(path, model.preprocess))
                results.append({"image": printable(str(path))})
            except DeepenoughError as error:
                results.append({"image": printable(str(path)), "error": printable(str(error))})
        rows = iter(model.probabilities(np.stack(pixels))) if pixels else iter(())
        for result in results:
            if "error" not in result:
                best = model.rank(next(rows), top)
                label = best.label if best.confidence >= reject_below else None
                result.update(label=label, classes=list(best.classes), probabilities=list(best.probabilities))
            yield result
