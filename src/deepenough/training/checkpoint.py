"""Checkpoints that survive a kill at any moment and notice a flipped bit.

A file is called `step-00000120-<first 16 digits of its SHA-256>.safetensors`. What is not a tensor is JSON in the
file's header. Nothing is pickled.
"""

from __future__ import annotations

import json
import re
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepenough.errors import DamagedError, DamageWarning
from deepenough.files import digest_of, leftovers, read_checked_json, write_checked_json, write_whole
from deepenough.training.callbacks import Action, Callback, Ending, Moment
from deepenough.training.serialization import pack, read_checked, unpack
from deepenough.training.state import NotFiniteError, State, Tensors

CHECKPOINT_NAME = re.compile(r"step-(\d{8,})-([0-9a-f]{16})\.safetensors")
KEEP = 2
LIMIT_FILE = "short"  # the file that says how many images at once there was memory for
LIMIT_LOCK = threading.Lock()
COST_SHARE = 0.02  # of the time that checkpoints may take


def packed(state: State, fingerprint: str) -> bytes:
    """The content of a checkpoint."""
    facts = json.dumps({"identity": fingerprint, **state.facts()})
    return pack(state.tensors(), {"deepenough": facts})


def write_checkpoint(folder: Path, step: int, content: bytes) -> None:
    """Write a checkpoint and remove all but the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}-{digest_of(content)[:16]}.safetensors"
    write_whole(path, content)
    for old in checkpoint_files(folder)[KEEP:]:
        if old != path:
            old.unlink(missing_ok=True)


def checkpoint_files(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first."""
    found = [path for path in folder.glob("step-*.safetensors") if CHECKPOINT_NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: (_step(path), path.stat().st_mtime_ns), reverse=True)


def read_checkpoint(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors and facts of a checkpoint, checked against the SHA-256 in its name."""
    match = CHECKPOINT_NAME.fullmatch(path.name)
    content = read_checked(path, match[2] if match else "")
    tensors = unpack(path, content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    try:
        facts: dict[str, Any] = json.loads(header["__metadata__"]["deepenough"])
    except KeyError:
        raise DamagedError(f"{path}: it is no checkpoint of deepenough") from None
    return tensors, facts


def whole_checkpoints(folder: Path) -> Iterator[tuple[Tensors, dict[str, Any]]]:
    """The whole checkpoints of a folder, newest first; damaged ones are skipped with a warning."""
    for path in checkpoint_files(folder):
        try:
            yield read_checkpoint(path)
        except DamagedError as error:
            warnings.warn(f"{error}; going on from the checkpoint before it", DamageWarning, stacklevel=2)


def newest_checkpoint(folder: Path) -> tuple[Tensors, dict[str, Any]] | None:
    """The newest whole checkpoint of a folder."""
    return next(whole_checkpoints(folder), None)


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints and what a killed process left half written."""
    for path in [*checkpoint_files(folder), *leftovers(folder, "step-*"), folder / LIMIT_FILE]:
        path.unlink(missing_ok=True)


def save_batch_limit(folder: Path, at_once: int) -> None:
    """Have what a folder is of go on with so many images at once, whatever its newest checkpoint says."""
    with LIMIT_LOCK:  # two threads may come to know it at once
        folder.mkdir(parents=True, exist_ok=True)
        write_checked_json(folder / LIMIT_FILE, {"images_at_once": at_once})


def batch_limit(folder: Path) -> int:
    """The number of images at once that memory was left for when it ran out in a group; 0 where that never was."""
    path = folder / LIMIT_FILE
    try:
        if path.read_bytes().isdigit():  # as earlier versions wrote it
            return int(path.read_bytes())
        return int(read_checked_json(path)["images_at_once"])
    except FileNotFoundError:
        return 0
    except (DamagedError, LookupError) as error:
        warnings.warn(f"{error}; finding out again how much memory there is", DamageWarning, stacklevel=2)
        return 0


@dataclass
class Checkpoints(Callback):
    """Saves checkpoints often enough to lose little, and seldom enough to cost little.

    At most every `seconds` within an epoch and after each epoch, but never more than 2% of the time. `steps`, where
    it is not 0, saves every so many steps regardless. With `in_background` the file is written while the training goes
    on: other processes that wait for this one would take it for dead where the disk is slow.
    """

    folder: Path
    fingerprint: str
    seconds: float = 20.0
    steps: int = 0
    in_background: bool = False
    _saved: float = field(default_factory=time.perf_counter)
    _cost: float = 0.0
    _writing: Future[None] | None = None

    def on_train_begin(self, moment: Moment) -> None:
        if moment.step == 0:
            self._save(moment)

    def on_step_end(self, moment: Moment) -> Action:
        state = _state(moment)
        if self.due(state, epoch_ended=False):
            if state.finite():
                self.save(state)
            elif not self.in_background:  # in a group, all see it together: at the next look, or as the epoch ends
                raise NotFiniteError
        return Action.GO_ON

    def on_epoch_end(self, moment: Moment) -> None:
        if self.due(_state(moment), epoch_ended=True):
            self._save(moment)

    def on_train_end(self, moment: Moment, ending: Ending | None) -> None:
        if ending is None or not ending.is_final:
            self._save(moment)

    def close(self) -> None:
        self.settle()

    def _save(self, moment: Moment) -> None:
        self.save(_state(moment))

    def save(self, state: State) -> None:
        """Write a checkpoint, once the one before it is written."""
        self.settle()
        start, step = time.perf_counter(), state.step
        content = packed(state, self.fingerprint)

        def put() -> None:
            write_checkpoint(self.folder, step, content)
            self._saved = time.perf_counter()
            self._cost = self._saved - start

        if not self.in_background:
            put()
            return
        writer = ThreadPoolExecutor(1, "checkpoint")
        self._writing = writer.submit(put)
        writer.shutdown(wait=False)

    def settle(self) -> None:
        """Wait for the checkpoint that is being written, and raise what went wrong with it."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def due(self, state: State, epoch_ended: bool) -> bool:
        """True if it is time for the next one."""
        if self.steps and state.step % self.steps == 0:
            return True
        if self._writing and not self._writing.done():
            return False
        since = time.perf_counter() - self._saved
        return since >= self._cost / COST_SHARE and (epoch_ended or since >= self.seconds)


def _state(moment: Moment) -> State:
    assert moment.state is not None
    return moment.state


def _step(path: Path) -> int:
    match = CHECKPOINT_NAME.fullmatch(path.name)
    return int(match[1]) if match else -1
