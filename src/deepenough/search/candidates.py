"""Train candidates: one folder each, every fold in turn, finished work never done twice."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.step_timing import StepTrial, TimingTask, time_steps
from deepenough.autotuning.tuning import TUNABLE, TuningResult, tune, tune_threads
from deepenough.data.images import Images
from deepenough.files import write_checked_json
from deepenough.nets.grow import grow
from deepenough.progress import Reporter
from deepenough.record import fold_folder
from deepenough.search.architectures import Architecture
from deepenough.search.cost_model import CostModel
from deepenough.search.early_stopping import Curve
from deepenough.search.folds import Fold
from deepenough.search.folds_progress import FoldsProgress
from deepenough.search.kept_tuning import kept_threads, kept_tuning
from deepenough.search.question import Metric, Role
from deepenough.search.statistics import HitShares, Strata, accuracy_bounds
from deepenough.training.callbacks import Callback, Deadline, Ending, Interrupt, ReportProgress
from deepenough.training.checkpoint import batch_limit, save_batch_limit
from deepenough.training.curve import Epoch
from deepenough.training.device import choose_device
from deepenough.training.evaluate import accuracy_on
from deepenough.training.executor import Executor, Job
from deepenough.training.loggers import CallbackMaker, no_callbacks
from deepenough.training.recipe import Recipe
from deepenough.training.result import Trained, is_known
from deepenough.training.rng import using_threads
from deepenough.training.spec import TrainingSpec

InitialWeights = Callable[[Architecture, npt.NDArray[np.int64], Path], Mapping[str, torch.Tensor]]
Report = Callable[[int, int, Epoch | None], None]
TRAIN_SAMPLE = 4_000
GROWN_RATE = 1 / 5  # of the parent's peak rate: the full one undoes what the parent has learnt (benchmarks/RESULTS.md)
CONFIGURATION = ".way.json"  # after an architecture's name: how its steps are computed


@dataclass(frozen=True)
class Candidate:
    """One network tried for the task, from one seed, with its predictions for the decision images.

    `state` is `Ending.FINISHED`, also where patience ended it, or how its latest training ended. `seen` marks the
    decision images that it has predictions for.
    """

    architecture: Architecture
    role: Role
    seed: int
    state: Ending
    trainings: tuple[Trained, ...]
    seen: npt.NDArray[np.bool_]
    probabilities: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    metric: Metric
    start: str | None = None
    why: str = ""
    train_top1: float | None = None  # on (a sample of) the first fold's training images, as they are
    teacher: Candidate | None = None

    @property
    def name(self) -> str:
        """The architecture's name, with the seed or the start where it is not its first training."""
        suffix = {Role.SECOND_SEED: f"-seed{self.seed}", Role.SCOUT: "-scout"}.get(self.role, "")
        return self.architecture.name + suffix

    @property
    def finished(self) -> bool:
        return self.state is Ending.FINISHED

    @property
    def hits(self) -> HitShares:
        """For every decision image 1 where the prediction is right, else 0."""
        right: npt.NDArray[np.bool_] = self.probabilities.argmax(axis=1) == self.labels
        return right.astype(np.float64)

    @property
    def accuracy(self) -> float:
        """On the decision images seen so far, by the question's metric."""
        return self.accuracy_on(self.seen) if self.seen.any() else 0.0

    @property
    def strata(self) -> Strata:
        """Of the decision images seen so far."""
        return Strata.of(self.labels[self.seen], self.metric)

    @property
    def bounds(self) -> tuple[float, float]:
        """One-sided 95% lower and upper bounds of the accuracy."""
        return accuracy_bounds(self.hits[self.seen], self.strata) if self.seen.any() else (0.0, 1.0)

    @property
    def lower(self) -> float:
        """One-sided 95% lower bound of the accuracy."""
        return self.bounds[0]

    def only(self, images: npt.NDArray[np.bool_]) -> Candidate:
        """The same candidate as far as some of the decision images go."""
        return replace(
            self, seen=self.seen[images], probabilities=self.probabilities[images], labels=self.labels[images]
        )

    def accuracy_on(self, images: npt.NDArray[np.bool_]) -> float:
        """On some of the decision images, all of them seen."""
        return Strata.of(self.labels[images], self.metric).accuracy(self.hits[images])

    @property
    def cost(self) -> int:
        """Multiply-accumulates spent on it."""
        return sum(training.macs for training in self.trainings)

    @property
    def seconds(self) -> float:
        return sum(training.seconds for training in self.trainings)

    @property
    def curves(self) -> list[Curve]:
        return [training.curve for training in self.trainings]


