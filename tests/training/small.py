"""A small image set that needs no other room's code, and the network that most tests train."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.data.images import Images
from deepenough.data.split import Split
from deepenough.nets import BatchNorm, Conv, Dense, Dropout, GlobalAvgPool, Network, Relu
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.training.callbacks import Action, Callback, Deadline, Ending, Interrupt, Moment, ReportProgress
from deepenough.training.curve import Epoch
from deepenough.training.recipe import Recipe
from deepenough.training.result import Trained
from deepenough.training.spec import Teacher, TrainingSpec
from deepenough.training.tensorboard import TensorBoard
from deepenough.training.train import train as train_spec


def make_images(count: int = 96, size: int = 8, classes: int = 4, seed: int = 0) -> Images:
    """Noise with a bright bar, whose place is the class."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = draw.integers(0, 120, (count, size, size, 1))
    for number, label in enumerate(labels):
        pixels[number, :, label * 2 : label * 2 + 2] += 100
    rows = np.arange(count)
    return Images(
        pixels=pixels.astype(np.uint8),
        labels=labels.astype(np.int64),
        names=tuple(map(str, rows)),
        groups=rows,
        classes=tuple("abcdefgh"[:classes]),
        preprocess=Preprocessing((size, size), mean=(0.33,), std=(0.2,)),
        split=Split(rows, rows[:0], rows[:0]),
        fingerprint=f"bars-{count}-{size}-{classes}-{seed}",
        findings=(),
        mirror=False,
        source="bars",
    )


def make_network(classes: int = 4, size: int = 8, dropout: float = 0.2) -> Network:
    stack = (
        Conv(8, bias=False), BatchNorm(), Relu(),
        Conv(8, stride=2, bias=False), BatchNorm(), Relu(),
        GlobalAvgPool(), Dropout(dropout), Dense(classes),
    )  # fmt: skip
    return Network("small", (1, size, size), stack)


def make_teacher(train: Any, classes: int = 4, size: int = 8) -> Teacher:
    """A network that was not trained, whose logits differ from image to image."""
    network = make_network(classes, size, dropout=0.0)
    return Teacher(network, dict(build(network, 9).state_dict()), train)


class Watch(Callback):
    """A callback that decides by the curve before every epoch: "pruned", "paused" or "go on"."""

    may_pause = True

    def __init__(self, watch: Callable[[Sequence[Epoch]], str]) -> None:
        self.watch = watch

    def on_epoch_begin(self, moment: Moment) -> Action:
        word = self.watch(moment.curve)
        return Action.GO_ON if word == "go on" else Action(Ending(word))


def train(
    network: Network,
    recipe: Recipe,
    images: Any,
    rows: Any,
    held_out: Any,
    folder: Path,
    *,
    seed: int,
    start: Any = None,
    teacher: Teacher | None = None,
    watch: Any = None,
    deadline: float | None = None,
    progress: Any = None,
    stop: Any = None,
    tensorboard: Path | None = None,
    **more: Any,
) -> Trained:
    """`training.train` with a spec and callbacks of what is given."""
    spec = TrainingSpec(network, recipe, rows, held_out, seed, start, teacher)
    given = [
        (Deadline, deadline), (Watch, watch), (Interrupt, stop), (ReportProgress, progress), (TensorBoard, tensorboard)
    ]  # fmt: skip
    return train_spec(spec, images, folder, [make(what) for make, what in given if what is not None], **more)


class Killed(BaseException):
    """Stands in for a kill where a new process would only cost time."""


def kill_at(step: int) -> Callable[..., None]:
    """The progress of a training that is killed after so many steps."""

    def progress(done: int, total: int, epoch: object) -> None:
        if done == step:
            raise Killed

    return progress
