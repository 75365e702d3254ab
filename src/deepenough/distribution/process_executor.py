"""Trainings side by side in worker processes of this machine.

Small networks can't keep several processor cores busy: two trainings side by side, each on a core of its own, are done
sooner than one after the other on two. Each computes what it would have computed here, bit for bit, and keeps its
checkpoints in its own folder, so that a run that is interrupted goes on from there. Whatever accompanies a training
stays in this process, and is asked before every epoch as it would be without workers.
"""

from __future__ import annotations

import math
import pickle
import queue
import subprocess
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch

from deepenough.ctrl_c import blocking_signals
from deepenough.data.images import Images
from deepenough.distribution.worker_messages import STOP, Failed, Happened, TrainingEvent, TrainingTask, Warned
from deepenough.errors import DeepenoughError, ProcessEndedWarning
from deepenough.training.callbacks import Action, CallbackList
from deepenough.training.executor import Job, LocalExecutor
from deepenough.training.result import Trained, recall

POLL = 0.1  # seconds between looks at the user's wish to stop
PATIENCE = 20.0  # seconds that a worker has to stop before it is killed; then its newest checkpoint is what is kept
START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from deepenough.distribution import worker; worker.main()"
)
WORTH_STARTING = 10.0  # seconds of trainings for which workers are started: they take about 3


