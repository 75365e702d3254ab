"""Loggers write every epoch once, however often a training pauses or goes back, and where the services read it.

MLflow and wandb are extras: where one is not installed, its test is skipped, and the name of the extra is told.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from deepenough.errors import DeepenoughError
from deepenough.training.callbacks import Callback, Moment
from deepenough.training.curve import Epoch
from deepenough.training.epoch_logger import EpochLogger, figures_of
from deepenough.training.loggers import LOGGERS, callback_maker, check_callbacks
from deepenough.training.mlflow_logger import MLflow
from deepenough.training.wandb_logger import WeightsAndBiases

CURVE = [
    Epoch(number, 1 / number, 0.5, 1.1 / number, 0.1 * number, 1.0, 0.2, 0.05, 0.01, 1.0) for number in range(1, 6)
]


class Kept(EpochLogger):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[int] = []

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        self.written.append(epoch)

    def forget(self) -> None:
        self.written.clear()


@pytest.mark.parametrize("lengths", [(1, 2, 3), (3,), (1, 1, 3), (2, 1, 2, 3), (3, 1, 3)])
def test_every_epoch_is_written_once_whatever_comes(lengths: tuple[int, ...]) -> None:
    logger = Kept()
    logger.on_train_begin(Moment(0, 0, []))
    for length in lengths:
        logger.on_epoch_end(Moment(0, 0, CURVE[:length]))
    assert logger.written == [1, 2, 3]


def test_what_is_no_finite_number_is_not_logged() -> None:
    nothing = Epoch(1, 0.5, 0.5, math.nan, math.nan, math.inf, 0.5, 0.5, 0.1, 1.0)
    assert set(figures_of(nothing)) == {
        "loss/train", "top1/train", "balanced/held-out", "calibration error/held-out", "lr",
    }  # fmt: skip


@pytest.mark.parametrize(("name", "package"), [("mlflow", "mlflow"), ("wandb", "wandb")])
def test_a_logger_that_is_not_installed_names_its_extra(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # type: ignore[arg-type]
    logger = LOGGERS[name](tmp_path, "residual-3/fold0")
    logger.on_train_begin(Moment(0, 0, []))  # nothing to write yet, and nothing asked of it
    with pytest.raises(DeepenoughError, match=rf"--log {name} needs .*: pip install 'deepenough\[{name}\]'"):
        logger.on_epoch_end(Moment(0, 0, CURVE[:1]))


def test_mlflow_has_every_point_once_over_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None, raising=False)
    run = tmp_path / "run"
    first = MLflow(run, "residual-3/fold0")
    first.on_epoch_end(Moment(0, 0, CURVE[:2]))
    first.close()
    other = MLflow(run, "residual-3/fold1")
    other.on_epoch_end(Moment(0, 0, CURVE[:1]))
    other.close()
    again = MLflow(run, "residual-3/fold0")  # of a run that goes on
    again.on_train_begin(Moment(0, 0, CURVE[:2]))
    again.on_epoch_end(Moment(0, 0, CURVE[:3]))
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(str(run))
    runs = {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"residual-3/fold0", "residual-3/fold1"}
    points = client.get_metric_history(runs["residual-3/fold0"].info.run_id, "top1/held-out")
    assert [(point.step, point.value) for point in points] == [(e.epoch, pytest.approx(e.top1)) for e in CURVE[:3]]
    again.on_epoch_end(Moment(0, 0, CURVE[:1]))  # it went back
    again.close()
    (left,) = [
        each
        for each in client.search_runs([experiment.experiment_id])
        if each.info.run_name == "residual-3/fold0" and each.info.lifecycle_stage == "active"
    ]
    assert len(client.get_metric_history(left.info.run_id, "top1/held-out")) == 1


def test_wandb_keeps_a_run_for_each_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    loggers = [WeightsAndBiases(tmp_path, f"residual-3/fold{fold}") for fold in range(2)]
    for length in (1, 2):
        for logger in loggers:  # side by side
            logger.on_epoch_end(Moment(0, 0, CURVE[:length]))
    found = [logger._run for logger in loggers]
    assert [each.name for each in found] == ["residual-3/fold0", "residual-3/fold1"]
    assert len({each.id for each in found}) == 2
    assert {each.group for each in found} == {tmp_path.name}
    assert all(each.summary["top1/held-out"] == CURVE[1].top1 for each in found)
    for logger in loggers:
        logger.close()
    assert len(list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))) == 2


def test_a_user_gives_a_list_or_a_function_for_each_training(tmp_path: Path) -> None:
    shared = Callback()
    assert callback_maker(tmp_path, (), [shared])("a/fold0") == [shared]
    heard: list[str] = []

    def mine(training: str) -> list[Callback]:
        heard.append(training)
        return [Callback()]

    maker = callback_maker(tmp_path, ("tensorboard",), mine)
    assert [len(list(maker(name))) for name in ("a/fold0", "b/fold0")] == [2, 2]
    assert heard == ["a/fold0", "b/fold0"]
    assert callback_maker(tmp_path, (), lambda _: shared)("a/fold0") == [shared]


@pytest.mark.parametrize("given", [None, 3, [3], [Callback]])
def test_what_a_function_gives_has_to_be_callbacks(given: Any, tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match=r"for 'a/fold0' the function gave .*; expected a list of"):
        callback_maker(tmp_path, (), lambda _: given)("a/fold0")


@pytest.mark.parametrize("wrong", [5, [5], "tensorboard", [Callback], Callback, list])
def test_what_is_no_callback_is_an_error(wrong: Any) -> None:
    with pytest.raises(DeepenoughError, match=r"callbacks: .*; expected a list of `deepenough\.Callback`"):
        check_callbacks(wrong)
