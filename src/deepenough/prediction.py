"""Predictions for files and folders, in batches, each image by name; one that can't be read stops nothing."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.data.decode import framed, header
from deepenough.data.finding import NO_IMAGE, ImageError, PassedOver
from deepenough.data.links import kind_of
from deepenough.data.walk import files_below
from deepenough.errors import DeepenoughError, nearest
from deepenough.files import printable
from deepenough.model import Model

BATCH = 64


def files(given: Sequence[str], passed: PassedOver) -> Iterator[tuple[Path, bool]]:
    """The files that are meant, each with true if it was found in a folder: its content has to say what it is.

    Folders are searched through, in the order of their names, and what is no file there goes into `passed`.
    """
    for name in given:
        path = Path(name)
        mode = _mode(path)
        if stat.S_ISDIR(mode):
            for folder, found in files_below(path, "", passed):
                yield from ((path / folder / file, True) for file, _ in found)
        elif stat.S_ISREG(mode):
            yield path, False
        else:
            what = kind_of(path.stat())
            raise DeepenoughError(f"{name}: it is {what}, which is not opened; give an image or a folder")


def _mode(path: Path) -> int:
    """The kind of a file or folder, as `stat` has it. Raises the error for what is not there or can't be looked at."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # the last for a null character
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        near = nearest(path.name, siblings)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise DeepenoughError(f"{path}: there is no such file or folder{hint}") from None
    except OSError as error:
        raise DeepenoughError(f"{path}: it cannot be read ({error.strerror or error})") from None


def images_among(given: Sequence[str], passed: PassedOver) -> list[Path]:
    """The images that are meant: files as they are, and the images among the files of folders, by their content."""
    chosen = []
    for path, searched in files(given, passed):
        try:
            if searched:
                header(path)
        except ImageError as error:
            if error.kind == NO_IMAGE:
                passed.count(NO_IMAGE, str(path), error.detail)
                continue
        chosen.append(path)
    if not chosen:
        raise none_found(given, passed)
    return chosen


def none_found(given: Sequence[str], passed: PassedOver) -> DeepenoughError:
    """The error for folders without an image."""
    others = "".join(f"\n  {line}" for line in lines(passed))
    return DeepenoughError(f"{', '.join(given)}: no images in this folder{others}")


def lines(passed: PassedOver) -> list[str]:
    """Tell what was passed over, a line for each reason."""
    return [f"passed over: {finding.name}: {finding.detail}" for finding in passed.findings()]


def predict_files(
    model: Model, given: Sequence[str], *, top: int = 5, reject_below: float = 0.0, passed: PassedOver | None = None
) -> Iterator[dict[str, Any]]:
    """For every image a dict with `image`, `label` (None when less probable than `reject_below`), `classes` and
    `probabilities` (most probable first); or with `image` and `error`.

    Files of folders that are no images go into `passed` instead.
    """
    seen = PassedOver() if passed is None else passed
    paths = files(given, seen)
    empty = True
    while batch := list(islice(paths, BATCH)):
        pixels = []
        results: list[dict[str, Any]] = []
        for path, searched in batch:
            name = printable(str(path))
            try:
                pixels.append(framed(path, model.preprocess))
                results.append({"image": name})
            except ImageError as error:
                if searched and error.kind == NO_IMAGE:
                    seen.count(NO_IMAGE, name, error.detail)
                else:
                    results.append({"image": name, "error": printable(str(error))})
        empty = empty and not results
        rows = iter(model.probabilities(np.stack(pixels))) if pixels else iter(())
        for result in results:
            if "error" not in result:
                best = model.rank(next(rows), top)
                label = best.label if best.confidence >= reject_below else None
                result.update(label=label, classes=list(best.classes), probabilities=list(best.probabilities))
            yield result
    if empty:
        raise none_found(given, seen)
