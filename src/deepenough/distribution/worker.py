"""A worker process: it trains what its run tells it to, in the training's own folder, one training at a time."""

from __future__ import annotations

import os
import pickle
import queue
import sys
import threading
import time
import warnings
from dataclasses import replace
from typing import Any, BinaryIO, NoReturn

from deepenough.data.images import Images
from deepenough.distribution.worker_messages import STOP, Failed, Happened, Message, TrainingEvent, TrainingTask, Warned
from deepenough.errors import DeepenoughError
from deepenough.training.callbacks import Action, Callback, Ending, Moment
from deepenough.training.memory import keep_freed_memory
from deepenough.training.rng import using_threads
from deepenough.training.train import train

TOLD_EVERY = 0.1  # seconds between two steps that the run is told of


class Run:
    """The run that a worker works for: what it says, and what it is told."""

    def __init__(self, hears: BinaryIO, says: BinaryIO) -> None:
        self.orders: queue.Queue[Any] = queue.Queue()
        self.actions: queue.Queue[Action] = queue.Queue()
        self.stopped = False
        self._hears, self._says, self._lock = hears, says, threading.Lock()

    def listen(self) -> NoReturn:
        """Take in what the run says until it is no more, and end this process then."""
        while True:
            try:
                said = pickle.load(self._hears)
            except (EOFError, OSError, pickle.UnpicklingError):
                os._exit(0)  # no one is left to train for; the training's newest checkpoint is whole
            if isinstance(said, Action):
                self.actions.put(said)
            elif said == STOP:
                self.stopped = True
                self.actions.put(Action.GO_ON)  # for an epoch that waits; it stops after its first step
            else:
                self.stopped, self.actions = False, queue.Queue()
                self.orders.put(said)

    def tell(self, message: Message) -> None:
        with self._lock:
            pickle.dump(message, self._says, pickle.HIGHEST_PROTOCOL)
            self._says.flush()


class Relay(Callback):
    """Tells the run of a training's events, and does what it says."""

    def __init__(self, run: Run, may_pause: bool) -> None:
        self.run, self.may_pause, self._told = run, may_pause, 0.0

    def on_train_begin(self, moment: Moment) -> None:
        self.run.tell(Happened(TrainingEvent.TRAIN_BEGIN, without_state(moment)))

    def on_epoch_begin(self, moment: Moment) -> Action:
        self.run.tell(Happened(TrainingEvent.EPOCH_BEGIN, without_state(moment)))
        return self.run.actions.get()

    def on_step_end(self, moment: Moment) -> Action:
        now = time.monotonic()
        if now - self._told >= TOLD_EVERY:
            self.run.tell(Happened(TrainingEvent.STEP_END, without_state(moment)))
            self._told = now
        return Action.STOP if self.run.stopped else Action.GO_ON

    def on_epoch_end(self, moment: Moment) -> None:
        self.run.tell(Happened(TrainingEvent.EPOCH_END, without_state(moment)))

    def on_train_end(self, moment: Moment, ending: Ending | None) -> None:
        self.run.tell(Happened(TrainingEvent.TRAIN_END, without_state(moment), ending))


def without_state(moment: Moment) -> Moment:
    """The moment as it is told elsewhere; of the curve what there is now, since it grows."""
    return replace(moment, curve=tuple(moment.curve), state=None)


def work(run: Run) -> NoReturn:
    """Train what the run orders, on the images that it sent last, until it is no more."""
    images: Images = run.orders.get()
    while True:
        task: TrainingTask | Images = run.orders.get()
        if isinstance(task, Images):
            images = task
            continue
        try:
            with using_threads(task.threads):
                run.tell(train(task.spec, images, task.folder, [Relay(run, task.may_pause)]))
        except Exception as error:
            run.tell(Failed(portable(error)))


def portable(error: Exception) -> Exception:
    """The error as it is where it can be sent, or else in words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return DeepenoughError(f"{type(error).__name__}: {error}")
    return error


def main() -> NoReturn:
    """Work for the run at the other end of standard input and output; whatever prints goes to standard error."""
    says = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run = Run(sys.stdin.buffer, says)

    def warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        run.tell(Warned(message if isinstance(message, Warning) else category(message)))

    warnings.showwarning = warn
    keep_freed_memory()
    threading.Thread(target=run.listen, daemon=True).start()
    work(run)
