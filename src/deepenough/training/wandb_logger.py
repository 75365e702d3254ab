"""Curves for Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError, first_line
from deepenough.files import digest_of
from deepenough.training.epoch_logger import EpochLogger

PROJECT = "deepenough"


class WeightsAndBiases(EpochLogger):
    """Writes one training as a run of Weights & Biases, of the project `deepenough` unless `WANDB_PROJECT` names one.

    The trainings of a run of deepenough are a group. A training that goes on has the same identity, and the service
    takes no point of a step that it has already. `WANDB_MODE=offline` keeps all on this machine, in the run's folder.
    """

    def __init__(self, run: Path, training: str) -> None:
        super().__init__()
        self.run, self.training = run.absolute(), training
        self._run: Any = None

    def _open(self) -> Any:
        if self._run is None:
            try:
                import wandb
            except ImportError:
                raise DeepenoughError("--log wandb needs wandb: pip install 'deepenough[wandb]'") from None
            try:
                settings = wandb.Settings(silent=True)
                self._run = wandb.init(
                    project=settings.project or PROJECT,
                    name=self.training,
                    group=self.run.name,
                    id=digest_of(f"{self.run}/{self.training}".encode())[:16],
                    dir=str(self.run),
                    resume="allow",
                    reinit="create_new",
                    settings=settings,
                )
            except Exception as error:
                raise DeepenoughError(
                    f"--log wandb: {first_line(error)}; log in with `wandb login`, or set WANDB_MODE=offline"
                ) from error
        return self._run

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        self._open().log(figures, step=epoch, commit=True)

    def close(self) -> None:
        if self._run is not None:
            self._run.finish()
        self._run, self._written = None, 0
