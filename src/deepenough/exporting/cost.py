"""The loss of a lower precision: accuracies before and after on the same labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.search.question import Metric
from deepenough.search.statistics import Strata, exact_interval, paired_difference

MOST_LOSS = 0.05
"""A lower precision fails where it is shown to lose more accuracy than this."""
LARGE_LOSS = 0.01
"""The user is warned where more accuracy than this is lost."""
SCALES = (2 / 3, 3 / 2)
"""The range of `logit_scale` in which a lower precision passes: rounding blurs logits, but does not stretch them."""

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PrecisionCost:
    """Top-1 before and after a lower precision, on the same labelled images.

    `before_bounds` and `after_bounds` are 95% intervals; `difference` is `before - after` with one-sided 95% bounds.
    `disagreement` is the share of images whose answer changed.
    """

    runtime: str
    images: int
    before: float
    before_bounds: tuple[float, float]
    after: float
    after_bounds: tuple[float, float]
    difference: float
    lower: float
    upper: float
    disagreement: float

    @property
    def large(self) -> bool:
        """Tell whether so much is lost that the user should know."""
        return self.difference > LARGE_LOSS

    @classmethod
    def of(cls, runtime: str, before: Logits, after: Logits, labels: npt.NDArray[np.int64]) -> PrecisionCost:
        """Compare logits (N, classes) on images with known labels (N,)."""
        answers = [logits.argmax(1) for logits in (before, after)]
        hits = [(answer == labels).astype(np.float64) for answer in answers]
        difference = paired_difference(hits[0], hits[1], Strata.of(labels, Metric.TOP1))
        count = len(labels)
        bounds = [exact_interval(round(hit.sum()), count) for hit in hits]
        return cls(
            runtime=runtime,
            images=count,
            before=float(hits[0].mean()),
            before_bounds=bounds[0],
            after=float(hits[1].mean()),
            after_bounds=bounds[1],
            difference=difference.value,
            lower=difference.lower,
            upper=difference.upper,
            disagreement=float((answers[0] != answers[1]).mean()),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `parity.json`."""
        return {
            "runtime": self.runtime,
            "images": self.images,
            "before": self.before,
            "before_interval_95": list(self.before_bounds),
            "after": self.after,
            "after_interval_95": list(self.after_bounds),
            "loss": self.difference,
            "loss_bounds_95_one_sided": [self.lower, self.upper],
            "other_answers": self.disagreement,
        }


def logit_scale(before: Logits, after: Logits) -> float:
    """Return the factor that fits `after` to `before` best, by least squares; each image's logits less their mean.

    It is 1 whatever the rounding, if that has no bias. A wrong scale of the output changes it and no answer.
    """
    before, after = (
        logits.astype(np.float64) - logits.mean(1, keepdims=True, dtype=np.float64) for logits in (before, after)
    )
    energy = float((before**2).sum())
    return float((before * after).sum()) / energy if energy else 1.0


def will_do(before: Logits, after: Logits, cost: PrecisionCost | None) -> bool:
    """Tell whether a lower precision passes: finite logits of the right scale, and no large loss that is shown."""
    if not np.isfinite(after).all():
        return False
    in_scale = SCALES[0] <= logit_scale(before, after) <= SCALES[1]
    return in_scale and (cost is None or cost.lower <= MOST_LOSS)
