"""The files beside the page say what the record says, to readers that know nothing of it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from deepenough.data.sources.in_memory import PREFIX
from deepenough.experiment.options import HELD
from deepenough.record import Record
from deepenough.report import write_report
from deepenough.report.plain_files import arguments_yaml, results_csv

Make = Callable[..., Record]


def test_every_epoch_of_every_training_is_a_row(make: Make) -> None:
    record = make(folds=3)
    record.candidates[0].trainings[0].curve[0].loss = None  # no finite number
    rows = list(csv.DictReader(io.StringIO(results_csv(record))))
    found = [(row["candidate"], int(row["fold"]), int(row["epoch"])) for row in rows]
    expected = [
        (candidate.name, fold, round(epoch.epoch))
        for candidate in record.candidates
        for fold, training in enumerate(candidate.trainings)
        for epoch in training.curve
    ]
    assert found == expected
    assert rows[0]["val/loss"] == ""
    for row, epoch in zip(rows, record.candidates[0].trainings[0].curve, strict=False):
        assert float(row["metrics/accuracy_top1"]) == epoch.top1
        assert float(row["train/loss"]) == epoch.train_loss
    times = np.array([float(row["time"]) for row in rows[:12]])
    assert np.all(np.diff(times) > 0)
    assert math.isclose(times[-1], sum(epoch.seconds for epoch in record.candidates[0].trainings[0].curve))


def test_the_files_stand_beside_the_page(make: Make, save: Callable[[Record], Path]) -> None:
    record = make(0.92)
    record.options = {"data": "фото", "target": 0.92, "epochs": None, "width": [1.0], "switches": {"rotation": 8.0}}
    run = save(record)
    write_report(run)
    for name in ("curve.png", "confusion.png"):
        with Image.open(run / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 400
            assert len(picture.convert("RGB").getcolors(2**24) or ()) > 20
    text = (run / "args.yaml").read_text(encoding="utf-8")
    assert "фото" in text
    assert yaml.safe_load(text) == {"data": "фото", "target": 0.92, "epochs": None, "width": [1.0], "rotation": 8.0}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"data": "photos"}, "# `deepenough fit --config args.yaml` asks it again.\n"),
        (
            {"data": f"{PREFIX}an array"},
            "# `deepenough fit DATA --config args.yaml` asks it of images in files; of",
        ),
        ({"data": "photos", "network": f"{HELD}Net"}, "# Python held its network: the lines of Python in report.html"),
    ],
)
def test_the_options_say_how_they_are_asked_again(make: Make, options: dict[str, Any], expected: str) -> None:
    record = make(0.92)
    record.options = options
    text = arguments_yaml(record)
    assert f"\n{expected}" in text
    assert yaml.safe_load(text) == options


def test_a_run_that_has_tried_nothing_yet_has_no_pictures(make: Make, save: Callable[[Record], Path]) -> None:
    record = make()
    record.candidates, record.decision, record.test = [], None, None
    run = save(record)
    write_report(run)
    assert len((run / "results.csv").read_text().splitlines()) == 1
    assert not list(run.glob("*.png"))
