"""Curves for TensorBoard."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.training.callbacks import Callback, Moment


class TensorBoard(Callback):
    """Writes event files of one training into a folder of its own.

    A resumed training starts the file anew, with the curve so far, so that no point is there twice.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer: Any = None
        self._drawn = 0

    def _open(self) -> Any:
        """The writer, made when there is something to draw: a training that is read back keeps its curves."""
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise DeepenoughError("--tensorboard needs tensorboard: pip install tensorboard") from None
            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
            self._writer = SummaryWriter(log_dir=str(self.folder))
        return self._writer

    def on_train_begin(self, moment: Moment) -> None:
        self.on_epoch_end(moment)

    def on_epoch_end(self, moment: Moment) -> None:
        """Draw the epochs that were not drawn yet; all anew where the training went back, as without memory."""
        if len(moment.curve) < self._drawn:
            self.close()
        for epoch in moment.curve[self._drawn :]:
            for name, value in (
                ("loss/train", epoch.train_loss),
                ("loss/held-out", epoch.loss),
                ("top1/train", epoch.train_top1),
                ("top1/held-out", epoch.top1),
                ("top5/held-out", epoch.top5),
                ("balanced/held-out", epoch.balanced),
                ("calibration error/held-out", epoch.calibration_error),
                ("lr", epoch.lr),
            ):
                if not math.isnan(value):
                    self._open().add_scalar(name, value, epoch.epoch)
        self._drawn = len(moment.curve)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer, self._drawn = None, 0
