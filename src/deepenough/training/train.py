"""Train one network on one part of the images, once, whatever interrupts it."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from deepenough.data.images import Images
from deepenough.errors import DeepenoughError
from deepenough.nets import Network, macs
from deepenough.training import checkpoint
from deepenough.training.checkpoint import Keeper
from deepenough.training.curve import Epoch
from deepenough.training.device import choose_device
from deepenough.training.feed import Index
from deepenough.training.loop import Progress, Watch
from deepenough.training.perform import Office, Task, perform
from deepenough.training.process_group import ALONE, Group
from deepenough.training.recipe import Recipe
from deepenough.training.result import ENDS, RESULT, Trained, load_result, read_facts, save_result
from deepenough.training.serialization import DamagedError
from deepenough.training.state import State
from deepenough.training.tensorboard import curves

PAUSED = "paused"  # the folder in a training's folder that keeps what it was when a watch paused it
OUT_OF_TIME = "out of time"


def train(
    network: Network,
    recipe: Recipe,
    images: Images,
    train_index: Index,
    held_out_index: Index,
    folder: Path,
    *,
    seed: int,
    start: Mapping[str, torch.Tensor] | None = None,
    watch: Watch | None = None,
    deadline: float | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    tensorboard: Path | None = None,
    checkpoint_seconds: float = 20.0,
    checkpoint_steps: int = 0,
    group: Group = ALONE,
) -> Trained:
    """Train `network` on the images `train_index` and judge it on `held_out_index` after every epoch.

    Everything random is a function of `seed`. `start` gives the weights to start from, by name; without it they are
    `build(network, seed)`'s. `folder` is this training's own: finished, it returns what is there; with a checkpoint,
    it goes on from it and ends with the same weights, bit for bit on the CPU.

    `watch(curve)` is asked after every epoch but the last; any word but "go on" pauses there. The pause is kept: a
    later call with a watch returns it, also when one without has trained to the end meanwhile, so that a search that
    is replayed sees what it saw. After `deadline`, of time.monotonic(), the word is "out of time", which is not kept.
    `progress(done_steps, total_steps, latest_epoch)` is called after every step. `stop()` is
    asked after every step; when it is true, a checkpoint is saved and Interrupted raised.
    """
    if not len(train_index):
        raise DeepenoughError(f"no training images for {network.name}; give at least one")
    device = choose_device(recipe.device)
    identity = identify(network, recipe, images, train_index, held_out_index, seed, start)
    before = seen_before(folder, network, identity, watched=watch is not None)
    if before:
        return before
    saved = checkpoint.newest(folder)
    if saved:
        check_identity(folder, saved[1]["identity"], identity)
    keeper = Keeper(folder, identity, checkpoint_seconds, checkpoint_steps, beside=group.size > 1)
    drawn = curves(tensorboard)

    def watched(curve: Sequence[Epoch]) -> str:
        drawn.draw(curve)
        if late(deadline):
            return OUT_OF_TIME
        return watch(curve) if watch else "go on"

    threads = torch.get_num_threads()
    task = Task(
        network=network,
        recipe=recipe,
        train=train_index,
        held_out=held_out_index,
        seed=seed,
        threads=saved[1]["threads"] if saved and group.size == 1 else threads,
        begun=saved is not None,
    )
    office = Office(keeper, saved, start, watched, progress or (lambda *_: None))
    group.order(task)
    try:
        state, ended = perform(task, images, device, group, office, stop or (lambda: False))
        drawn.draw(state.curve)
    finally:
        drawn.close()
        keeper.settle()
    trained = summary(network, state, ended)
    if ended not in (*ENDS, OUT_OF_TIME):
        save_result(folder / PAUSED, trained, identity)
    if ended in ENDS:
        save_result(folder, trained, identity)
        checkpoint.remove(folder)
    return trained


def late(deadline: float | None) -> bool:
    """Whether a deadline, of time.monotonic(), is over."""
    return deadline is not None and time.monotonic() > deadline


def summary(network: Network, state: State, ended: str) -> Trained:
    """What the training came to."""
    if state.judged is None:
        raise ValueError("a training is judged before it is summed up")
    forward = macs(network)
    overhead = forward * (3 * state.range_images + state.evaluated_images)
    return Trained(
        network=network,
        state=state.kept(),
        curve=tuple(state.curve),
        ended=ended,
        probabilities=state.judged,
        lr=state.lr,
        steps=state.step,
        epochs=len(state.curve),
        seconds=state.seconds,
        waited=state.waited,
        macs=3 * forward * state.images + overhead,
        overhead_macs=overhead,
    )


def known(folder: Path) -> bool:
    """Whether a folder holds what a training came to, or where a watch paused it."""
    return (folder / RESULT).is_file() or (folder / PAUSED / RESULT).is_file()


def seen_before(folder: Path, network: Network, identity: str, *, watched: bool) -> Trained | None:
    """What an earlier call left in a folder: with a watch, the pause that it saw; or else the finished result."""
    return (recall(folder / PAUSED, network, identity) if watched else None) or recall(folder, network, identity)


def recall(folder: Path, network: Network, identity: str) -> Trained | None:
    """The finished result in a folder, None where there is none or it is damaged."""
    try:
        facts = read_facts(folder)
        if facts is None:
            return None
        check_identity(folder, facts["identity"], identity)
        return load_result(folder, network)
    except DamagedError as error:
        warnings.warn(f"{error}; training it again", RuntimeWarning, stacklevel=3)
        return None


def check_identity(folder: Path, found: str, identity: str) -> None:
    """A folder belongs to one training."""
    if found != identity:
        raise DeepenoughError(
            f"{folder}: it holds another training (other network, recipe, images, seed or start); "
            "give the settings it was begun with, or another folder"
        )


def identify(
    network: Network,
    recipe: Recipe,
    images: Images,
    train_index: Index,
    held_out_index: Index,
    seed: int,
    start: Mapping[str, torch.Tensor] | None,
) -> str:
    """A digest of all that decides the result."""
    digest = hashlib.sha256()
    words = [repr(network), recipe.to_json(), images.fingerprint, seed, sorted(start) if start else None]
    words += ["in blocks"] if images.in_blocks else []  # which is another order
    digest.update(json.dumps(words, sort_keys=True).encode())
    for index in (train_index, held_out_index):
        digest.update(np.ascontiguousarray(index, np.int64).tobytes() + b"|")
    for _, tensor in sorted((start or {}).items()):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
