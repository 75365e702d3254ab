"""The files beside the page of a run, named as users of Ultralytics expect them: numbers, pictures and options."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from deepenough.files import write_whole
from deepenough.record import Record
from deepenough.record.schema import CandidateRecord
from deepenough.report.plotting import Plot
from deepenough.report.raster import draw_lines
from deepenough.report.raster_heatmap import draw_heatmap

RESULTS, ARGUMENTS, CURVE, CONFUSION = "results.csv", "args.yaml", "curve.png", "confusion.png"
_HELD = "python:"
"""In a record's options, before the description of images or a network that Python held."""

CSV_COLUMNS = (
    "candidate", "depth", "fold", "epoch", "time", "lr", "train/loss", "train/accuracy_top1", "val/loss",
    "metrics/accuracy_top1", "metrics/accuracy_top5", "metrics/accuracy_balanced",
)  # fmt: skip


def write_plain_files(record: Record, run: Path, figures: Mapping[str, Plot]) -> None:
    """Write `results.csv`, `args.yaml`, `curve.png` and `confusion.png`, each where there is something to say.

    `figures` are those of the report, in English.
    """
    write_whole(run / ARGUMENTS, arguments_yaml(record))
    write_whole(run / RESULTS, results_csv(record))
    for name, figure, draw in ((CURVE, "accuracy", draw_lines), (CONFUSION, "confusion", draw_heatmap)):
        if figure in figures:
            held = io.BytesIO()
            draw(figures[figure]).save(held, "PNG", optimize=True)
            write_whole(run / name, held.getvalue())


def results_csv(record: Record) -> str:
    """One row for every epoch of every training: shares in 0..1, `time` in seconds since the training began.

    What was not measured, or was no finite number, is empty.
    """
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for candidate in record.candidates:
        writer.writerows(_epochs(candidate))
    return held.getvalue()


def _epochs(candidate: CandidateRecord) -> Iterator[tuple[Any, ...]]:
    for fold, training in enumerate(candidate.trainings):
        times = accumulate(row.seconds for row in training.curve)
        for row, time in zip(training.curve, times, strict=True):
            yield (
                candidate.name, candidate.depth, fold, round(row.epoch), round(time, 3), row.lr, row.train_loss,
                row.train_top1, row.loss, row.top1, row.top5, row.balanced,
            )  # fmt: skip


def arguments_yaml(record: Record) -> str:
    """The options of the run, as `deepenough fit --config` takes them; null leaves a choice to deepenough."""
    import yaml

    options = {name: value for name, value in record.options.items() if name != "switches"}
    options |= record.options.get("switches") or {}
    head = f"# What deepenough {record.version} was asked; null was left to it.\n# {_again(record.options)}\n"
    return head + str(yaml.safe_dump(options, sort_keys=False, allow_unicode=True))


def _again(options: Mapping[str, Any]) -> str:
    """A sentence that tells how to ask the same of a run again, whose images or network Python may have held."""
    if str(options.get("network") or "").startswith(_HELD):
        return "Python held its network: the lines of Python in report.html ask it again."
    if str(options.get("data") or "").startswith(_HELD):
        return (
            f"`deepenough fit DATA --config {ARGUMENTS}` asks it of images in files; of those that Python held, the "
            "lines of Python in report.html do."
        )
    return f"`deepenough fit --config {ARGUMENTS}` asks it again."
