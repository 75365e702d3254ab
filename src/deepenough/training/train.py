"""Train one network on some of the images, once, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from deepenough.data.images import Images
from deepenough.errors import DeepenoughError
from deepenough.nets import macs
from deepenough.training import checkpoint
from deepenough.training.callbacks import Callback, Ending, Patience
from deepenough.training.checkpoint import Checkpoints
from deepenough.training.perform import Assignment, Leader, perform
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.result import PAUSED_FOLDER, Trained, check_fingerprint, recall
from deepenough.training.spec import TrainingSpec
from deepenough.training.state import State


def train(
    spec: TrainingSpec,
    images: Images,
    folder: Path,
    callbacks: Sequence[Callback] = (),
    *,
    group: ProcessGroup = ALONE,
    checkpoint_steps: int = 0,
) -> Trained:
    """Train as `spec` says, and judge the network on the evaluation images after every epoch.

    Everything random is a function of the seed. `folder` is this training's own: finished, it returns what is there;
    with a checkpoint, it goes on from it and ends with the same weights, bit for bit on the CPU.

    A pause that a callback asks for is kept: a later call with a callback that may pause returns it, also when one
    without has trained to the end meanwhile, so that a search that is replayed sees what it saw. That time was over is
    not kept.

    Args:
        spec: The training.
        images: The images that its rows are of.
        folder: Where checkpoints and the result are kept.
        callbacks: What accompanies it, in the order in which it is asked.
        group: The processes that train together; only its leader calls this.
        checkpoint_steps: Save a checkpoint after so many steps, too; 0 for as often as costs little.
    """
    if not len(spec.train):
        raise DeepenoughError(f"no training images for {spec.network.name}; give at least one")
    fingerprint = spec.fingerprint(images)
    before = recall(folder, spec, fingerprint, pauses=any(callback.may_pause for callback in callbacks))
    if before:
        return before
    saved = checkpoint.newest_checkpoint(folder)
    if saved:
        check_fingerprint(folder, saved[1]["identity"], fingerprint)
    checkpoints = Checkpoints(folder, fingerprint, steps=checkpoint_steps, in_background=group.size > 1)
    patience = [Patience(spec.recipe.patience)] if spec.recipe.patience and len(spec.evaluation) else []
    leader = Leader(checkpoints, saved, (*callbacks, *patience))
    threads = saved[1]["threads"] if saved and group.size == 1 else torch.get_num_threads()
    job = Assignment(spec, threads, resumed=saved is not None)
    group.broadcast_task(
        replace(job, spec=replace(spec, initial_weights=None))
    )  # the others get them with the whole state
    try:
        state, ending = perform(job, images, group, leader=leader)
    finally:
        for callback in (checkpoints, *callbacks):
            callback.close()
    trained = summary(spec, state, ending)
    if ending.is_kept:
        trained.save(folder / PAUSED_FOLDER, fingerprint)
    if ending.is_final:
        trained.save(folder, fingerprint)
        checkpoint.remove_checkpoints(folder)
    return trained


def summary(spec: TrainingSpec, state: State, ending: Ending) -> Trained:
    """The result of a training that ended in a state."""
    if state.judged is None:
        raise ValueError("a training is judged before it is summed up")
    overhead = spec.epoch_macs[-1] * state.range_images + macs(spec.network) * state.evaluated_images
    return Trained(
        network=spec.network,
        state=state.kept(),
        curve=tuple(state.curve),
        ended=ending,
        probabilities=state.judged,
        lr=state.lr,
        steps=state.step,
        epochs=len(state.curve),
        seconds=state.seconds,
        waited=state.waited,
        macs=spec.macs(state.images) + overhead,
        overhead_macs=overhead,
    )