class Worker:
    """A worker process. Its messages arrive in the queue `inbox`, with None as the last.

    `images` are those that it was told last: it keeps one network's at a time, since their pixels take room.
    """

    def __init__(self, inbox: queue.Queue[tuple[Worker, Any]]) -> None:
        self.images: Images | None = None
        with blocking_signals("SIGINT", "SIGTERM", "SIGHUP"):
            self.process = subprocess.Popen(
                [sys.executable, "-c", START], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        threading.Thread(target=self._listen, args=(inbox,), daemon=True).start()

    def tell(self, message: Any) -> None:
        """Send a message; where the process has ended, its end arrives in the inbox."""
        assert self.process.stdin is not None
        with suppress(OSError):
            pickle.dump(message, self.process.stdin, pickle.HIGHEST_PROTOCOL)
            self.process.stdin.flush()

    def _listen(self, inbox: queue.Queue[tuple[Worker, Any]]) -> None:
        assert self.process.stdout is not None
        with suppress(EOFError, OSError, ValueError, pickle.UnpicklingError):
            while True:
                inbox.put((self, pickle.load(self.process.stdout)))
        inbox.put((self, None))

    def end(self) -> int:
        """End the process, which leaves its training at the newest checkpoint; its exit status."""
        self.process.kill()
        status = self.process.wait()
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        return status


@dataclass(eq=False)
class Running:
    """A training that was begun; it has a result in the end."""

    task: TrainingTask
    callbacks: CallbackList
    result: Trained | None = None


@dataclass
class ProcessExecutor(LocalExecutor):
    """Trains side by side in `count` worker processes, which start when they are first needed; what is alone, here.

    A worker that ends by itself, most often for lack of memory, is not replaced: others go on with its training. Use it
    as a context: with it the workers end.
    """

    count: int = 1
    _workers: list[Worker] = field(default_factory=list)
    _inbox: queue.Queue[tuple[Worker, Any]] = field(default_factory=queue.Queue)
    _busy: dict[Worker, Running] = field(default_factory=dict)
    _left: deque[Running] = field(default_factory=deque)  # by workers that ended

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._busy.clear()

    def run_all(self, jobs: Iterable[Job], *, seconds: float = math.inf) -> Generator[Trained]:
        if self.count == 1 or (not self._workers and seconds < WORTH_STARTING):
            yield from super().run_all(jobs)
            return
        waiting, begun = iter(jobs), deque[Running]()
        try:
            while True:
                while begun and (result := begun[0].result):  # before others begin, which may not be wanted then
                    begun.popleft()
                    yield result
                if self._begin_next(waiting, begun):
                    continue
                if not begun:
                    return
                self._take_in()
        except KeyboardInterrupt:  # the second one: at once
            self.__exit__()
            raise
        finally:
            self._stop()

    def _begin_next(self, waiting: Iterator[Job], begun: deque[Running]) -> bool:
        """Begin a training, or recall it, where a worker is free and there is one; False where there is not."""
        if len(self._busy) == self.count:
            return False
        if self._left:
            self._begin(self._left.popleft())
        elif job := next(waiting, None):
            begun.append(self._recall(job))
            if begun[-1].result is None:
                self._begin(begun[-1])
        else:
            return False
        return True

    def _recall(self, job: Job) -> Running:
        """A job, with its result where its folder has that already."""
        callbacks = CallbackList(job.callbacks)
        known = recall(job.folder, job.spec, job.spec.fingerprint(self.images), pauses=callbacks.may_pause)
        threads = job.threads or torch.get_num_threads()
        return Running(TrainingTask(job.spec, job.folder.absolute(), threads, callbacks.may_pause), callbacks, known)

    def _begin(self, running: Running) -> None:
        worker, images = self._free_worker(), self.images.read_as(running.task.spec.preprocess)
        if worker.images is None or worker.images.preprocess != images.preprocess:
            worker.tell(images.alone())
            worker.images = images
        worker.tell(running.task)
        self._busy[worker] = running

    def _free_worker(self) -> Worker:
        """A worker that has nothing to do; those that are missing are started."""
        new = [Worker(self._inbox) for _ in range(self.count - len(self._workers))]
        for worker in new:  # all are on their way by now
            worker.tell(sys.path)
        self._workers += new
        return next(worker for worker in self._workers if worker not in self._busy)

    def _take_in(self) -> None:
        """Take in one message, or the user's wish to stop."""
        try:
            worker, message = self._inbox.get(timeout=POLL)
        except queue.Empty:
            if any(running.callbacks.wants_stop for running in self._busy.values()):
                self._tell_to_stop()
            return
        if message is None and worker in self._workers:
            self._take_leave(worker)
        if worker not in self._busy:  # it was ended
            return
        callbacks = self._busy[worker].callbacks
        match message:
            case Happened(TrainingEvent.EPOCH_BEGIN, moment):
                worker.tell(callbacks.on_epoch_begin(moment))
            case Happened(TrainingEvent.STEP_END, moment):
                if callbacks.on_step_end(moment) is Action.STOP:
                    self._tell_to_stop()
            case Happened(TrainingEvent.TRAIN_END, moment, ending):
                callbacks.on_train_end(moment, ending)
            case Happened(event, moment):
                getattr(callbacks, event)(moment)
            case Warned(warning):
                warnings.warn(warning, stacklevel=2)
            case Trained() | Failed():
                self._close(worker, message)

    def _close(self, worker: Worker, message: Trained | Failed) -> None:
        """Take in how the training of a worker ended; raise what went wrong."""
        running = self._busy.pop(worker)
        running.callbacks.close()
        if isinstance(message, Failed):
            raise message.error
        running.result = message

    def _take_leave(self, worker: Worker) -> None:
        """Go on without a worker that ended by itself; its training is left to others."""
        self._workers.remove(worker)
        if running := self._busy.pop(worker, None):
            self._left.append(running)
        status = worker.end()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        text = f"a process that trained beside others {how}, most often that means that memory ran out"
        if self.count == 1:
            raise DeepenoughError(f"{text}; nothing is lost, but make room before you go on with `fit --resume RUN`")
        self.count -= 1
        side_by_side = f"{self.count} trainings side by side" if self.count > 1 else "one training after the other"
        warnings.warn(f"{text}; going on with {side_by_side}", ProcessEndedWarning, stacklevel=2)

    def _tell_to_stop(self) -> None:
        for worker in self._busy:
            worker.tell(STOP)

    def _stop(self) -> None:
        """Have the trainings that still run save a checkpoint and stop; what does not, ends."""
        self._tell_to_stop()
        end = time.monotonic() + PATIENCE
        while self._busy and time.monotonic() < end:
            with suppress(queue.Empty):
                worker, message = self._inbox.get(timeout=POLL)
                if message is None and worker in self._workers:
                    self._discard(worker)
                elif isinstance(message, Trained | Failed) and worker in self._busy:
                    self._busy.pop(worker).callbacks.close()
        self._left.clear()
        for worker in list(self._busy):
            self._discard(worker)

    def _discard(self, worker: Worker) -> None:
        """End a worker; another is started when one is needed."""
        self._workers.remove(worker)
        if running := self._busy.pop(worker, None):
            running.callbacks.close()
        worker.end()
