"""Train one network on one part of the images, once, whatever interrupts it."""

from __future__ import annotations

import copy
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepenough.data import Images
from deepenough.errors import DeepenoughError
from deepenough.nets import Network, macs
from deepenough.nets.build import build
from deepenough.train import checkpoint
from deepenough.train.checkpoint import Keeper
from deepenough.train.curve import Epoch
from deepenough.train.device import choose_device, place
from deepenough.train.draws import own_draws, own_threads
from deepenough.train.ema import Ema
from deepenough.train.feed import Feed, Index, Loader
from deepenough.train.files import DamagedError
from deepenough.train.loop import Job, NotFiniteError, Progress, Supervisor, Watch, judge, last_good, run
from deepenough.train.objective import Objective, balanced_weights
from deepenough.train.optimizer import make_clip, make_optimizer
from deepenough.train.precision import Precision
from deepenough.train.range_test import range_test
from deepenough.train.recipe import Recipe
from deepenough.train.result import ENDS, Trained, load_result, read_facts, save_result
from deepenough.train.schedule import schedule
from deepenough.train.state import State
from deepenough.train.tensorboard import curves

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
    before = (watch and recall(folder / PAUSED, network, identity)) or recall(folder, network, identity)
    if before:
        return before
    saved = checkpoint.newest(folder)
    facts: dict[str, Any] = saved[1] if saved else {"identity": identity, "threads": torch.get_num_threads()}
    check_identity(folder, facts["identity"], identity)
    with own_draws(device), own_threads(facts["threads"]):
        feed = Feed(Loader(images, device), train_index, recipe.batch, recipe.augment, seed)
        weights = balanced_weights(images.labels[train_index], len(images.classes)).to(device)
        objective = Objective(recipe.label_smoothing, weights if recipe.class_weights else None)
        state = fresh_state(network, recipe, device, seed, start)
        initial = copy.deepcopy(state.tensors()), state.facts()
        keeper = Keeper(folder, identity, checkpoint_seconds, checkpoint_steps)
        if saved:
            state.restore(*saved)
        else:
            set_peak(state, feed, objective, recipe)
            keeper.save(state)
        job = Job(
            feed=feed,
            held_out=held_out_index,
            folder=folder,
            epochs=recipe.epochs,
            patience=recipe.patience,
            schedule=schedule(recipe.schedule, lr=state.lr, steps=recipe.epochs * feed.steps, warmup=recipe.warmup),
            objective=objective,
            clip=make_clip(state.model, recipe.clip),
            freeze_norms=recipe.freeze_norms,
        )
        drawn = curves(tensorboard)

        def watched(curve: Sequence[Epoch]) -> str:
            drawn.draw(curve)
            if deadline is not None and time.monotonic() > deadline:
                return OUT_OF_TIME
            return watch(curve) if watch else "go on"

        supervisor = Supervisor(
            keeper, stop or (lambda: False), progress or (lambda *_: None), recipe.epochs * feed.steps
        )
        try:
            ended = run(state, job, supervisor, watched)
        except NotFiniteError:
            ended = "not finite"
            last_good(state, job, initial)
        finally:
            drawn.draw(state.curve)
            drawn.close()
        if ended not in ENDS:
            keeper.save(state)
        trained = summary(network, state, job, ended)
    if ended not in (*ENDS, OUT_OF_TIME):
        save_result(folder / PAUSED, trained, identity)
    if ended in ENDS:
        save_result(folder, trained, identity)
        checkpoint.remove(folder)
    return trained


def fresh_state(
    network: Network,
    recipe: Recipe,
    device: torch.device,
    seed: int,
    start: Mapping[str, torch.Tensor] | None = None,
) -> State:
    """The state before the first step; device and memory format are applied here."""
    model = build(network, seed)
    if start is not None:
        model.load_state_dict(dict(start))
    model = place(model, device, recipe.memory_format)
    return State(
        model=model,
        ema=Ema(model, recipe.ema),
        optimizer=make_optimizer(model, recipe),
        precision=Precision(recipe.precision, device),
        tally=torch.zeros(3, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device),
    )


def set_peak(state: State, feed: Feed, objective: Objective, recipe: Recipe) -> None:
    """The recipe's learning rate, or the range test's."""
    if recipe.lr is not None:
        state.lr = recipe.lr
        return
    found = range_test(state.model, feed, objective, recipe)
    state.lr = found.lr
    state.seconds += found.seconds
    state.range_images = found.images


def summary(network: Network, state: State, job: Job, ended: str) -> Trained:
    """What the training came to."""
    forward = macs(network)
    overhead = forward * (3 * state.range_images + state.evaluated_images)
    return Trained(
        network=network,
        state=state.kept(),
        curve=tuple(state.curve),
        ended=ended,
        probabilities=judge(state, job) if state.judged is None else state.judged,
        lr=state.lr,
        steps=state.step,
        epochs=len(state.curve),
        seconds=state.seconds,
        macs=3 * forward * state.images + overhead,
        overhead_macs=overhead,
    )


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
    digest.update(json.dumps(words, sort_keys=True).encode())
    for index in (train_index, held_out_index):
        digest.update(np.ascontiguousarray(index, np.int64).tobytes() + b"|")
    for _, tensor in sorted((start or {}).items()):
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
