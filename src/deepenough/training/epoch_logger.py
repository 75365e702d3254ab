"""The base of what writes the figures of every epoch somewhere, each once, whether a training pauses or goes back."""

from __future__ import annotations

import math
from abc import abstractmethod

from deepenough.training.callbacks import Callback, Moment
from deepenough.training.curve import Epoch


class EpochLogger(Callback):
    """Writes the epochs of one training that were not written yet."""

    def __init__(self) -> None:
        self._written = 0

    @abstractmethod
    def write(self, epoch: int, figures: dict[str, float]) -> None:
        """Write the figures of an epoch, which counts from 1."""

    def forget(self) -> None:
        """Have all epochs written anew: the training went back, as without memory."""
        self.close()

    def on_train_begin(self, moment: Moment) -> None:
        self.on_epoch_end(moment)

    def on_epoch_end(self, moment: Moment) -> None:
        if len(moment.curve) < self._written:
            self.forget()
            self._written = 0
        for epoch in moment.curve[self._written :]:
            self.write(epoch.epoch, figures_of(epoch))
        self._written = len(moment.curve)


def figures_of(epoch: Epoch) -> dict[str, float]:
    """The figures of an epoch by the names that they are logged under; those that are finite."""
    named = {
        "loss/train": epoch.train_loss,
        "loss/held-out": epoch.loss,
        "top1/train": epoch.train_top1,
        "top1/held-out": epoch.top1,
        "top5/held-out": epoch.top5,
        "balanced/held-out": epoch.balanced,
        "calibration error/held-out": epoch.calibration_error,
        "lr": epoch.lr,
    }
    return {name: value for name, value in named.items() if math.isfinite(value)}
