"""The training loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from deepenough.data.images import Images
from deepenough.training.spec import TrainingSpec

Outputs = torch.Tensor | tuple[torch.Tensor, list[tuple[float, torch.Tensor]]]


def logits_of(outputs: Outputs) -> torch.Tensor:
    """The logits (N, classes) of the network's own head, without its side branches."""
    return outputs if isinstance(outputs, torch.Tensor) else outputs[0]


def balanced_weights(labels: npt.NDArray[np.int64], classes: int) -> torch.Tensor:
    """A weight for each class, (classes,), so that each counts alike; the mean over all images is 1.

    A class without images has weight 0.
    """
    counts = np.bincount(labels, minlength=classes)
    present = max(int((counts > 0).sum()), 1)
    weights = np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights.astype(np.float32))


@dataclass(frozen=True)
class Objective:
    """Cross-entropy with soft targets, label smoothing and class weights, in float32 or more.

    Side branches (auxiliary classifiers) are added with their weights.
    """

    label_smoothing: float = 0.0
    class_weights: torch.Tensor | None = None

    def __call__(self, outputs: Outputs, targets: torch.Tensor) -> torch.Tensor:
        """The mean loss over a batch; `targets` (N, classes), each row adding up to 1."""
        if isinstance(outputs, torch.Tensor):
            return self.one(outputs, targets)
        logits, side = outputs
        return self.one(logits, targets) + sum(weight * self.one(each, targets) for weight, each in side)

    def one(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return F.cross_entropy(logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing)


def make_objective(spec: TrainingSpec, images: Images, device: torch.device) -> Objective:
    """Cross-entropy as the recipe wants it, over this training's classes."""
    weights = balanced_weights(images.labels[spec.train], len(images.classes)).to(device)
    return Objective(spec.recipe.label_smoothing, weights if spec.recipe.class_weights else None)
