"""The page of a run: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from deepenough.files import write_whole
from deepenough.record import Record, load
from deepenough.report import text as words
from deepenough.report.figures import figures

FILE = "report.html"
LISTED = 200  # findings and confusions that are listed by name
CONFUSIONS = 20
KINDS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}


def write_report(run: Path) -> Path:
    """Write `run/report.html` from `run/record.json`, whole or not at all, and return its path."""
    record = load(run)
    path = run / FILE
    write_whole(path, render(record, run))
    return path


def render(record: Record, run: Path) -> str:
    """The page as text; pictures are read from the folder `run`."""
    from plotly.offline import get_plotlyjs  # slow to import, and wanted by nothing else

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "percent": words.percent,
        "points": words.signed_points,
        "amount": words.amount,
        "duration": words.duration,
        "interval": words.interval,
        "measured": words.measured,
    }
    drawn = figures(record)
    template = environment.from_string(part("page.html"))
    return template.render(
        record=record,
        words=words,
        style=Markup(part("style.css")),
        script=Markup(part("page.js")),
        plotly=Markup(get_plotlyjs()) if drawn else "",
        figures=drawn,
        figures_json=Markup(embedded(drawn)),
        candidates=sorted(record.candidates, key=lambda c: (c.depth, c.width, c.family, c.seed)),
        comparisons={pair.candidate: pair for pair in record.decision.comparisons} if record.decision else {},
        confusions=_confusions(record),
        pictures=[
            (mistake, data_address(run, mistake.picture), _heat(run, mistake.heat), _heat(run, mistake.truth_heat))
            for mistake in record.mistakes
        ],
        examples=[
            (found, data_address(run, found.picture), data_address(run, found.heat)) for found in record.examples
        ],
        patches=[(found, data_address(run, found.picture)) for found in record.patches],
        listed=LISTED,
        totals={name: sum(counts) for name, counts in record.data.counts.items()},
    )


def part(name: str) -> str:
    return files("deepenough.report").joinpath(name).read_text(encoding="utf-8")


def embedded(content: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever the names in it."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _confusions(record: Record) -> list[tuple[str, str, int]]:
    """The most frequent mistakes on the test images: true class, predicted class, images."""
    if record.test is None:
        return []
    names = record.data.classes
    pairs = [
        (count, a, b) for a, row in enumerate(record.test.confusion) for b, count in enumerate(row) if a != b and count
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return [(names[a], names[b], count) for count, a, b in pairs[:CONFUSIONS]]


def _heat(run: Path, name: str | None) -> str | None:
    return None if name is None else data_address(run, name)


def data_address(run: Path, name: str) -> str | None:
    """A picture of the run's own folder as a data address; None where there is none."""
    path = (run / name).resolve()
    kind = KINDS.get(path.suffix.lower())
    if kind is None or not path.is_relative_to(run.resolve()) or not path.is_file():
        return None
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
