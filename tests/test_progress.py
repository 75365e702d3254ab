"""Progress in Python: bars or lines on stderr, one output in a notebook, or nothing."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from deepenough.progress import Reporter, reporting
from deepenough.progress_bars import Bars, NotebookBars, bars_in_python


class Shown:
    """Stands for IPython's handle of an output."""

    def __init__(self) -> None:
        self.drawn: list[str] = []

    def update(self, progress: Any) -> None:
        console = Console(file=io.StringIO(), width=100)
        console.print(progress)
        self.drawn.append(console.file.getvalue())  # type: ignore[attr-defined]

    def display(self, progress: Any, *, display_id: bool) -> Shown:
        assert display_id
        self.update(progress)
        return self


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shown:
    shown = Shown()
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)  # type: ignore[arg-type]
    display = SimpleNamespace(display=shown.display)
    monkeypatch.setitem(sys.modules, "IPython.display", display)  # type: ignore[arg-type]
    return shown


def work(reporter: Reporter) -> None:
    with reporter.task("training") as advance:
        for step in range(50):
            advance(step + 1, 50, f"{2 * step + 2}%")
    with reporter.task("reading"):
        pass
    with pytest.raises(ValueError, match="broken"), reporter.task("measuring"):
        raise ValueError("broken")


def test_a_notebook_has_one_output_that_ends_as_the_work_does(notebook: Shown) -> None:
    bars = bars_in_python()
    assert isinstance(bars, NotebookBars)
    with bars:
        work(bars)
    lines = notebook.drawn[-1].splitlines()
    assert [line.split()[0] for line in lines] == ["training", "reading", "measuring"]
    assert "100%" in lines[0]
    assert "100%" in lines[1]  # it ended without a step: there was nothing to do
    assert "failed" in lines[2]
    assert len(notebook.drawn) < 50  # not drawn at every step


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=SimpleNamespace))  # type: ignore[arg-type]
    assert type(bars_in_python()) is Bars
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))  # type: ignore[arg-type]
    assert type(bars_in_python()) is Bars


def test_elsewhere_a_line_goes_to_stderr_as_each_task_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(True) as reporter:
        work(reporter)
        reporter.say("[a line]")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == ["training  100%", "reading", "[a line]"]


def test_without_progress_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting(False) as reporter:
        work(reporter)
    assert capsys.readouterr() == ("", "")


def test_a_reporter_that_was_given_draws_by_itself() -> None:
    mine = Reporter()
    with reporting(mine) as reporter:
        assert reporter is mine
