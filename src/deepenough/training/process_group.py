"""The processes that train one network together; here the group of one, whose methods have nothing to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deepenough.errors import DeepenoughError


@dataclass
class BatchPosition:
    """The rows `first` to `last` of a batch of `total` that are going through the model now."""

    first: int = 0
    last: int = 0
    total: int = 0


class LostError(DeepenoughError):
    """Another process of the group is gone."""

    def __init__(self, why: object) -> None:
        self.why = str(why)
        # gloo tells where in its source it was, and what to read there.
        words = re.sub(r"\[[^\]]*\.(cc|h):\d+\]\s*", "", str(why)).strip() or "no sign of life"
        first = re.split(r"\.\s|\n", words)[0]
        super().__init__(
            f"another process of this training is gone ({first}); what was done until the newest checkpoint is kept: "
            "start all processes again with `fit --resume RUN`"
        )

    def __reduce__(self) -> tuple[type[LostError], tuple[str]]:
        return LostError, (self.why,)


class EndedError(DeepenoughError):
    """Another process of the group exited on its own and reported why."""


class ProcessGroup:
    """One process alone. `torchrun.TorchrunGroup` is a group of several.

    The batch stays what it is: every process has a shard of its rows. Process 0 leads: it alone writes, and what only
    one can know (clocks, files, the user's wish to stop) it tells the others.
    """

    rank = 0
    size = 1
    min_images = 1  # images at once

    def __deepcopy__(self, memo: object) -> ProcessGroup:
        return self  # models that are copied go on in the same group

    @property
    def is_leader(self) -> bool:
        return self.rank == 0

    def shard(self, count: int) -> slice:
        """The rows of `count` that are this process'; shards differ by one row at most, as `numpy.array_split`'s."""
        return shard(count, self.rank, self.size)

    def report_out_of_memory(self) -> None:
        """Tell the others that this process is out of memory."""

    def on_out_of_memory(self, what: Callable[[], None]) -> None:
        """Call `what` as soon as another process has told that it is out of memory, whatever this one waits for."""

    def another_ran_out_of_memory(self) -> bool:
        """True if another process, which is gone now, was out of memory."""
        return False

    def all_reduce(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put the sum over all processes into each of `tensors`."""

    def synchronize(self, model: nn.Module) -> BatchPosition:
        """Have the batch norms and dropouts of a model see the whole batch; they ask the result for their rows."""
        return BatchPosition()

    def broadcast_task(self, what: Any) -> Any:
        """The task that process 0 wants done next; the others wait for it however long it takes."""
        return what

    def barrier(self) -> None:
        """Wait until every process is here, however long each takes."""

    def broadcast_object(self, value: Any) -> Any:
        """The value that process 0 gave."""
        return value

    def broadcast(self, tensors: Sequence[torch.Tensor]) -> None:
        """Put process 0's values into each of `tensors`."""

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensors of all processes, of one shape, stacked: (size, ...)."""
        return tensor[None]

    def gather_rows(self, mine: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
        """The rows of all processes, (count, ...), from this process' `shard` of them."""
        return mine


ALONE = ProcessGroup()


def shard(count: int, rank: int, size: int) -> slice:
    """The rows of `count` that are process `rank`'s of `size`.

    >>> [shard(10, rank, 3) for rank in range(3)]
    [slice(0, 4, None), slice(4, 7, None), slice(7, 10, None)]
    """
    each, more = divmod(count, size)
    first = rank * each + min(rank, more)
    return slice(first, first + each + (rank < more))
