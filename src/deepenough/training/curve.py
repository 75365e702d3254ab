"""Learning curves: the figures of each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

HELD_OUT = ("loss", "top1", "top5", "balanced", "calibration_error")


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, and a look at the held-out ones.

    `epoch` counts from 1. `train_loss` and `train_top1` are means over the epoch's augmented images while the
    weights were still moving. `HELD_OUT`, as `Scores` has them, are the held-out images' afterwards, each counted once,
    nan where none are held out. `lr` is the rate of the last step; `seconds` includes the evaluation.
    `gradients` and `activations` are those of every weighted layer afterwards, see `gradient_statistics`.
    """

    epoch: int
    train_loss: float
    train_top1: float
    loss: float
    top1: float
    top5: float
    balanced: float
    calibration_error: float
    lr: float
    seconds: float
    gradients: tuple[float, ...] = ()
    activations: tuple[float, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is no finite number becomes null."""
        return {
            key: [_plain(v) for v in value] if isinstance(value, tuple) else _plain(value)
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Epoch:
        values: dict[str, Any] = {
            key: tuple(_number(v) for v in value) if isinstance(value, list) else _number(value)
            for key, value in content.items()
        }
        return cls(**values)


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value
