"""Everything measured on one set of images, from its predicted probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 15
TINY = 1e-12  # a probability of 0 would make the loss infinite

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Accuracies are fractions in 0..1; classes without images have accuracy nan and count 0.

    `loss` is the mean negative log-likelihood. `balanced` is the mean accuracy of the classes that have images.
    Rows of `confusion` are true classes, columns predicted ones. `calibration_error` is the expected one over
    15 equal bins of confidence (Guo et al. 2017).
    """

    count: int
    top1: float
    top5: float
    loss: float
    balanced: float
    per_class: Floats
    per_class_count: npt.NDArray[np.int64]
    confusion: npt.NDArray[np.int64]
    calibration_error: float

    @classmethod
    def of(cls, probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: int) -> Scores:
        """Scores of `probabilities` (n, classes) for true `labels` (n,)."""
        if not len(labels):
            raise ValueError("no images to score")
        values = np.asarray(probabilities, np.float64)
        predicted = values.argmax(axis=1)
        hits = predicted == labels
        confusion = np.zeros((classes, classes), np.int64)
        np.add.at(confusion, (labels, predicted), 1)
        counts = confusion.sum(axis=1)
        with np.errstate(invalid="ignore"):
            per_class = np.diag(confusion) / counts
        return cls(
            count=len(labels),
            top1=float(hits.mean()),
            top5=top_k(values, labels, 5),
            loss=log_loss(values, labels),
            balanced=float(np.nanmean(per_class)),
            per_class=per_class,
            per_class_count=counts,
            confusion=confusion,
            calibration_error=calibration_error(values.max(axis=1), hits),
        )


def log_loss(probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.int64]) -> float:
    """The mean negative log-likelihood in nats."""
    right = np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(right, TINY, 1.0)).mean())


def top_k(probabilities: Floats, labels: npt.NDArray[np.int64], k: int) -> float:
    """The share of images whose true class is among the `k` most likely; of equals the first classes come first."""
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((best == labels[:, None]).any(axis=1).mean())


def calibration_error(confidence: Floats, hits: npt.NDArray[np.bool_], bins: int = BINS) -> float:
    """The mean gap between confidence and accuracy over equal bins (low, high], weighted by their images."""
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(bin_of, weights=confidence - hits, minlength=bins)
    return float(np.abs(gap).sum() / len(hits))
