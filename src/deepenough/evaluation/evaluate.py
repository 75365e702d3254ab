"""The evaluation of a model on labelled images that it was not made from."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.data.decode import framed
from deepenough.data.finding import Finding, ImageError
from deepenough.data.images import Images, prepare
from deepenough.data.sixteen_bits import FULL_RANGE
from deepenough.data.sources import Source, check_data_is_given, from_anywhere, is_word, open_source
from deepenough.data.sources.in_memory import InMemory
from deepenough.data.split import TEST, TRAIN, VALIDATION
from deepenough.errors import DeepenoughError, first_few, unknown
from deepenough.evaluation.metrics import metrics
from deepenough.model import Model, load
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.record import FILE, Metrics, Record
from deepenough.record import load as load_record
from deepenough.training.evaluate import predict_probabilities as predictions
from deepenough.weights.imagenet import names_for

SPLITS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
_BLOCK = 1_024


def evaluate(
    model: str | Path | Model,
    data: Any,
    *,
    split: str | None = None,
    reporter: Reporter | None = None,
    value_range: tuple[float, float] | None = None,
) -> tuple[Metrics, list[str]]:
    """Measure a model, or the model of a run, on `data`: the metrics, and a line on each image left out.

    `data` is a path or a name, or labelled images that Python holds, as `fit` takes them, with `value_range`.
    `split` is "train", "validation", "test" or "all"; by default the test split where there is one, else all.
    Classes are matched by name, ImageNet's by their WordNet ids, too; a class that the model does not know is an error.
    Where `data` is what the run was made from, the splits are the run's own, so that its training images are not taken
    for new ones.
    """
    check_data_is_given(data, "deepenough.evaluate()")
    net = model if isinstance(model, Model) else load(model)
    source = open_source(data, value_range or net.preprocess.value_range, to_learn=False, reporter=reporter)
    where = data if is_word(data) else source.name
    classes = names_for(source.classes, net.classes)
    strangers = [name for name in classes if name not in net.classes]
    if strangers:
        raise DeepenoughError(
            f"{where}: the model does not know {'class' if len(strangers) == 1 else 'classes'} "
            f"{', '.join(map(repr, strangers[:5]))}; it knows {', '.join(net.classes[:20])}"
            + (f" ({source.too_few})" if source.too_few else "")
        )
    if split is not None and split not in (*SPLITS, "all"):
        raise unknown("split", split, (*SPLITS, "all"))
    reporter = reporter or Reporter()
    own = None if isinstance(model, Model) else own_images(Path(model), net, source, data)
    if own is not None:
        wanted = split or "test"
        reporter.say(f"the run was trained on these images; its own {wanted} images are measured")
        index = np.arange(len(own.labels)) if wanted == "all" else getattr(own.split, wanted)
        with reporter.task(f"evaluating {wanted} images"):
            probabilities = predictions(net.module, own, index, net.preprocess, net.device)
        return metrics(probabilities, own.labels[index]), _left_out(source.findings)
    wanted = split or ("test" if (source.splits == TEST).any() else "all")
    index = np.arange(len(source.labels)) if wanted == "all" else np.flatnonzero(source.splits == SPLITS[wanted])
    if not len(index):
        raise DeepenoughError(f"{where}: it has no {wanted} images; give --split all or another split")
    if absent := [name for name in net.classes if name not in classes]:
        reporter.say(f"the data has no images of {first_few(absent, 5)}: the accuracy is that of the other classes")
    to_model = np.array([net.classes.index(name) for name in classes])
    found, labels, unread = [], [], []
    with reporter.task(f"evaluating {wanted} images") as advance:
        for start in range(0, len(index), _BLOCK):
            block = index[start : start + _BLOCK]
            pixels, good, errors = decoded(source, block, net.preprocess)
            found.append(net.probabilities(pixels))
            labels.append(to_model[source.labels[good]])
            unread += errors
            advance(min(start + _BLOCK, len(index)), len(index))
    if not sum(map(len, labels)):
        raise DeepenoughError(f"{where}: none of its {wanted} images can be read; the first: {unread[0]}")
    return metrics(np.concatenate(found), np.concatenate(labels)), _left_out(source.findings) + unread


def _left_out(findings: Iterable[Finding]) -> list[str]:
    """A line on each thing that is not measured."""
    return [f"{each.name}: {each.detail}" for each in findings if each.action.startswith("left out")]


def own_images(run: Path, net: Model, source: Source, data: Any) -> Images | None:
    """The images of `data` with the split of a run, where they are those that the run was made from."""
    if not (run / FILE).is_file():
        return None
    made = load_record(run)
    of_python = not is_word(data) and InMemory.is_named(made.options["data"])  # whose names are only descriptions
    if not of_python and from_anywhere(data) != from_anywhere(made.options["data"]):
        return None
    # What a run from scratch found by itself is cached by what it was asked; a pretrained one asked for a framing.
    size = net.preprocess if made.probing else made.options["size"]
    leave_out = made.options.get("duplicates") != "keep"  # runs of 0.1.0 were not asked
    images = prepare(source, size=size, seed=made.seed, leave_out=leave_out)
    levels = net.preprocess.levels or FULL_RANGE  # older versions took others than those that are found today
    if images.preprocess.levels not in (None, levels):
        images = prepare(source, size=replace(images.preprocess, levels=levels), seed=made.seed, leave_out=leave_out)
    if made.options["limit"] is not None:
        images = images.subset(made.options["limit"], made.seed)
    if images.fingerprint != made.data.fingerprint:
        return None
    _check_split(run, made, images)
    return images


def _check_split(run: Path, made: Record, images: Images) -> None:
    """Raise where a run about several networks split its images otherwise than they are split for the one it chose:
    which are left out may depend on their size, and the test images would not be the same."""
    parts = ((name, getattr(images.split, name)) for name in SPLITS)
    counts = {name: np.bincount(images.labels[rows], minlength=len(images.classes)).tolist() for name, rows in parts}
    if made.further_probings and counts != made.data.counts:
        raise DeepenoughError(
            f"run {str(run)!r}: its images were read for several networks, and are split otherwise for the one that it "
            "chose, so its test images can't be told; its record has their accuracy, or give other images"
        )


def decoded(
    source: Source, rows: npt.NDArray[np.int64], preprocess: Preprocessing
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], list[str]]:
    """Pixels uint8 (n, H, W, C) of the rows that can be read, those rows, and a line on each of the others."""

    def read(row: int) -> npt.NDArray[np.uint8] | str:
        try:
            return framed(source.read(row), preprocess)
        except (ImageError, OSError) as error:
            return f"{source.names[row]}: {error}"

    if source.sequential:
        results = [read(int(row)) for row in rows]
    else:
        with ThreadPoolExecutor() as pool:
            results = list(pool.map(read, rows.tolist()))
    good = [n for n, result in enumerate(results) if not isinstance(result, str)]
    pixels = [result for result in results if not isinstance(result, str)]
    shape = (*preprocess.size, preprocess.channels)
    return (
        np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8),
        rows[good],
        [result for result in results if isinstance(result, str)],
    )
