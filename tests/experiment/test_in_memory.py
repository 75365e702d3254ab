"""A run on images that Python holds: the same answer as on their files, resumed with the same images, and evaluated."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unfinished_run import make_unfinished

import deepenough
from deepenough import DeepenoughError
from deepenough.data.decode import upright
from deepenough.data.sources import open_source

pytestmark = pytest.mark.seconds(15)

Pair = tuple[np.ndarray[Any, Any], list[str]]


@pytest.fixture(scope="module")
def held(shapes: Path) -> Pair:
    """The pictures of `shapes` as floats (N, C, H, W) in -1..1, with the names of their classes."""
    source = open_source(shapes)
    pixels = np.stack([np.asarray(upright(source.read(row)).convert("RGB")) for row in range(len(source))])
    return pixels.transpose(0, 3, 1, 2) / 127.5 - 1, [source.classes[label] for label in source.labels]


@pytest.fixture(scope="module")
def run(held: Pair, quick: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held") / "run"
    return deepenough.fit(held, value_range=(-1, 1), out=folder, **quick).folder


def weights(run: Path) -> str:
    return hashlib.sha256((run / "model" / "weights.safetensors").read_bytes()).hexdigest()


def test_arrays_come_to_the_same_weights_as_their_files(finished: Path, run: Path) -> None:
    assert weights(run) == weights(finished)


def test_the_model_predicts_and_is_evaluated_on_what_python_holds(run: Path, held: Pair) -> None:
    images, labels = held
    model = deepenough.load(run)
    assert model.preprocess.value_range == (-1, 1)
    predicted = [each.label for each in model.predict(images)]  # of the range of the training images
    metrics, left_out = deepenough.evaluate(model, held)
    assert left_out == []
    assert metrics.top1.value == np.mean([a == b for a, b in zip(predicted, labels, strict=True)])
    own, _ = deepenough.evaluate(run, held)  # of the run's own images the test split alone
    assert own.top1.count == deepenough.record.load(run).test.top1.count  # type: ignore[union-attr]
    again, _ = deepenough.evaluate(run, (list(images), np.array(labels)))
    assert again == own  # whatever the same images and labels come in
    other, _ = deepenough.evaluate(run, (-images, labels))
    assert other.top1.count == len(labels)


def test_such_a_run_goes_on_with_the_same_images_only(run: Path, held: Pair, tmp_path: Path) -> None:
    stopped = make_unfinished(shutil.copytree(run, tmp_path / "stopped"))
    with pytest.raises(DeepenoughError, match=r"given in Python \(.*float64 \(180, 3, 16, 16\).*deepenough.resume"):
        deepenough.resume(stopped)
    images, labels = held
    with pytest.raises(DeepenoughError, match="have changed since the run began"):
        deepenough.resume(stopped, (images, labels[::-1]), value_range=(-1, 1))
    with pytest.raises(DeepenoughError, match="have changed since the run began"):
        deepenough.resume(stopped, held, value_range=(-2, 2))
    assert weights(deepenough.resume(stopped, held, value_range=(-1, 1)).folder) == weights(run)
