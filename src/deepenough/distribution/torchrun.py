"""Several processes that train one network: on one machine or many, started by torchrun or anything that sets its
environment variables.

Process 0 runs the command as ever. The others wait for what it asks of them (`follow`), and train in lockstep with it.
"""

from __future__ import annotations

import itertools
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from deepenough.distribution.socket_all_gather import SocketAllGather, socket_all_gather
from deepenough.distribution.synchronized_layers import synchronize
from deepenough.errors import DeepenoughError
from deepenough.exit import foreign_call
from deepenough.machine import cores
from deepenough.training.process_group import BatchPosition, EndedError, LostError, ProcessGroup, shard

SILENCE_TIMEOUT = 30.0  # seconds without a sign of life after which a process is taken for dead
HEARTBEAT_SECONDS = 2.0  # seconds between a process' signs of life
JOIN_TIMEOUT = 300.0  # seconds within which all processes have to be there
BUCKET_BYTES = 32 * 2**20  # bytes that are sent at once
STORE_POLL = 0.02  # seconds between looks for another process
HEARTBEAT_KEY, ENDED, OUT_OF_MEMORY_KEY = "alive", "ended", "short of memory"


def launched() -> bool:
    """True if this process was started as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


def follows() -> bool:
    """True if another process leads this one."""
    return launched() and os.environ["RANK"] != "0"


def restarted() -> bool:
    """True if torchrun started this process again, after one of its group was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def share_of_threads(threads: int) -> int:
    """The number of threads that this process takes: all that torch would, or its share of the machine's.

    torchrun gives each of several processes one thread, where the user has not said how many.
    """
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if beside == 1 or os.environ.get("OMP_NUM_THREADS") != "1":
        return threads
    return max(cores() // beside, 1)


class CallWithTimeout:
    """Makes calls that may never return, as to a store behind a cut wire, in a thread of its own."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, call: Callable[..., Any], *given: Any) -> Any:
        """Return what `call` gives, or raise what it raises; LostError where it takes longer than a process may be
        silent."""
        self._calls.put((call, given))
        try:
            answer, error = self._answers.get(timeout=SILENCE_TIMEOUT)
        except queue.Empty:
            raise LostError(f"no answer for {SILENCE_TIMEOUT:.0f} s") from None
        if error:
            raise error
        return answer

    def _work(self) -> None:
        while True:
            call, given = self._calls.get()
            try:
                with foreign_call():
                    answer = call(*given)
                self._answers.put((answer, None))
            except Exception as error:  # whatever it is, it is the main thread's
                self._answers.put((None, error))


class TorchrunGroup(ProcessGroup):
    """The processes of one `torchrun`."""

    min_images = 2  # images at once: with one, a process' piece of a batch can be empty, which has no statistics

    def __init__(self, rank: int, size: int, store: Any, device: torch.device) -> None:
        self.rank, self.size, self.store, self.device = rank, size, store, device
        self.sockets: SocketAllGather | None = None
        self.out_of_memory = threading.Event()  # another process has told that it is out of memory
        self._on_out_of_memory: Callable[[], None] = lambda: None
        self._call = CallWithTimeout()
        self._meetings = 0

    def report_out_of_memory(self) -> None:
        self._run(self.store.set, OUT_OF_MEMORY_KEY, str(self.rank))

    def on_out_of_memory(self, what: Callable[[], None]) -> None:
        self._on_out_of_memory = what
        if self.out_of_memory.is_set():  # it was heard before anything could be done about it
            what()

    def note_out_of_memory(self, short: bool) -> None:
        """Take note that some process is out of memory, as the heartbeat's thread finds it."""
        if short and not self.out_of_memory.is_set():
            self.out_of_memory.set()
            with suppress(OSError):  # the main thread will try it, too
                self._on_out_of_memory()

    def another_ran_out_of_memory(self) -> bool:
        return self.out_of_memory.wait(2 * HEARTBEAT_SECONDS)

    def all_reduce(self, tensors: Sequence[torch.Tensor]) -> None:
        self._run_flat(dist.all_reduce, tensors)

    def broadcast_object(self, value: Any) -> Any:
        found = [value]
        self._run(dist.broadcast_object_list, found, src=0)
        return found[0]

    def broadcast(self, tensors: Sequence[torch.Tensor]) -> None:
        self._run_flat(dist.broadcast, tensors, src=0)

    def all_gather_object(self, mine: str) -> list[str]:
        """The words of each process, by rank."""
        said: list[Any] = [None] * self.size
        self._run(dist.all_gather_object, said, mine)
        return said

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.sockets and self.sockets.carries(tensor):
            return self._run(self.sockets.all_gather, tensor)  # type: ignore[no-any-return]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        self._run(dist.all_gather, found, tensor)
        return torch.stack(found)

    def gather_rows(self, mine: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
        padded = torch.zeros(-(-count // self.size), *mine.shape[1:], device=self.device)
        padded[: len(mine)] = torch.from_numpy(mine).to(self.device)
        found = self.all_gather(padded).cpu().numpy()
        lengths = [len(range(count)[shard(count, rank, self.size)]) for rank in range(self.size)]
        gathered: npt.NDArray[np.float32] = np.concatenate(
            [rows[:length] for rows, length in zip(found, lengths, strict=True)]
        )
        return gathered

    def synchronize(self, model: nn.Module) -> BatchPosition:
        return synchronize(model, self)

    def broadcast_task(self, what: Any) -> Any:
        self._meetings += 1
        self._meet("order", [0])
        return self.broadcast_object(what)

    def barrier(self) -> None:
        self._meetings += 1
        self._meet("meeting", range(self.size))

    def _meet(self, what: str, ranks: Iterable[int]) -> None:
        """Say that this process is there, and wait for others as long as they show that they are alive."""
        self._run(self._call, self.store.set, f"{what}/{self._meetings}/{self.rank}", "here")
        for rank in ranks:
            last, since = b"", time.monotonic()
            while not self._run(self._call, self.store.check, [f"{what}/{self._meetings}/{rank}"]):
                seen = self._run(self._call, self.store.get, f"{HEARTBEAT_KEY}/{rank}")
                if seen != last:
                    last, since = seen, time.monotonic()
                if seen == ENDED.encode():
                    raise EndedError(f"process {rank} has ended")
                if time.monotonic() - since > SILENCE_TIMEOUT:
                    raise LostError(f"process {rank} gave no sign of life for {SILENCE_TIMEOUT:.0f} s")
                time.sleep(STORE_POLL)

    def _run_flat(self, call: Any, tensors: Sequence[torch.Tensor], **named: Any) -> None:
        """Run a collective in place on tensors, many of them as one."""
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            self._run(call, flat, **named)
            for tensor, part in zip(bucket, torch.split(flat, [each.numel() for each in bucket]), strict=True):
                tensor.copy_(part.view(tensor.shape))

    def _run(self, call: Any, *given: Any, **named: Any) -> Any:
        try:
            return call(*given, **named)
        except (RuntimeError, OSError) as error:
            raise LostError(error) from None


@contextmanager
def join_group(device: torch.device) -> Iterator[TorchrunGroup]:
    """This process in its group, from the environment that torchrun sets."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "mps":
        raise DeepenoughError("several processes can't train on Apple's GPU together: give --device cpu")
    if device.type == "cuda":
        place, there = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if place >= there:
            raise DeepenoughError(
                f"process {place} of this machine has no GPU of its own: it shows {there} of them to each process; "
                "start as many processes as GPUs, and let each see all (with Slurm, --gpus-per-node and no "
                "--gpus-per-task), or give --device cpu"
            )
        torch.cuda.set_device(place)
    try:
        shared, rank, size = next(iter(rendezvous("env://", timeout=timedelta(seconds=JOIN_TIMEOUT))))
        store = PrefixStore(store_prefix(shared, rank, size), shared)
        silence = timedelta(seconds=SILENCE_TIMEOUT)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=silence)
    except (RuntimeError, ValueError) as error:
        raise DeepenoughError(f"the processes did not come together: {error}") from None
    group, over = TorchrunGroup(rank, size, store, device), threading.Event()

    def beat() -> None:
        with suppress(RuntimeError):  # the store is gone, and the group with it: what comes next says so
            for number in itertools.count():
                with foreign_call():
                    store.set(f"{HEARTBEAT_KEY}/{rank}", str(number))
                    short = store.check([OUT_OF_MEMORY_KEY])  # asked here, since a cut wire never answers
                group.note_out_of_memory(short)
                if over.wait(HEARTBEAT_SECONDS):
                    with foreign_call():
                        store.set(f"{HEARTBEAT_KEY}/{rank}", ENDED)
                    return

    store.set(f"{HEARTBEAT_KEY}/{rank}", "begun")
    beating = threading.Thread(target=beat, daemon=True)
    beating.start()
    try:
        with socket_all_gather(group, SILENCE_TIMEOUT) as group.sockets:
            yield group
        dist.destroy_process_group()
        over.set()
        beating.join(SILENCE_TIMEOUT)
    finally:
        over.set()
        beating.join(HEARTBEAT_SECONDS)  # one that is still in the store then only keeps Python from finalizing


def store_prefix(store: Any, rank: int, size: int) -> str:
    """A name that all living processes of the group agree on, and none that has ended knows.

    torchrun's store outlives its workers, with all that they wrote there. So each process signs with a word of its own,
    process 0 calls the roll, and goes when everyone has answered this very roll.
    """
    word, until = secrets.token_hex(8), time.monotonic() + JOIN_TIMEOUT

    def read(key: str) -> str:
        return str(store.get(key).decode()) if store.check([key]) else ""

    store.set(f"sign/{rank}", word)
    while time.monotonic() < until:
        if rank == 0:
            roll = "-".join(read(f"sign/{each}") for each in range(size))
            store.set("roll", roll)
            if all(read(f"answer/{each}") == roll for each in range(1, size)):
                store.set("go", roll)
                return roll
        else:
            roll = read("roll")
            if word in roll:
                store.set(f"answer/{rank}", roll)
                if read("go") == roll:
                    return roll
        time.sleep(STORE_POLL)
    raise DeepenoughError(f"process {rank} of {size}: the others did not come within {JOIN_TIMEOUT:.0f} s")


def _buckets(tensors: Sequence[torch.Tensor]) -> Iterator[list[torch.Tensor]]:
    """Tensors of one kind at a time, together at most 32 MiB, or a single larger one; the same on every process."""
    bucket: list[torch.Tensor] = []
    size = 0
    for tensor in tensors:
        bytes_ = tensor.numel() * tensor.element_size()
        if bucket and (size + bytes_ > BUCKET_BYTES or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += bytes_
    if bucket:
        yield bucket
