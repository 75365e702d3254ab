"""Go on where memory runs out in a training: half as many images go through at once."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from deepenough.errors import DeepenoughError
from deepenough.training.feed import Feed
from deepenough.training.process_group import LostError
from deepenough.training.state import State
from deepenough.training.step import Step

MESSAGES = ("can't allocate memory", "out of memory", "ALLOC_FAILED")  # the CPU's, and those of libraries of a GPU's


class OutOfMemoryInGroupError(DeepenoughError):
    """A process of a group is out of memory; `half` as many images at once may go."""

    def __init__(self, at_once: int, size: int, half: int) -> None:
        super().__init__(
            f"out of memory with {at_once} images at once on one of {size} processes; "
            f"started again with `fit --resume RUN`, it goes on with {half} at once"
        )
        self.given, self.half = (at_once, size, half), half

    def __reduce__(self) -> tuple[type[OutOfMemoryInGroupError], tuple[int, int, int]]:
        return OutOfMemoryInGroupError, self.given


def out_of_memory(error: BaseException) -> bool:
    """True if an error says that memory ran out, which is not always an error of its own kind."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(word in str(error) for word in MESSAGES)


def images_at_once(state: State, feed: Feed) -> int:
    """The number of images of this process that go through at once."""
    share = -(-feed.batch // feed.group.size)
    return min(state.micro_batch or share, share)


def half_at_once(state: State, feed: Feed) -> int:
    """Half as many images at once as were too many. Raises DeepenoughError where that would be too few."""
    many = images_at_once(state, feed)
    if many <= feed.group.min_images:
        images = "1 image" if many == 1 else f"{many} images"
        raise DeepenoughError(f"out of memory with {images} at once; use a smaller --size, or more processes")
    return -(-many // 2)


def free_memory(state: State, feed: Feed, step: Step) -> int:
    """Free what a failed step has left in memory, and give the number of images at once that a training goes on with:
    as many as before if captured CUDA graphs, which go too, held memory, else half.

    Call it once the error is forgotten, which holds on to all that the step had made.
    """
    many = state.micro_batch if step.cuda_graphs and step.cuda_graphs.disable() else half_at_once(state, feed)
    state.precision.forget()
    state.optimizer.zero_grad(set_to_none=True)
    gc.collect()
    if state.tally.device.type == "cuda":
        torch.cuda.empty_cache()
    return many


@contextmanager
def reporting_out_of_memory(state: State, feed: Feed, note_limit: Callable[[int], object] | None) -> Iterator[None]:
    """Have the leader of a group that runs out of memory call `note_limit` with the number of images at once that the
    training goes on with.

    All its processes end: they can't come together again once one has left a step. On GPUs a leader that waits for the
    others is ended from outside, so it notes the number as soon as it hears of it.
    """
    group = feed.group

    def note() -> None:
        if note_limit and images_at_once(state, feed) > group.min_images:
            note_limit(half_at_once(state, feed))

    group.on_out_of_memory(note)
    try:
        yield
        return
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if group.size == 1 or not out_of_memory(error):
            raise
        group.report_out_of_memory()
    except LostError:
        if not group.another_ran_out_of_memory():
            raise
    finally:
        group.on_out_of_memory(lambda: None)
    note()
    raise OutOfMemoryInGroupError(images_at_once(state, feed), group.size, half_at_once(state, feed))
