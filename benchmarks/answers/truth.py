"""The whole search space of a set, trained by fit's own recipe: what the search's answer is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sets import ImageSet, SpaceOptions

from deepenough.experiment.setup import Experiment
from deepenough.nets.build import build
from deepenough.progress import Reporter
from deepenough.record import fold_folder
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Attempt, Candidate
from deepenough.training.device import choose_device, place
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.result import RESULT_FILE


class Lines(Reporter):
    """Prints what a training or a search has to say."""

    def say(self, text: str) -> None:
        print(" ", text, flush=True)


@dataclass(frozen=True)
class Rung:
    """One architecture of the search space trained on every fold.

    `test_hits` bool (folds, test images): each fold's network on each test image.
    """

    candidate: Candidate
    test_hits: npt.NDArray[np.bool_]

    @property
    def architecture(self) -> Architecture:
        return self.candidate.architecture

    @property
    def test_accuracy(self) -> float:
        """Mean over the networks of the folds."""
        return float(self.test_hits.mean())


@dataclass(frozen=True)
class Case:
    """One set from one seed, with its trainings in `folder`."""

    images: ImageSet
    seed: int
    folder: Path
    experiment: Experiment

    @classmethod
    def open(cls, images: ImageSet, seed: int, cache: Path, space: SpaceOptions) -> Case:
        folder = cache / images.name / f"seed{seed}"
        return cls(images, seed, folder, images.experiment(seed, folder, Lines(), space))

    @property
    def name(self) -> str:
        return f"{self.images.name}, seed {self.seed}"

    @property
    def missing(self) -> dict[Architecture, int]:
        """The architectures that are not trained on every fold, with the number of folds they lack."""
        lacking = {each: self._folds_missing(each) for each in self.experiment.search_space}
        return {each: folds for each, folds in lacking.items() if folds}

    def _folds_missing(self, architecture: Architecture) -> int:
        trainer = self.experiment.trainer
        folders = [fold_folder(trainer.folder / architecture.name, n) for n in range(len(trainer.folds.folds))]
        return sum(not (folder / RESULT_FILE).is_file() for folder in folders)

    def train(self, architecture: Architecture) -> Rung:
        """Train an architecture on every fold and look at the test images, or read back what an earlier call left."""
        candidate = self.experiment.trainer.train_candidate(Attempt(architecture, self.seed))
        return Rung(candidate, self.test_hits(candidate))

    def test_hits(self, candidate: Candidate) -> npt.NDArray[np.bool_]:
        """For each fold's network and each test image whether the prediction is right; kept beside the trainings."""
        kept = self.folder / "test" / f"{candidate.name}.npy"
        if kept.is_file():
            found: npt.NDArray[np.bool_] = np.load(kept)
            if len(found) == len(candidate.trainings):
                return found
        images, device = self.experiment.images, choose_device(self.experiment.recipe.device)
        index = images.split.test
        found = np.empty((len(candidate.trainings), len(index)), bool)
        for number, trained in enumerate(candidate.trainings):
            model = build(candidate.architecture.network)
            model.load_state_dict(trained.state)
            model = place(model, device, self.experiment.recipe.memory_format)
            probabilities = predict_probabilities(model, images, index, images.preprocess, device)
            found[number] = probabilities.argmax(axis=1) == images.labels[index]
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, found)
        return found


@dataclass(frozen=True)
class Truth:
    """The mean accuracies of one set's architectures over its seeds, from shallow to deep, and what follows."""

    depths: tuple[int, ...]
    decision: tuple[float, ...]
    test: tuple[float, ...]
    both: tuple[float, ...]
    """Over decision and test images together, each image counted once: the sharpest there is."""
    margin: float

    @classmethod
    def of(cls, ladders: Sequence[Sequence[Rung]], margin: float) -> Truth:
        """The means over `ladders`, one a seed."""
        rungs = list(zip(*ladders, strict=True))
        decision = tuple(float(np.mean([rung.candidate.accuracy for rung in seeds])) for seeds in rungs)
        test = tuple(float(np.mean([rung.test_accuracy for rung in seeds])) for seeds in rungs)
        first = ladders[0][0]
        counts = len(first.candidate.seen), first.test_hits.shape[1]
        both = tuple(float(np.average(pair, weights=counts)) for pair in zip(decision, test, strict=True))
        return cls(tuple(seeds[0].architecture.depth for seeds in rungs), decision, test, both, margin)

    @property
    def depth(self) -> int:
        """The shallowest that is not under the best by more than the margin, over all images that judge."""
        return self.shallowest(self.both)

    def shallowest(self, accuracies: Sequence[float]) -> int:
        enough = max(accuracies) - self.margin
        return next(depth for depth, accuracy in zip(self.depths, accuracies, strict=True) if accuracy >= enough)

    def off(self, depth: int) -> int:
        """How many steps of the search space a depth is from the true one; one between two steps counts as the farther
        of them."""
        true = self.depths.index(self.depth)
        if depth >= self.depth:
            return sum(each < depth for each in self.depths[true:])
        return sum(each > depth for each in self.depths[: true + 1])
