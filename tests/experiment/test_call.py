"""A run says how it was called, by a command or by lines of Python that repeat it; and what Python shows of it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deepenough
from deepenough.data.sources import from_anywhere
from deepenough.errors import DeepenoughError
from deepenough.experiment.call import python_lines
from deepenough.experiment.finished_run import Run
from deepenough.experiment.options import Options
from deepenough.experiment.signature import takes_options
from deepenough.nets import depth

pytestmark = pytest.mark.seconds(10)


@pytest.fixture(scope="module")
def run(finished: Path) -> Run:
    return deepenough.resume(finished, progress=False)


def repeated(lines: str, **known: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that the lines of Python call `fit` with."""
    heard: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    class Stand:
        @staticmethod
        def fit(*data: Any, **options: Any) -> None:
            heard.append((data, options))

    exec(lines.replace("import deepenough\n", ""), {"deepenough": Stand, "data": None, **known})
    return heard[0]


@given(
    target=st.none() | st.floats(0.01, 0.99),
    family=st.lists(st.sampled_from(["residual", "plain"]), unique=True).map(tuple),
    epochs=st.none() | st.integers(1, 99),
    flip=st.none() | st.booleans(),
    time_limit=st.none() | st.floats(1, 1e6),
    lr=st.none() | st.floats(1e-6, 1),
)
def test_the_lines_of_python_ask_the_same(**options: Any) -> None:
    asked = Options.of(data="digits", **options)
    (data,), again = repeated(python_lines("digits", asked))
    assert Options.of(data=data, **again) == asked


def test_images_of_python_are_described_where_the_lines_need_them() -> None:
    images = (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1])
    lines = python_lines(images, Options.of(data=from_anywhere(images)), value_range=(-1, 1))
    assert "data = ...  # " in lines
    assert "uint8 (4, 8, 8)" in lines
    compile(lines, "lines", "exec")
    _, given = repeated(lines)
    assert given == {"value_range": (-1, 1)}


def test_a_run_from_python_tells_its_lines(run: Run, quick: dict[str, Any], shapes: Path) -> None:
    assert "deepenough.fit(" in run.record.command
    (data,), options = repeated(run.record.command)
    assert data == str(shapes)
    assert options == quick
    assert "deepenough.fit(" in run.report.path.read_text(encoding="utf-8")


def test_a_run_from_the_command_line_tells_its_command(
    command: Callable[..., tuple[int, str, str]], shapes: Path, tmp_path: Path, quick_arguments: list[str]
) -> None:
    words = [
        "fit",
        str(shapes),
        "--out",
        str(tmp_path / "a run"),
        *quick_arguments,
        "--max-depth",
        "3",
        "--target",
        "1%",
    ]
    status, _, errors = command(*words)
    assert status == 0, errors
    written = deepenough.record.load(tmp_path / "a run").command
    assert written.startswith("deepenough fit ")
    assert f"'{tmp_path / 'a run'}'" in written


def test_a_run_is_short_where_it_is_printed_and_whole_in_a_notebook(run: Run) -> None:
    assert repr(run).startswith(f"Run({str(run.folder)!r}: Depth ")
    assert len(repr(run).splitlines()) == 1
    assert "<table" in run._repr_html_()
    assert run.options == Options.from_json(run.record.options)


def test_the_candidates_come_as_a_data_frame(run: Run) -> None:
    pytest.importorskip("pandas")
    table = run.candidates()
    assert list(table["depth"]) == sorted(each.depth for each in run.record.candidates)
    chosen = table[table["chosen"]].iloc[0]
    assert run.record.decision
    assert chosen["name"] == run.record.decision.chosen
    mine = run.record.candidate(chosen["name"]).decision
    assert mine
    assert (chosen["accuracy"], chosen["low"], chosen["images"]) == (mine.top1.value, mine.top1.low, mine.top1.count)


