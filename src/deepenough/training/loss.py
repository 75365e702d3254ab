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


def distillation_loss(logits: torch.Tensor, teacher_logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """The Kullback-Leibler divergence of a student's probabilities from its teacher's, the mean over a batch.

    Both are softened by the temperature T, and the result is multiplied by T squared, so that its gradient has the same
    scale for every T (Hinton, Vinyals and Dean 2015, section 2). Both logits are (N, classes).
    """
    student, teacher = (F.log_softmax(each / temperature, dim=1) for each in (logits, teacher_logits))
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class Objective:
    """Cross-entropy with soft targets, label smoothing and class weights, in float32 or more.

    Side branches (auxiliary classifiers) are added with their weights. Where a teacher's logits are given, a share
    `teacher_weight` of the loss of each head is `distillation_loss`; that has no label smoothing and no class weights,
    which the teacher has learnt with.
    """

    label_smoothing: float = 0.0
    class_weights: torch.Tensor | None = None
    teacher_weight: float = 0.0
    temperature: float = 1.0

    def __call__(
        self, outputs: Outputs, targets: torch.Tensor, teacher_logits: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The mean loss over a batch; `targets` and `teacher_logits` (N, classes), rows of targets adding up to 1."""
        if isinstance(outputs, torch.Tensor):
            return self.one(outputs, targets, teacher_logits)
        logits, side = outputs
        main = self.one(logits, targets, teacher_logits)
        return main + sum(weight * self.one(each, targets, teacher_logits) for weight, each in side)

    def one(
        self, logits: torch.Tensor, targets: torch.Tensor, teacher_logits: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The mean loss of one head."""
        logits = _precise(logits)
        by_labels = F.cross_entropy(logits, targets, weight=self.class_weights, label_smoothing=self.label_smoothing)
        if teacher_logits is None:
            return by_labels
        by_teacher = distillation_loss(logits, _precise(teacher_logits), self.temperature)
        return (1 - self.teacher_weight) * by_labels + self.teacher_weight * by_teacher


def _precise(logits: torch.Tensor) -> torch.Tensor:
    """Logits in float32, or in float64 where they are."""
    return logits if logits.dtype == torch.float64 else logits.float()


def make_objective(spec: TrainingSpec, images: Images, device: torch.device) -> Objective:
    """The loss as the recipe wants it, over this training's classes."""
    recipe = spec.recipe
    weights = balanced_weights(images.labels[spec.train], len(images.classes)).to(device)
    return Objective(
        recipe.label_smoothing,
        weights if recipe.class_weights else None,
        recipe.distill_weight,
        recipe.distill_temperature,
    )
