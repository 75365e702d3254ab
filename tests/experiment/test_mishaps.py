"""What goes wrong in a run ends with a clear word, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepenough import DeepenoughError, fit, record, resume
from deepenough.search.architectures import search_space

Command = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("folds", [1, 2])
def test_a_loss_that_is_never_finite_is_no_answer(
    folds: int, command: Command, shapes: Path, tmp_path: Path, quick: dict[str, Any]
) -> None:
    run = tmp_path / "run"
    given = {**quick, "folds": folds, "lr": 1e30, "max_depth": 3, "epochs": 2}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    status, out, err = command("fit", shapes, "--out", run, *words)
    assert status == 3, err
    found = record.load(run)
    assert [candidate.state for candidate in found.candidates] == ["not finite"]
    assert found.decision is not None
    assert found.decision.kind == "not met"
    assert "its loss was no longer finite" in out
    assert any("--lr" in line for line in found.decision.advice)
    assert "No network could be trained" in (run / "report.html").read_text(encoding="utf-8")


def test_a_file_in_the_way_of_the_run(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    taken = tmp_path / "taken"
    taken.write_text("something")
    with pytest.raises(DeepenoughError, match="this is a file"):
        fit(shapes, out=taken, **quick)
    assert taken.read_text() == "something"


def test_a_run_killed_before_its_page_gets_it(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "report.html").unlink()
    resume(run)
    assert (run / "report.html").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse names that are not UTF-8")
def test_names_that_are_not_utf8(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    (data / "circle").rename(os.fsdecode(os.fsencode(data) + b"/circ\xffle"))
    Path(os.fsdecode(os.fsencode(data) + b"/cross/br\xffken.png")).write_bytes(b"no image")
    found = fit(data, out=tmp_path / "run", **{**quick, "epochs": 1, "max_depth": 3}).record
    assert "circ\\xffle" in found.data.classes
    assert [(f.kind, f.name) for f in found.data.findings] == [("not-an-image", "cross/br\\xffken.png")]
    assert record.load(tmp_path / "run").data == found.data


def test_a_family_or_width_given_twice_is_one() -> None:
    once = search_space(["residual"], [1.0], (3, 32, 32), 10)
    assert search_space(["residual", "residual"], [1.0, 1.0], (3, 32, 32), 10) == once


def test_a_folder_that_holds_something_else_is_left_alone(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    data = tmp_path / "data"
    shutil.copytree(shapes, data)
    with pytest.raises(DeepenoughError, match="this folder holds something else"):
        fit(data, out=data, **quick)
    assert sorted(path.name for path in data.iterdir()) == ["circle", "cross", "square"]


def test_a_number_that_is_a_word_is_an_error(shapes: Path) -> None:
    with pytest.raises(DeepenoughError, match="--time-limit 'soon': expected a length of time, such as 90s"):
        fit(shapes, time_limit="soon")
    with pytest.raises(DeepenoughError, match=r"--time-limit \[60\]: expected a length of time"):
        fit(shapes, time_limit=[60])


def test_a_network_that_learned_nothing_says_so(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    found = fit(shapes, out=tmp_path / "run", **{**quick, "lr": 1e-9, "epochs": 1, "max_depth": 3}).record
    assert found.decision is not None
    assert found.cost is not None
    assert any("most frequent class" in line for line in found.decision.advice)
    assert any("does better on the test images" in line for line in found.decision.advice)
    assert (found.cost.times_chosen, found.cost.share_of_space) == (1, 1)
