"""The bench that experiments work at: images, seeds, a recipe, and trainings that are kept."""

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
from deepenough.lab.record import Hits
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.progress import Advance, Reporter
from deepenough.training.callbacks import Callback, Interrupt, ReportProgress
from deepenough.training.device import choose_device, place
from deepenough.training.evaluate import evaluate
from deepenough.training.interrupt import Interrupted
from deepenough.training.recipe import Recipe, default_recipe
from deepenough.training.result import Trained
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

Index = npt.NDArray[np.int64]


@dataclass
class Bench:
    """What an experiment is given.

    The images are few in a quick run. Values are judged on the validation images; test images are left alone.
    """

    images: Images
    seeds: tuple[int, ...]
    quick: bool
    folder: Path
    reporter: Reporter = field(default_factory=Reporter)
    stop: Callable[[], bool] | None = None
    devices: set[str] = field(default_factory=set)  # that were trained on

    @property
    def input(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        return self.images.preprocess.shape

    @property
    def classes(self) -> int:
        return len(self.images.classes)

    @property
    def recipe(self) -> Recipe:
        """That of `fit` for this many images, shortened in a quick run; a fixed rate, so that one thing changes."""
        epochs = self.whole_recipe.epochs
        return replace(self.whole_recipe, epochs=max(epochs // 3, 3) if self.quick else epochs)

    @property
    def whole_recipe(self) -> Recipe:
        """The same with all its epochs, also in a quick run."""
        whole = default_recipe(len(self.images.split.train), self.input, self.images.mirror)
        return replace(whole, lr=0.1, device="cpu" if self.quick else whole.device)

    def check(self) -> None:
        """Raise Interrupted if a stop was asked; for work between trainings, which look themselves."""
        if self.stop is not None and self.stop():
            raise Interrupted("stopped")

    def some(self, count: int, seed: int) -> Index:
        """So many training images, the same share of every class, and always the first of the larger ones' images."""
        order = np.random.default_rng(seed).permutation(self.images.split.train)
        labels = self.images.labels[order]
        rank = np.empty(len(order), np.int64)
        for label in np.unique(labels):
            rank[labels == label] = np.arange((labels == label).sum())
        return np.sort(order[np.argsort(rank, kind="stable")[:count]])

    def sizes(self, wanted: Sequence[int]) -> list[int]:
        """Those of the wanted numbers of training images that there are, and all."""
        most = len(self.images.split.train)
        if most <= min(wanted):
            raise DeepenoughError(
                f"this compares {min(wanted):,} training images with more, and there are {most:,} in all: give more"
            )
        return [*(size for size in wanted if size < most), most]

    def as_long(self, recipe: Recipe, count: int) -> Recipe:
        """The recipe with as many steps on `count` images as it has on all: what is missing then is images."""
        return replace(recipe, epochs=max(round(recipe.epochs * len(self.images.split.train) / count), 1))

    def place(self, network: Network, recipe: Recipe, rows: Index, seed: int) -> Path:
        """The folder in which a training is kept."""
        words = repr((network, recipe.to_json(), rows.tolist(), seed)).encode()
        return self.folder / "trainings" / hashlib.sha256(words).hexdigest()[:16]

    def train(self, network: Network, seed: int, *, recipe: Recipe | None = None, rows: Index | None = None) -> Trained:
        """Train a network; a training that was done before is read back.

        Nothing is held out: the weights at the end count, and looking at them after every epoch takes a third of the
        time.
        """
        self.check()
        recipe = recipe or self.recipe
        rows = self.images.split.train if rows is None else rows
        self.devices.add(choose_device(recipe.device).type)
        folder = self.place(network, recipe, rows, seed)
        with self.reporter.task(f"{network.name}, seed {seed}") as advance:
            callbacks: list[Callback] = [ReportProgress(lambda done, total, epoch: advance(done, total))]
            if self.stop is not None:
                callbacks.append(Interrupt(self.stop))
            spec = TrainingSpec(network, recipe, rows, np.empty(0, np.int64), seed)
            return train(spec, self.images, folder, callbacks)

    def judge(self, trained: Trained, rows: Index, device: str = "cpu") -> npt.NDArray[np.float64]:
        """For each of these images, as they are, whether the weights at the end are right about it: 1 or 0."""
        self.check()
        model = build(trained.network)
        model.to(next(tensor.dtype for tensor in trained.state.values() if tensor.is_floating_point()))
        model.load_state_dict(dict(trained.state))
        where = choose_device(device)
        found = evaluate(place(model, where), self.images, rows, self.images.preprocess, where)
        hits: npt.NDArray[np.float64] = (found.argmax(axis=1) == self.images.labels[rows]).astype(np.float64)
        return hits

    def hits(
        self, network: Network, *, recipe: Recipe | None = None, count: int | None = None, training: bool = False
    ) -> Hits:
        """Train from every seed, on `count` images or all, and judge on the validation images, or those of training."""
        recipe, split, found = recipe or self.recipe, self.images.split, []
        for seed in self.seeds:
            rows = split.train if count is None else self.some(count, seed)
            trained = self.train(network, seed, recipe=recipe, rows=rows)
            found.append(self.judge(trained, rows if training else split.validation, recipe.device))
        return np.stack(found)


class Watchful(Reporter):
    """Looks for a stop wherever a job tells how far it is."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        with self.bench.reporter.task(label) as advance:

            def checked(done: float, total: float, note: str = "") -> None:
                self.bench.check()
                advance(done, total, note)

            yield checked


def left_out(tried: Sequence[Hits], pick: Callable[[npt.NDArray[np.float64]], np.intp]) -> Hits:
    """For each seed what it says of the setting that `pick` takes by the other seeds.

    The best of many noisy settings, judged by what chose it, looks better than it is, and the worst looks worse.
    """
    means, rows = np.stack([hits.mean(axis=1) for hits in tried]), []
    for seed in range(means.shape[1]):
        others = np.delete(means, seed, axis=1) if means.shape[1] > 1 else means
        rows.append(tried[int(pick(others.mean(axis=1)))][seed])
    return np.stack(rows)
