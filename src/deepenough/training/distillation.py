"""The teacher of a training: a trained network that gives its logits for what the student sees.

It sees the very images that the student does, augmented and mixed alike, and works as in prediction (consistent
teaching; Beyer et al., "Knowledge distillation: a good teacher is patient and consistent", CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from deepenough.nets.build import build
from deepenough.training.device import place
from deepenough.training.loss import logits_of
from deepenough.training.recipe import Recipe
from deepenough.training.spec import Teacher


def teacher_of(teacher: Teacher, recipe: Recipe, device: torch.device) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function from a batch of images (N, C, H, W) to the teacher's logits (N, classes), without gradients.

    Each process of a group has a teacher of its own for its share of a batch, since nothing in it depends on the others
    of a batch.
    """
    model = build(teacher.network)
    model.load_state_dict(dict(teacher.weights))
    if recipe.precision == "float64":
        model = model.double()
    model = place(model, device, recipe.memory_format).eval()

    @torch.no_grad()
    def logits(images: torch.Tensor) -> torch.Tensor:
        return logits_of(model(images))

    return logits
