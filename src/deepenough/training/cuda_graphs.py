"""Gradients on NVIDIA's GPUs without Python between their kernels: captured once, then started together (CUDA graphs).

A small network's kernels are over before Python has started the next: on an H200, depth 9 waited for Python more than
half the time.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from deepenough.errors import first_line
from deepenough.training.feed import Batch

EAGER_BATCHES = 2  # of a size that go before its capture: libraries choose kernels, and compilers compile, in them

Compute = Callable[[Batch, int], torch.Tensor]


@dataclass
class CapturedGraph:
    """A CUDA graph and the memory that it reads and writes: the batch, the tally, and a gradient for each parameter."""

    replay: Callable[[], None]
    batch: Batch
    tally: torch.Tensor
    gradients: list[torch.Tensor | None]


@dataclass
class CudaGraphs:
    """Does what `compute(batch, pieces)` does to the gradients of `parameters`, by replaying what it did before.

    The kernels are the same, and so are the numbers. Each size of batch has a graph of its own, in memory that they
    share, and that other work on the GPU can't have: it is freed when images of another size come. Where CUDA can't
    capture, it warns once, and goes on without.
    """

    parameters: Sequence[torch.nn.Parameter]
    counts: Counter[int] = field(default_factory=Counter)
    graphs: dict[int, CapturedGraph] = field(default_factory=dict)
    layout: tuple[int, ...] = ()  # of the batches: their pieces, and the shape of an image
    pool: Any = None
    disabled: bool = False

    def __call__(self, compute: Compute, batch: Batch, pieces: int) -> torch.Tensor:
        """The tally of a batch, which the next one overwrites; gradients are added to none and lie in `.grad`."""
        if (pieces, *batch.images.shape[1:]) != self.layout:
            self.reset()
            self.layout = (pieces, *batch.images.shape[1:])
        size = len(batch.images)
        self.counts[size] += 1
        if size not in self.graphs and self.counts[size] > EAGER_BATCHES and not self.disabled:
            self._capture(compute, batch)
        if size not in self.graphs:
            return compute(batch, pieces)
        graph = self.graphs[size]
        graph.batch.images.copy_(batch.images)
        graph.batch.targets.copy_(batch.targets)
        graph.replay()
        for parameter, gradient in zip(self.parameters, graph.gradients, strict=True):
            parameter.grad = gradient
        return graph.tally

    def reset(self) -> None:
        """Free the memory of all graphs, and begin anew."""
        self.graphs.clear()
        self.counts.clear()
        self.pool = None

    def disable(self) -> bool:
        """Capture no more where memory ran out, if graphs held on to it; True if they did."""
        had = bool(self.graphs)
        self.disabled = self.disabled or had
        self.reset()
        return had

    def _capture(self, compute: Compute, batch: Batch) -> None:
        """Capture, but do not compute, the gradient of a batch of this size."""
        fixed = batch._replace(images=batch.images.clone(), targets=batch.targets.clone())
        try:
            replay, tally, self.pool = capture(lambda: compute(fixed, self.layout[0]), self.pool)
            gradients = [parameter.grad for parameter in self.parameters]
            self.graphs[len(fixed.images)] = CapturedGraph(replay, fixed, tally, gradients)
        except RuntimeError as error:
            # Ending the capture fails, too, and says less. A name for the cause would keep all that was captured.
            why = first_line(error.__context__ or error)
            warnings.warn(f"steps are slower than they could be: CUDA can't record them ({why})", stacklevel=2)
            self.reset()
            self.disabled = True
        for parameter in self.parameters:
            parameter.grad = None


def capture(work: Callable[[], torch.Tensor], pool: Any) -> tuple[Callable[[], None], torch.Tensor, Any]:
    """A function that computes anew what `work` gives, in the same memory; that, not computed yet; and the
    pool of memory."""
    graph = torch.cuda.CUDAGraph()
    try:
        # Other threads read images meanwhile. A capture that fails leaves its stream behind, if nobody puts it back.
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"),
        ):
            made = work()
    except BaseException:
        # And it leaves random numbers believing that they are captured (torch's issue 171263): each draw would fail.
        draws = torch.cuda.default_generators[torch.cuda.current_device()]
        draws.graphsafe_set_state(draws.clone_state())
        raise
    return graph.replay, made, graph.pool()