@dataclass(frozen=True)
class Attempt:
    """The training of one architecture: its seed, its reason, and its start.

    `epochs` are those of the recipe where it is None. It starts grown from the weights of a shallower `parent`, where
    there is one. An architecture with a teacher learns from the candidate `teacher`, a finished one.
    """

    architecture: Architecture
    seed: int
    role: Role = Role.SEARCH_SPACE
    epochs: int | None = None
    parent: Candidate | None = None
    teacher: Candidate | None = None

    def __post_init__(self) -> None:
        if (self.teacher and self.teacher.architecture) != self.architecture.teacher:
            raise ValueError(f"{self.architecture.name} learns from another candidate than the given one")


@dataclass(kw_only=True)
class CandidateTrainer(CostModel):
    """Trains candidates for one question on one set of images."""

    images: Images
    folder: Path
    metric: Metric
    reporter: Reporter
    executor: Executor
    watchers: CallbackMaker = no_callbacks
    stop: Callable[[], bool] = lambda: False
    start: InitialWeights | None = None  # of pretrained candidates
    probing_cost: int = 0  # multiply-accumulates of the probing before the search
    all_threads: int = field(default_factory=torch.get_num_threads)  # which folds side by side share
    tunable: frozenset[str] = TUNABLE  # what of a step's computation is left open
    recorded: Mapping[str, TuningResult] = field(default_factory=dict)  # of a run that goes on, by architecture
    _tuned: dict[str, TuningResult] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.decision = self.folds.images
        self.labels = self.images.labels[self.decision]
        self.strata = Strata.of(self.labels, self.metric)

    def configuration(self, architecture: Architecture) -> StepConfiguration:
        """The configuration in which a step of an architecture is computed, and its speed."""
        return self.tuned(architecture).chosen

    def tuned(self, architecture: Architecture) -> TuningResult:
        """The configurations tried for an architecture and the one chosen; once chosen for a run, it stays. A teacher
        changes nothing about it."""
        architecture = architecture.undistilled
        if architecture.name not in self._tuned:
            path = self.folder / f"{architecture.name}{CONFIGURATION}"
            found = kept_tuning(path, architecture.name, self.recorded.get(architecture.name))
            if found is None:
                found = self._tune(architecture)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_checked_json(path, found.to_json())
            self._tuned[architecture.name] = found
        return self._tuned[architecture.name]

    def _tune(self, architecture: Architecture) -> TuningResult:
        group, recipe, folder = self.executor.group, self.recipe, self.folder / architecture.name
        if limit := batch_limit(folder):  # with more images at once, a process of the group ran out of memory
            recipe = replace(recipe, micro_batch=limit)
        alone = self._trial(architecture, recipe, self.folds.folds[0])
        found = tune(
            alone,
            self.steps_images(architecture) / group.size,
            tunable=self.tunable - ({"compiled"} if group.size > 1 else set()),  # it was never seen to pay there
            least=group.min_images,
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # Ray's workers may train on the same device
        if group.size == 1:
            self.reporter.say(f"{architecture.name}: {found}")
            return found
        group.broadcast_task(TimingTask(alone.spec, found.chosen))
        trial = StepTrial(alone.spec, self.images, group, partial(save_batch_limit, folder))
        together = replace(found, chosen=time_steps(trial, found.chosen))
        times = found.chosen.seconds / together.chosen.seconds
        self.reporter.say(
            f"{architecture.name}: {together}; {group.size} processes are {times:.2f} times as fast as one"
        )
        return together

    def _trial(self, architecture: Architecture, recipe: Recipe, fold: Fold) -> StepTrial:
        spec = TrainingSpec(
            architecture.network, recipe, fold.train, fold.held_out, seed=0, preprocess=architecture.preprocess
        )
        return StepTrial(spec, self.images, stop=self.stop)

    def train_candidate(
        self,
        attempt: Attempt,
        *,
        early_stopping: Callback | None = None,
        give_up: Callable[[Candidate], str] | None = None,
    ) -> Candidate:
        """Train an architecture on every fold.

        `early_stopping` may prune or pause a training; `give_up` is asked of the candidate so far between folds,
        and gives the reason to leave it at these, or nothing.
        """
        seen = np.zeros(len(self.decision), bool)
        probabilities = np.zeros((len(self.decision), len(self.images.classes)), np.float32)
        candidate = Candidate(
            attempt.architecture, attempt.role, attempt.seed, Ending.FINISHED, (), seen, probabilities, self.labels,
            self.metric, attempt.parent.name if attempt.parent else attempt.architecture.weights,
            teacher=attempt.teacher,
        )  # fmt: skip
        folds = self.folds.folds
        with self.reporter.task(candidate.name) as advance:
            progress = FoldsProgress(advance, len(folds))
            results = self._train_folds(attempt, candidate.name, progress, early_stopping)
            with closing(results):
                for number, (fold, trained) in enumerate(zip(folds, results, strict=True)):
                    where = np.searchsorted(self.decision, fold.held_out)
                    seen[where] = True
                    probabilities[where] = trained.probabilities
                    state = Ending.FINISHED if trained.ended is Ending.EARLY else trained.ended
                    candidate = replace(candidate, state=state, trainings=(*candidate.trainings, trained))
                    progress.finish(number, candidate.accuracy)
                    if candidate.finished and number + 1 < len(folds) and give_up and (why := give_up(candidate)):
                        candidate = replace(candidate, state=Ending.PRUNED, why=why)
                    if not candidate.finished:
                        return replace(candidate, why=candidate.why or WHY[candidate.state])
        return replace(candidate, train_top1=self._train_top1(attempt.architecture, candidate.trainings[0], folds[0]))

    def _train_folds(
        self, attempt: Attempt, name: str, progress: FoldsProgress, early_stopping: Callback | None
    ) -> Generator[Trained]:
        """Train an architecture on every fold, from scratch, from pretrained weights, or grown from its parent."""
        seconds = self.seconds(attempt.architecture, attempt.epochs)
        jobs = (
            self._job(attempt, name, number, partial(progress.report, number), early_stopping)
            for number in range(len(self.folds.folds))
        )
        return self.executor.run_all(jobs, seconds=seconds)

    def _job(
        self, attempt: Attempt, name: str, number: int, report: Report, early_stopping: Callback | None = None
    ) -> Job:
        """The training of an architecture on a fold, with what accompanies it."""
        folder = fold_folder(self.folder / name, number)
        callbacks = self._callbacks(report)
        callbacks += [*([early_stopping] if early_stopping else []), *self.watchers(f"{name}/{folder.name}")]
        threads = self.configuration(attempt.architecture).threads
        return Job(self._fold_spec(attempt, number, folder), folder, callbacks, threads)

    def train_first_folds(self, architectures: Sequence[Architecture], seed: int) -> None:
        """Train several architectures on the first fold side by side, where folds are: `train_candidate` then has that
        one done, and no other fold was begun for nothing where it is given up after the first."""
        if self.jobs == 1:
            return
        attempts = [Attempt(architecture, seed) for architecture in architectures]
        seconds = sum(map(self.seconds, architectures)) / len(self.folds.folds)
        with self.reporter.task(f"{len(attempts)} networks on the first fold") as advance:
            progress = FoldsProgress(advance, len(attempts))
            jobs = (
                self._job(attempt, attempt.architecture.name, 0, partial(progress.report, number))
                for number, attempt in enumerate(attempts)
            )
            for _ in self.executor.run_all(jobs, seconds=seconds):
                pass

    def _fold_spec(self, attempt: Attempt, number: int, folder: Path) -> TrainingSpec:
        architecture, parent = attempt.architecture, attempt.parent
        epochs = attempt.epochs or self.recipe.epochs
        recipe = self.configuration(architecture).apply(replace(self.recipe, epochs=epochs))
        fold = self.folds.folds[number]
        spec = self._spec(architecture, recipe, fold, attempt.seed, folder)
        if attempt.teacher is not None:  # trained on the same fold: it has seen none of the images that judge
            spec = replace(spec, teacher=attempt.teacher.trainings[number].as_teacher(fold.train))
        if parent is None:
            return spec
        state, network = parent.trainings[number].state, parent.architecture.network
        initial = grow(state, network, architecture.network, attempt.seed)
        # The parent has learnt from images of full size already.
        gentle = replace(recipe, lr=GROWN_RATE * parent.trainings[number].lr, initial_scale=1.0)
        return replace(spec, initial_weights=initial, recipe=gentle)

    def expect(self, architectures: Sequence[Architecture], seed: int) -> None:
        """Say which architectures may be wanted next, so that an executor with room can begin them."""
        self.executor.expect({each.network: self._untrained(each, seed) for each in architectures})

    def _untrained(self, architecture: Architecture, seed: int) -> Iterator[TrainingSpec]:
        """The trainings of an architecture that nothing is known of yet."""
        for number, fold in enumerate(self.folds.folds):
            folder = fold_folder(self.folder / architecture.name, number)
            if not is_known(folder):
                recipe = self.configuration(architecture).apply(self.recipe)
                yield self._spec(architecture, recipe, fold, seed, folder)

    def _spec(self, architecture: Architecture, recipe: Recipe, fold: Fold, seed: int, folder: Path) -> TrainingSpec:
        """The training of an architecture on a fold, from pretrained weights where there are some."""
        start = self.start(architecture, fold.train, folder) if self.start else None
        return TrainingSpec(
            architecture.network, recipe, fold.train, fold.held_out, seed, start, preprocess=architecture.preprocess
        )

    def _callbacks(self, report: Report) -> list[Callback]:
        """The callbacks of every training."""
        deadline = [] if self.deadline is None else [Deadline(self.deadline)]
        return [*deadline, Interrupt(self.stop), ReportProgress(report)]

    def _train_top1(self, architecture: Architecture, trained: Trained, fold: Fold) -> float:
        """Accuracy on training images, not augmented: what the gap to the held-out ones is measured from."""
        sample = np.sort(np.random.default_rng(0).permutation(fold.train)[:TRAIN_SAMPLE])
        images, device = self.images.read_as(architecture.preprocess), choose_device(self.recipe.device)
        memory_format = self.configuration(architecture).memory_format
        with using_threads(self.all_threads):
            return accuracy_on(images, sample, architecture.network, trained.state, device, memory_format)

    def retrain(self, candidate: Candidate, seed: int) -> tuple[Trained, ...]:
        """Train the chosen network on all images but test, as folds leave no single network behind. It is the last of
        the trainings; a teacher, which has to be trained so as well, comes before."""
        before = self.retrain(candidate.teacher, seed) if candidate.teacher else ()
        # Nothing is held out that patience could look at: as many epochs as it gave the folds.
        epochs = round(float(np.median([training.epochs for training in candidate.trainings])))
        architecture, (fold,) = candidate.architecture, self.folds.merged.folds
        configuration = self.configuration_alone(architecture)
        recipe = configuration.apply(replace(self.recipe, epochs=epochs, patience=0))
        folder = self.folder / f"{architecture.name}-final"
        spec = self._spec(architecture, recipe, fold, seed, folder)
        spec = replace(spec, teacher=before[-1].as_teacher(fold.train)) if before else spec
        with self.reporter.task(f"{architecture.name} on all images but test") as advance:
            report = partial(FoldsProgress(advance, 1).report, 0)
            callbacks = [each for each in self._callbacks(report) if not isinstance(each, Deadline)]
            callbacks += self.watchers(folder.name)
            return *before, self.executor.run(spec, folder, callbacks, threads=configuration.threads)

    def configuration_alone(self, architecture: Architecture) -> StepConfiguration:
        """The configuration of a step of a training that has the processor to itself: with more threads than a fold
        has, all or half of them, where a few steps show those to be faster. Once chosen for a run, they stay."""
        shared, own = self.configuration(architecture), torch.get_num_threads()
        if self.jobs == 1 or self.all_threads <= own:
            return shared
        path = self.folder / f"{architecture.undistilled.name}-final{CONFIGURATION}"
        found = kept_threads(path, shared)
        if found is None:
            trial = self._trial(architecture, self.recipe, self.folds.merged.folds[0])
            counts = [own, *(each for each in (self.all_threads, self.all_threads // 2) if each > own)]
            found = tune_threads(trial, shared, counts, self.retraining_images(architecture))
            write_checked_json(path, found.to_json())
            self.reporter.say(f"{architecture.name} alone: {found}, {1 / found.seconds:,.0f} images/s")
        return found


WHY = {
    Ending.PRUNED: "ended early: it could no longer become good enough to matter",
    Ending.PAUSED: "paused: already shown to meet the target, the search closed in below it",
    Ending.OUT_OF_TIME: "ended by the time limit",
    Ending.NOT_FINITE: "its loss was no longer finite",
}


def finished(candidates: Sequence[Candidate]) -> list[Candidate]:
    return [candidate for candidate in candidates if candidate.finished]
