"""Curves for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.training.epoch_logger import EpochLogger


class TensorBoard(EpochLogger):
    """Writes event files of one training into a folder of its own.

    A resumed training starts the file anew, with the curve so far, so that no point is there twice.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._writer: Any = None

    def _open(self) -> Any:
        """The writer, made when there is something to draw: a training that is read back keeps its curves."""
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise DeepenoughError("--log tensorboard needs tensorboard: pip install tensorboard") from None
            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
            self._writer = SummaryWriter(log_dir=str(self.folder))
        return self._writer

    def write(self, epoch: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._open().add_scalar(name, value, epoch)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._written = None, 0
