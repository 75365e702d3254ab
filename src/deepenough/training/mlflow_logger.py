"""Curves for MLflow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError, first_line
from deepenough.training.epoch_logger import EpochLogger

_TAG = "deepenough.training"


class MLflow(EpochLogger):
    """Writes one training as a run of MLflow, where `MLFLOW_TRACKING_URI` says, by default in the working folder.

    A run of deepenough is an experiment, by the path of its folder unless `MLFLOW_EXPERIMENT_NAME` names one. A
    training that goes on is found again by a tag, and its points are not written twice.
    """

    def __init__(self, run: Path, training: str) -> None:
        super().__init__()
        self.run, self.training = run.absolute(), training
        self._client: Any = None
        self._id = ""
        self._known = 0  # epochs that an earlier process has written

    def _open(self) -> Any:
        if self._client is None:
            try:
                from mlflow import MlflowClient
            except ImportError:
                raise DeepenoughError("--log mlflow needs MLflow: pip install 'deepenough[mlflow]'") from None
            try:
                self._client = MlflowClient()
                self._id = self._found()
            except Exception as error:
                self._client = None
                raise DeepenoughError(f"--log mlflow: {first_line(error)}") from error
        return self._client

    def _found(self) -> str:
        """The identity of the run of MLflow, begun earlier or now."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or str(self.run)
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        mine = f"{self.run}/{self.training}"
        for each in self._client.search_runs([number]):
            if each.data.tags.get(_TAG) == mine:
                self._known = len(self._client.get_metric_history(each.info.run_id, "loss/train"))
                return str(each.info.run_id)
        made = self._client.create_run(number, tags={_TAG: mine}, run_name=self.training)
        return str(made.info.run_id)

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        client = self._open()
        for name, value in figures.items() if epoch > self._known else ():
            client.log_metric(self._id, name, value, step=epoch)

    def forget(self) -> None:
        """Give up the run of MLflow: points that were written can't be taken back."""
        if self._client is not None:
            self._client.delete_run(self._id)
        self._client, self._known = None, 0

    def close(self) -> None:
        if self._client is not None:
            self._client.set_terminated(self._id)
        self._client, self._written, self._known = None, 0, 0
