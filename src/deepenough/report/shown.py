"""A run where Python shows its values: its page to open, and its answer in a notebook."""

from __future__ import annotations

import base64
import html
import io
import os
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from deepenough.errors import DeepenoughError
from deepenough.fonts import can_draw
from deepenough.language import Language, current_language, speaking
from deepenough.notebook import in_notebook
from deepenough.record import Record
from deepenough.report import restated
from deepenough.report import text as words
from deepenough.report.figures import report_figures
from deepenough.report.html import fill_template
from deepenough.report.page import REPORT
from deepenough.report.raster import draw_lines
from deepenough.report.restated_advice import spoken_advice


@dataclass(frozen=True, repr=False)
class Report(os.PathLike[str]):
    """The page of a run, `report.html`: a path that `open` and `pathlib.Path` take, and that shows itself."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"Report({str(self.path)!r})"

    def __str__(self) -> str:
        return str(self.path)

    def show(self, height: int = 800) -> None:
        """Show the page: in a notebook below the cell, `height` pixels high, elsewhere in the browser."""
        if not self.path.is_file():
            raise DeepenoughError(f"{self.path}: there is no such page; `deepenough report RUN` writes it")
        if not in_notebook():
            webbrowser.open(self.path.absolute().as_uri())
            return
        from IPython.display import HTML, display

        page = html.escape(self.path.read_text(encoding="utf-8"))
        frame = f'<iframe srcdoc="{page}" title="Report" style="width:100%;height:{height}px;border:0"></iframe>'
        display(HTML(f"<div>{frame}</div>"))


def summary_html(record: Record, run: Path, language: str | None = None) -> str:
    """The answer, the networks that were tried and their accuracy against depth, as HTML for a notebook.

    `language` is "en" or "zh"; by default the one that the run was asked for, or else that of the locale.
    """
    with speaking(language or record.options.get("language")):
        return fill_template(
            "report",
            "summary.html",
            {
                "record": record,
                "words": words,
                "again": restated,
                "advice": _advice(record),
                "candidates": sorted(record.candidates, key=lambda c: (c.depth, c.width, c.family, c.seed)),
                "curve": _curve(record) if record.candidates else None,
                "report": os.path.relpath(run / REPORT) if run.is_relative_to(Path.cwd()) else str(run / REPORT),
            },
        )


def _advice(record: Record) -> list[str]:
    """The advice in the current language, a sentence each."""
    given = spoken_advice(record)
    return list(map(words.recorded_sentence, given)) if current_language() is Language.ENGLISH else given


def _curve(record: Record) -> str | None:
    """Accuracy against depth as a data address, in English where this machine has no font for the current language."""
    with speaking(current_language() if can_draw(words.metric(record)) else Language.ENGLISH):
        figure = report_figures(record).get("accuracy")
        return None if figure is None else picture_address(draw_lines(figure, (720, 420)))


def picture_address(picture: Image.Image) -> str:
    """A picture as a data address."""
    held = io.BytesIO()
    picture.save(held, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
