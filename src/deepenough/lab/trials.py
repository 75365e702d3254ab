"""The trials of an experiment: networks trained from several seeds, kept, and judged on validation images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepenough.data.images import Images
from deepenough.errors import DeepenoughError
from deepenough.lab.record import SeedHits
from deepenough.nets import FAMILIES, BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool, Network, Relu, Stack
from deepenough.nets.build import build
from deepenough.progress import Advance, Reporter
from deepenough.training.callbacks import Callback, Interrupt, ReportProgress
from deepenough.training.device import choose_device, place
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.interrupt import Interrupted
from deepenough.training.recipe import Recipe, default_recipe
from deepenough.training.result import Trained
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

Rows = npt.NDArray[np.int64]


@dataclass
class Trials:
    """Trains and judges networks for an experiment.

    Accuracies are those on the validation images; the test images are never used.

    Args:
        images: that are trained and judged on; few of them in a quick run.
        seeds: of the trainings of each setting.
        quick: use fewer epochs and narrower networks.
        folder: keeps the trainings.
        reporter: is told of the progress.
        stop: says if a stop was asked for.
        devices: that were trained on, filled by `train`.
    """

    images: Images
    seeds: tuple[int, ...]
    quick: bool
    folder: Path
    reporter: Reporter = field(default_factory=Reporter)
    stop: Callable[[], bool] | None = None
    devices: set[str] = field(default_factory=set)

    @property
    def input(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.images.preprocess.shape

    @property
    def classes(self) -> int:
        return len(self.images.classes)

    @property
    def recipe(self) -> Recipe:
        """The default for SGD and this many images, at a fixed learning rate; in a quick run a third of its epochs."""
        epochs = self.full_recipe.epochs
        return replace(self.full_recipe, epochs=max(epochs // 3, 3) if self.quick else epochs)

    @property
    def full_recipe(self) -> Recipe:
        """The same recipe with all its epochs, also in a quick run."""
        recipe = default_recipe(len(self.images.split.train), self.input, self.images.mirror, optimizer="sgd")
        return replace(recipe, lr=0.1, device="cpu" if self.quick else recipe.device)

    def residual(self, blocks: int, width: float | None = None) -> Network:
        """A network of the residual family; its width is by default 1, and 0.25 in a quick run."""
        family, width = FAMILIES["residual"], width or (0.25 if self.quick else 1.0)
        return family.network(self.input, self.classes, depth=family.depth_of(blocks, self.input), width=width)

    def convolutional(self, name: str, width: int, kernels: Sequence[int]) -> Network:
        """A 3x3 convolution and a pool, then convolutions with these kernels, each with a norm and a ReLU."""

        def convolution(kernel: int) -> Stack:
            return Conv(width, kernel, bias=False), BatchNorm(), Relu()

        body = [layer for kernel in kernels for layer in convolution(kernel)]
        head = (GlobalAvgPool(), Dense(self.classes))
        return Network(name, self.input, (*convolution(3), MaxPool(2), *body, *head))

    def check_stop(self) -> None:
        """Raise Interrupted if a stop was asked for. Trainings look for it themselves."""
        if self.stop is not None and self.stop():
            raise Interrupted("stopped")

    def subset(self, count: int, seed: int) -> Rows:
        """Draw `count` training images, balanced over the classes; a larger subset contains the smaller ones."""
        order = np.random.default_rng(seed).permutation(self.images.split.train)
        labels = self.images.labels[order]
        rank = np.empty(len(order), np.int64)
        for label in np.unique(labels):
            rank[labels == label] = np.arange((labels == label).sum())
        return np.sort(order[np.argsort(rank, kind="stable")[:count]])

    def sizes(self, wanted: Sequence[int]) -> list[int]:
        """The wanted numbers of training images, as far as there are so many, and all of them."""
        most = len(self.images.split.train)
        if most <= min(wanted):
            raise DeepenoughError(
                f"this experiment compares {min(wanted):,} training images with more, and there are only {most:,}; "
                "give more images"
            )
        return [*(size for size in wanted if size < most), most]

    def with_equal_steps(self, recipe: Recipe, count: int) -> Recipe:
        """The recipe with as many steps on `count` images as it has on all, so that only the images are fewer."""
        return replace(recipe, epochs=max(round(recipe.epochs * len(self.images.split.train) / count), 1))

    def training_folder(self, network: Network, recipe: Recipe, rows: Rows, seed: int) -> Path:
        """The folder that keeps a training."""
        key = repr((network, recipe.to_json(), rows.tolist(), seed)).encode()
        return self.folder / "trainings" / hashlib.sha256(key).hexdigest()[:16]

    def train(self, network: Network, seed: int, *, recipe: Recipe | None = None, rows: Rows | None = None) -> Trained:
        """Train a network, or read back the same training from its folder.

        Nothing is evaluated after an epoch, which would take a third of the time: the weights at the end count.
        """
        self.check_stop()
        recipe = recipe or self.recipe
        rows = self.images.split.train if rows is None else rows
        self.devices.add(choose_device(recipe.device).type)
        folder = self.training_folder(network, recipe, rows, seed)
        with self.reporter.task(f"{network.name}, seed {seed}") as advance:
            callbacks: list[Callback] = [ReportProgress(lambda done, total, epoch: advance(done, total))]
            if self.stop is not None:
                callbacks.append(Interrupt(self.stop))
            spec = TrainingSpec(network, recipe, rows, np.empty(0, np.int64), seed)
            return train(spec, self.images, folder, callbacks)

    def judge(self, trained: Trained, rows: Rows, device: str = "cpu") -> npt.NDArray[np.float64]:
        """Classify images, not augmented, with the weights at the end: 1 where right, 0 where wrong."""
        self.check_stop()
        model = build(trained.network)
        model.to(next(tensor.dtype for tensor in trained.state.values() if tensor.is_floating_point()))
        model.load_state_dict(dict(trained.state))
        chosen = choose_device(device)
        probabilities = predict_probabilities(place(model, chosen), self.images, rows, self.images.preprocess, chosen)
        hits: npt.NDArray[np.float64] = (probabilities.argmax(axis=1) == self.images.labels[rows]).astype(np.float64)
        return hits

    def hits(
        self, network: Network, *, recipe: Recipe | None = None, count: int | None = None, training: bool = False
    ) -> SeedHits:
        """Train from every seed, on `count` images or all, and judge on the validation or the `training` images."""
        recipe, split, found = recipe or self.recipe, self.images.split, []
        for seed in self.seeds:
            rows = split.train if count is None else self.subset(count, seed)
            trained = self.train(network, seed, recipe=recipe, rows=rows)
            found.append(self.judge(trained, rows if training else split.validation, recipe.device))
        return np.stack(found)


class StoppableReporter(Reporter):
    """Raises Interrupted out of a job that reports its progress, once a stop was asked for."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        with self.trials.reporter.task(label) as advance:

            def checked(done: float, total: float, note: str = "") -> None:
                self.trials.check_stop()
                advance(done, total, note)

            yield checked


def leave_one_seed_out(tried: Sequence[SeedHits], pick: Callable[[npt.NDArray[np.float64]], np.intp]) -> SeedHits:
    """The hits of every seed with the setting that `pick` chooses by the mean accuracies of the other seeds.

    The best of many noisy settings, judged by the seeds that chose it, looks better than it is.
    """
    means, rows = np.stack([hits.mean(axis=1) for hits in tried]), []
    for seed in range(means.shape[1]):
        others = np.delete(means, seed, axis=1) if means.shape[1] > 1 else means
        rows.append(tried[int(pick(others.mean(axis=1)))][seed])
    return np.stack(rows)
