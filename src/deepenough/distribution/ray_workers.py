"""The processes that train one candidate on a Ray cluster: one alone, or several together as torchrun's would."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from deepenough.distribution.follower import follow
from deepenough.distribution.torchrun import join_group
from deepenough.training.process_group import ALONE, ProcessGroup


@dataclass(frozen=True)
class RayWorkers:
    """The number of processes that train a candidate, the threads that each of them takes, and the kind of device."""

    threads: int
    device: str = "cpu"
    processes: int = 1

    @property
    def gpus(self) -> int:
        """That each process takes, in Ray's words: of NVIDIA's."""
        return int(self.device == "cuda")

    @property
    def needs(self) -> dict[str, int]:
        """Of one process, in Ray's words."""
        return {"CPU": self.threads} | ({"GPU": self.gpus} if self.gpus else {})

    @contextmanager
    def join(self, held: list[Any]) -> Iterator[ProcessGroup]:
        """This worker of Ray's as the first of the workers. The others are tasks of its own, which end with it.

        `held` is Ray's reference to the images.
        """
        torch.set_num_threads(self.threads)
        if self.processes == 1:
            yield ALONE
            return
        import ray

        here = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
        meeting = {"MASTER_ADDR": here, "MASTER_PORT": str(free_port())}
        helper = ray.remote(num_cpus=self.threads, num_gpus=self.gpus, max_retries=0, max_calls=1)(follow_first_worker)
        helpers = [helper.remote(self, held, rank, meeting) for rank in range(1, self.processes)]
        set_torchrun_environment(self, 0, meeting)
        with join_group(torch.device(self.device)) as group:
            yield group
            group.broadcast_task(None)
        ray.get(helpers)


def follow_first_worker(workers: RayWorkers, held: list[Any], rank: int, meeting: dict[str, str]) -> None:
    """Train what the first process trains, until it has nothing more to do."""
    import ray

    torch.set_num_threads(workers.threads)
    set_torchrun_environment(workers, rank, meeting)
    with join_group(torch.device(workers.device)) as group:
        follow(group, lambda: False, ray.get(held[0]))


def set_torchrun_environment(workers: RayWorkers, rank: int, meeting: dict[str, str]) -> None:
    """Say to torch who this process is, as torchrun does. Ray shows each process its own GPUs alone."""
    os.environ.update(meeting, RANK=str(rank), LOCAL_RANK="0", WORLD_SIZE=str(workers.processes))


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("", 0)) as server:
        return int(server.getsockname()[1])
