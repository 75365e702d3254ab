"""Executors run trainings. All of them take the same spec, and leave the same files in its folder."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from deepenough.data.images import Images
from deepenough.nets import Network
from deepenough.training.callbacks import Callback
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.result import Trained
from deepenough.training.rng import using_threads
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

Expected = Mapping[Network, Iterator[TrainingSpec]]
"""Trainings that may be wanted next, by their networks, in the order in which they would be."""


@dataclass(frozen=True)
class Job:
    """A training, the folder that it keeps its state and result in, what accompanies it, and how many processor threads
    compute it (0: as many as this process has)."""

    spec: TrainingSpec
    folder: Path
    callbacks: Sequence[Callback] = ()
    threads: int = 0


class Executor(Protocol):
    """Runs trainings on one set of images."""

    @property
    def group(self) -> ProcessGroup:
        """The processes that this one trains together with."""

    def run(self, spec: TrainingSpec, folder: Path, callbacks: Sequence[Callback] = (), *, threads: int = 0) -> Trained:
        """`training.train`, with so many processor threads where the executor leaves that open."""

    def run_all(self, jobs: Iterable[Job], *, seconds: float = math.inf) -> Generator[Trained]:
        """Run trainings that do not depend on each other, and give their results in that order.

        A job is taken once there is room for it. `seconds` are those that all of them are expected to take. Where not
        all results are wanted, close the generator.
        """
        for job in jobs:
            yield self.run(job.spec, job.folder, job.callbacks, threads=job.threads)

    def expect(self, specs: Expected) -> None:
        """Hear what may be wanted next, and begin it where there is room."""


@dataclass
class LocalExecutor(Executor):
    """Trains in this process, together with the others of its group (`distribution.follower`)."""

    images: Images
    group: ProcessGroup = ALONE

    def run(self, spec: TrainingSpec, folder: Path, callbacks: Sequence[Callback] = (), *, threads: int = 0) -> Trained:
        with using_threads(threads or torch.get_num_threads()):
            return train(spec, self.images, folder, callbacks, group=self.group)

    def expect(self, specs: Expected) -> None:
        """One training after the other: there is no room for others."""
