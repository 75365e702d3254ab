"""One optimizer step: forward, loss and backward in pieces that fit, the gradient of all processes, the update."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from deepenough.training.cuda_graphs import CudaGraphs
from deepenough.training.feed import Batch
from deepenough.training.loss import Objective, logits_of
from deepenough.training.optimizer import make_clip, make_optimizer
from deepenough.training.precision import Precision
from deepenough.training.process_group import ALONE, BatchPosition, ProcessGroup
from deepenough.training.recipe import Recipe

COMPILED_SHAPES = 200  # for which torch compiles the code that our models share; after its 8 it went on eagerly


@dataclass
class Step:
    """Everything that a step needs but the batch.

    `forward` computes the outputs of `model`, by its own code or a compiled one. The gradient is that of the whole
    batch, whatever goes through at once; batch norms take their statistics over what does, on all processes.
    `teacher` gives the logits of the network that the model learns from, for the same augmented images. `frozen` are
    the module paths of layers that stay as they are.
    """

    model: nn.Module
    forward: Callable[[torch.Tensor], object]
    optimizer: torch.optim.Optimizer
    precision: Precision
    objective: Objective
    clip: Callable[[], object]
    teacher: Callable[[torch.Tensor], torch.Tensor] | None = None
    frozen: Sequence[str] = ()
    group: ProcessGroup = ALONE
    position: BatchPosition = field(default_factory=BatchPosition)
    cuda_graphs: CudaGraphs | None = None

    def __post_init__(self) -> None:
        self.parameters = list(self.model.parameters())

    def __call__(self, batch: Batch, micro_batch: int = 0, stop: bool = False) -> torch.Tensor:
        """Learn from this process' share of a batch, at most `micro_batch` images at once; 0 is no limit.

        Sum of the losses, hits, images and processes that want to stop, of all processes: float32 (4,). The next step
        may write over it.
        """
        micro_batch = micro_batch and max(micro_batch, self.group.min_images)
        largest = -(-batch.total // self.group.size)  # share: all go through in as many pieces, norms meet in each
        pieces = -(-largest // (micro_batch or largest))
        tally = self.cuda_graphs(self.gradient, batch, pieces) if self.cuda_graphs else self.gradient(batch, pieces)
        if stop:
            tally[3] = 1
        self.group.all_reduce([*(p.grad for p in self.parameters if p.grad is not None), tally])
        self.precision.update(self.optimizer, self.clip)
        return tally

    def gradient(self, batch: Batch, pieces: int) -> torch.Tensor:
        """Add the gradient of this process' share, which goes through in `pieces`, to the parameters'; its tally."""
        images, targets = batch.images, batch.targets
        tally = torch.zeros(4, device=images.device)
        first = batch.first
        for pixels, wanted in zip(images.tensor_split(pieces), targets.tensor_split(pieces), strict=True):
            self.position.first, self.position.last, self.position.total = first, first + len(wanted), batch.total
            first += len(wanted)
            with self.precision.autocast():
                teacher_logits = self.teacher(pixels) if self.teacher else None
                outputs = self.forward(pixels)
            loss = self.objective(outputs, wanted, teacher_logits)  # type: ignore[arg-type]
            self.precision.backward(loss if len(wanted) == batch.total else loss * (len(wanted) / batch.total))
            with torch.no_grad():
                hits = (logits_of(outputs).argmax(dim=1) == wanted.argmax(dim=1)).sum()  # type: ignore[arg-type]
                tally[:3] += torch.stack((loss * len(wanted), hits, torch.full_like(loss, len(wanted)))).float()
        return tally


def make_step(
    model: nn.Module, recipe: Recipe, objective: Objective, device: torch.device, group: ProcessGroup = ALONE
) -> Step:
    """The step of a recipe for a model on its device: the one place for precision, compilation and the group."""
    if recipe.compiled:
        torch._dynamo.config.recompile_limit = COMPILED_SHAPES
    step = Step(
        model=model,
        # Each shape by itself: a resumed training meets them in another order, and has to compute the same.
        forward=torch.compile(model, dynamic=False) if recipe.compiled else model,
        optimizer=make_optimizer(model, recipe),
        precision=Precision(recipe.precision, device),
        objective=objective,
        clip=make_clip(model, recipe.clip),
        group=group,
        position=group.synchronize(model),
    )
    step.cuda_graphs = CudaGraphs(step.parameters) if uses_cuda_graphs(device, group) else None
    return step


def uses_cuda_graphs(device: torch.device, group: ProcessGroup) -> bool:
    """True if steps are CUDA graphs: on NVIDIA's GPUs, and where no other process is waited for within a step."""
    return device.type == "cuda" and torch.version.hip is None and group.size == 1
