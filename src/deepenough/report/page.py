"""The page of a run: one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deepenough.errors import DamagedError
from deepenough.files import write_whole
from deepenough.language import Language, current_language, speaking
from deepenough.record import Record, check_pictures, load
from deepenough.report import restated, restated_probes, restated_steps
from deepenough.report import text as words
from deepenough.report.cost_text import cost
from deepenough.report.figures import report_figures
from deepenough.report.frozen import frozen
from deepenough.report.html import data_address, fill_template
from deepenough.report.pareto import steps_up
from deepenough.report.plain_files import write_plain_files
from deepenough.report.plotting import Plot
from deepenough.report.restated_advice import spoken_advice

REPORT = "report.html"
_LISTED = 200  # findings that are listed by name
_CONFUSIONS = 20


def write_report(run: Path, language: str | None = None) -> Path:
    """Write `run/report.html` from `run/record.json`, whole or not at all, and return its path.

    Beside it are its numbers and pictures as plain files, in English.

    Args:
        run: the folder of the run.
        language: "en" or "zh"; by default the one that the run was asked for, or else that of the locale.
    """
    record = load(run)
    try:
        check_pictures(run)
    except DamagedError as error:
        raise DamagedError(f"{error}; `deepenough fit --resume {run}` makes it anew") from None
    path = run / REPORT
    with speaking(Language.ENGLISH):
        figures = report_figures(record)
        write_plain_files(record, run, figures)
    with speaking(language or record.options.get("language")):
        page = render_report(record, run, figures if current_language() is Language.ENGLISH else None)
    write_whole(path, page)
    return path


def render_report(record: Record, run: Path, figures: Mapping[str, Plot] | None = None) -> str:
    """The page as text, in the current language; pictures are read from the folder `run`.

    `figures` are those of the record in that language, where they are there already.
    """
    filters: dict[str, Callable[..., Any]] = {
        "percent": words.percent,
        "points": words.signed_points,
        "amount": words.amount,
        "duration": words.duration,
        "interval": words.interval_text,
        "measured": words.measured,
    }
    content = {
        "record": record,
        "words": words,
        "again": restated,
        "probes": restated_probes,
        "steps_again": restated_steps,
        "advice": spoken_advice(record),
        "cost": cost(record),
        "frozen": frozen(record),
        "candidates": sorted(record.candidates, key=lambda c: (c.depth, c.width, c.family, c.seed)),
        "comparisons": {pair.candidate: pair for pair in record.decision.comparisons} if record.decision else {},
        "steps": steps_up(record),
        "confusions": _confusions(record),
        "pictures": [
            (mistake, data_address(run, mistake.picture), _heat(run, mistake.heat), _heat(run, mistake.truth_heat))
            for mistake in record.mistakes
        ],
        "examples": [
            (found, data_address(run, found.picture), data_address(run, found.heat)) for found in record.examples
        ],
        "patches": [(found, data_address(run, found.picture)) for found in record.patches],
        "listed": _LISTED,
        "totals": {name: sum(counts) for name, counts in record.data.counts.items()},
    }
    return fill_template("report", "page.html", content, figures or report_figures(record), filters)


def _confusions(record: Record) -> list[tuple[str, str, int]]:
    """The most frequent mistakes on the test images: true class, predicted class, images."""
    if record.test is None:
        return []
    names = record.data.classes
    pairs = [
        (count, a, b) for a, row in enumerate(record.test.confusion) for b, count in enumerate(row) if a != b and count
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return [(names[a], names[b], count) for count, a, b in pairs[:_CONFUSIONS]]


def _heat(run: Path, name: str | None) -> str | None:
    return None if name is None else data_address(run, name)
