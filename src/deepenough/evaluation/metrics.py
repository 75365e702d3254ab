"""The metrics of one set of images, as records hold them: every accuracy with its count and its interval."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deepenough.record.schema import Accuracy, Metrics
from deepenough.search.statistics import exact_interval
from deepenough.training.metrics import Scores


def accuracy(correct: int, count: int) -> Accuracy:
    """A share of images with its exact interval."""
    low, high = exact_interval(correct, count)
    return Accuracy(value=correct / count if count else 0.0, count=count, low=low, high=high)


def metrics(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Metrics:
    """Measure everything on one set of images, from probabilities (n, classes)."""
    scores = Scores.of(probabilities, labels, probabilities.shape[1])
    counted = [accuracy(int(row[label]), int(row.sum())) for label, row in enumerate(scores.confusion)]
    top1 = accuracy(int(np.trace(scores.confusion)), len(labels))
    return Metrics.of(scores, top1=top1, per_class=counted, confusion=scores.confusion.tolist())
