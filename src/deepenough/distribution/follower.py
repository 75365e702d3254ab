"""The work of processes that do not lead their group: read the same images, and train when the leader does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from deepenough.autotuning.step_timing import StepTrial, TimingTask, time_steps
from deepenough.data.images import Images, prepare
from deepenough.data.sources import Source, open_source
from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options
from deepenough.preprocessing import Preprocessing
from deepenough.training.callbacks import Interrupt
from deepenough.training.interrupt import Stop
from deepenough.training.memory import release_freed_memory
from deepenough.training.perform import Assignment, perform
from deepenough.training.process_group import ProcessGroup


@dataclass(frozen=True)
class SharedImages:
    """The images of a run, as every process has to find them, in all ways that its networks want them."""

    data: str | None
    limit: int | None
    cache_limit: float | None
    leave_out: bool
    seed: int
    ways: tuple[Preprocessing, ...]
    fingerprint: str
    in_blocks: bool

    def read(self, source: Source) -> Images:
        """Read the images, from this machine's cache where they are in it."""
        images = self._read_as(self.ways[0], source)
        if images.fingerprint != self.fingerprint:
            raise DeepenoughError(
                f"{self.data or 'digits'}: this process finds other images there than process 0; "
                "every machine needs the same"
            )
        for preprocess in self.ways[1:]:
            images = images.joined(self._read_as(preprocess, source), source)
        return replace(images, in_blocks=self.in_blocks)

    def _read_as(self, preprocess: Preprocessing, source: Source) -> Images:
        images = prepare(
            source,
            size=preprocess,
            seed=self.seed,
            cache_limit=self.cache_limit,
            limit=self.limit,
            leave_out=self.leave_out,
        )
        return replace(images, preprocess=preprocess)


def share_images(group: ProcessGroup, asked: Options, images: Images) -> None:
    """Tell every process which images the run is about, and wait until all have them."""
    group.broadcast_task(
        SharedImages(
            data=asked.data,
            limit=asked.limit,
            cache_limit=asked.cache_limit,
            leave_out=asked.leaves_duplicates_out,
            seed=asked.seed,
            ways=(images.preprocess, *images.others),
            fingerprint=images.fingerprint,
            in_blocks=images.in_blocks,
        )
    )
    group.barrier()


def follow_run(group: ProcessGroup, source: Callable[[], Source]) -> Any:
    """Follow the leader through a run on the images of `source`, until it broadcasts its answer."""
    with Stop() as stop:
        return follow(group, stop, source=source)


def follow(
    group: ProcessGroup,
    stop: Callable[[], bool],
    images: Images | None = None,
    source: Callable[[], Source] = open_source,
) -> Any:
    """Do what the leader orders until it orders something else than work: that is the answer."""
    while True:
        release_freed_memory()  # what the last work took: the leader looks at what there is before the next
        match group.broadcast_task(None):
            case SharedImages() as shared:
                images = shared.read(source())
                group.barrier()
            case TimingTask() as task if images is not None:
                time_steps(StepTrial(task.spec, images, group), task.configuration)
            case Assignment() as job if images is not None:
                perform(job, images, group, callbacks=[Interrupt(stop)])
            case answer:
                return answer