def test_a_model_is_short_where_it_is_printed_and_saved_copied_and_pickled(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = run.model()
    assert repr(model).startswith(f"Model({model.network.name}: depth ")
    assert repr(model).endswith(f"3x16x16 to {len(model.classes)} classes, on cpu)")
    assert f"{depth(model.network)} weighted layers" in model._repr_html_()
    with monkeypatch.context() as chinese:
        chinese.setenv("LC_ALL", "zh_CN.UTF-8")
        assert f"{depth(model.network)} 个带权重的层" in model._repr_html_()
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    for other in (
        deepenough.load(model.save(tmp_path / "mine")),
        copy.deepcopy(model),
        pickle.loads(pickle.dumps(model)),
    ):
        assert other.classes == model.classes
        assert other.preprocess == model.preprocess
        np.testing.assert_array_equal(other.logits(pixels), model.logits(pixels))
    model.save(tmp_path / "mine")  # over an earlier one
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(DeepenoughError, match="there is something else"):
        model.save(tmp_path / "mine")


@pytest.mark.parametrize("wrong", [{"out": 5}, {"processes": "4"}, {"processes": 0}, {"ray": 3}])
def test_arguments_of_a_wrong_type_are_errors_of_the_package(wrong: dict[str, Any]) -> None:
    with pytest.raises(DeepenoughError, match=f"--{next(iter(wrong))} .*: "):
        deepenough.fit("digits", **wrong)


@pytest.mark.parametrize("progress", ["yes", 2, []])
def test_a_progress_that_is_none_is_an_error(progress: Any) -> None:
    with pytest.raises(DeepenoughError, match="expected True, False or a `Reporter`"):
        deepenough.fit("digits", progress=progress)


@pytest.mark.parametrize("value_range", [3, (0, 1, 2), (1, 0), ("a", "b"), (0, float("nan"))])
def test_a_value_range_is_two_numbers_whatever_the_images_are(value_range: Any) -> None:
    with pytest.raises(DeepenoughError, match="give the value of black and a larger one of white"):
        deepenough.fit("digits", value_range=value_range)


def test_what_a_model_is_asked_wrongly_is_an_error_of_the_package(run: Run) -> None:
    model, picture = run.model(), np.zeros((8, 8), np.uint8)
    for top in (0, "x", None, 1.5):
        with pytest.raises(DeepenoughError, match=r"^top=.*: expected a whole number of at least 1"):
            model.predict(picture, top=top)
    with pytest.raises(DeepenoughError, match="value of black"):
        model.predict(picture, value_range=3)
    with pytest.raises(DeepenoughError, match=r"^no\.jpg: there is no such file"):
        model.predict(["no.jpg"])
    with pytest.raises(DeepenoughError, match=r"^image 1: "):
        model.predict([picture, b"no image"])
    for device in ("tpu", 3.5, "hpu"):
        with pytest.raises(DeepenoughError, match=r"torch finds none on this machine; it has .*cpu"):
            deepenough.load(run.folder, device=device)


def test_what_is_no_path_is_no_run() -> None:
    for call in (deepenough.load, deepenough.resume, lambda given: deepenough.evaluate(given, "digits")):
        with pytest.raises(DeepenoughError, match=r"(model|run) 3: expected the path"):
            call(3)


def test_progress_is_silent_where_it_is_asked_to_be(
    shapes: Path, tmp_path: Path, quick: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    deepenough.fit(shapes, out=tmp_path / "run", progress=False, **{**quick, "max_depth": 3, "epochs": 1})
    assert capfd.readouterr() == ("", "")


def test_a_function_that_takes_options_is_documented_with_them() -> None:
    @takes_options
    def ask(**options: Any) -> None:
        """Ask."""

    assert ask.__doc__
    assert "A number of seconds, or text such as 90s, 20m or 1.5h." in " ".join(ask.__doc__.split())


def test_callbacks_of_a_user_hear_of_every_training(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    heard: dict[str, list[int]] = {}

    class Hear(deepenough.Callback):
        def __init__(self, name: str) -> None:
            self.epochs = heard.setdefault(name, [])

        def on_epoch_end(self, moment: deepenough.Moment) -> None:
            self.epochs.append(len(moment.curve))

    options = {**quick, "max_depth": 3, "epochs": 2, "folds": 2, "jobs": 1}
    deepenough.fit(shapes, out=tmp_path / "run", progress=False, callbacks=lambda name: [Hear(name)], **options)
    assert heard == {"residual-3/fold0": [1, 2], "residual-3/fold1": [1, 2], "residual-3-final": [1, 2]}
