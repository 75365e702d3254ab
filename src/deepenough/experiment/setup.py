"""Everything that is fixed before anything is trained: images and split, recipe, question, search space, trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from deepenough.autotuning.memory_estimate import PROCESS_BYTES, step_bytes
from deepenough.autotuning.tuning import TUNABLE
from deepenough.data.images import Images
from deepenough.data.mirroring import decide_mirroring
from deepenough.data.sixteen_bits import FULL_RANGE
from deepenough.data.sources import Source
from deepenough.distribution.ray_executor import RayCluster
from deepenough.distribution.torchrun import share_of_threads
from deepenough.errors import DeepenoughError
from deepenough.experiment.call import Call
from deepenough.experiment.chosen_recipe import chosen_recipe
from deepenough.experiment.measured_space import MeasuredSpace, measured_space
from deepenough.experiment.options import Options
from deepenough.experiment.recording import recorded_tuning
from deepenough.experiment.time_limit import TimeLimit
from deepenough.probing.images import images_for_weights, read_images, with_levels
from deepenough.probing.pretrained import Pretrained, all_cuts
from deepenough.probing.probe import Probing, probe_networks
from deepenough.progress import Reporter
from deepenough.record import CANDIDATES, Record
from deepenough.record.images import MirroringRecord
from deepenough.record.networks import LatencyRecord, LimitsRecord
from deepenough.runtimes.table import check_runtime
from deepenough.search.architectures import Architecture, search_space
from deepenough.search.candidates import CandidateTrainer
from deepenough.search.cut_search import CutSearch, first_cuts
from deepenough.search.cut_target_search import Beginning, CutTargetSearch, beginning
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.folds import decision_folds
from deepenough.search.question import Measure, Metric, Question
from deepenough.search.reach import AT_LEAST
from deepenough.search.search import Search
from deepenough.search.target_search import TargetSearch
from deepenough.training.device import choose_device
from deepenough.training.executor import LocalExecutor
from deepenough.training.feed import steps_per_epoch
from deepenough.training.freezing import frozen_text
from deepenough.training.interrupt import Interrupted
from deepenough.training.loggers import callback_maker
from deepenough.training.memory import available_memory
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.recipe import Recipe
from deepenough.weights import Weights


@dataclass(frozen=True)
class RunRequest:
    """A run to be done: the question, its images, its folder, and the processes that work on it.

    `before` is the record of a run that goes on; `group` trains each network together, a Ray cluster of the `call`
    candidates side by side.
    """

    asked: Options
    source: Source
    weights: tuple[Weights, ...]
    folder: Path
    reporter: Reporter
    before: Record | None = None
    group: ProcessGroup = ALONE
    call: Call = field(default_factory=Call)

    @property
    def ray(self) -> RayCluster | None:
        return self.call.cluster


@dataclass(frozen=True)
class Experiment:
    """Everything that is fixed before anything is trained."""

    images: Images
    recipe: Recipe
    question: Question
    search_space: tuple[Architecture, ...]
    trainer: CandidateTrainer
    pretrained: Pretrained | None
    mirroring: MirroringRecord | None
    limits: LimitsRecord | None
    latency: LatencyRecord | None
    time_limit: TimeLimit | None

    def search(self, changed: Callable[[Search], None]) -> Search:
        """The search that the question asks for."""
        if self.question.target is None:
            if self.pretrained is None:
                return EnoughSearch(self.question, self.search_space, self.trainer, changed)
            return CutSearch(
                self.question,
                self.search_space,
                self.trainer,
                changed,
                proposed=self.pretrained.proposed,
                best_probe=self.pretrained.most_accurate,
                probes=self.pretrained.probes if self.pretrained.joined else {},
            )
        if self.pretrained is None:
            return TargetSearch(self.question, self.search_space, self.trainer, changed)
        return CutTargetSearch(
            self.question,
            self.search_space,
            self.trainer,
            changed,
            beginning=self._beginning(self.pretrained),
            probes=self.pretrained.probes,
        )

    @property
    def first_trained(self) -> list[Architecture]:
        """The architectures that the search begins with, in their order, whatever the evidence turns out to be."""
        if self.question.target is not None:
            if self.pretrained is None:
                return [self.search_space[0]]
            return [self._beginning(self.pretrained).architecture]
        if self.pretrained is None:
            return list(self.search_space[:AT_LEAST])
        return first_cuts(self.search_space, self.pretrained.most_accurate, self.pretrained.proposed)

    def _beginning(self, pretrained: Pretrained) -> Beginning:
        """The cut that a search for a target begins with."""
        proposed = self.search_space[pretrained.proposed]
        return beginning(self.question, self.search_space, self.trainer, pretrained.probes, proposed)

    def measure_ahead(self) -> None:
        """Measure architectures as far as time and memory go; the search may never come to the others."""
        for architecture in self.search_space:
            if self.trainer.is_late:
                return
            try:
                self.trainer.tuned(architecture)
            except Interrupted:
                raise
            except DeepenoughError:
                return

    def check_shares(self, processes: int) -> None:
        """Raise the error for more processes than a batch has images."""
        counts = [len(fold.train) for fold in self.trainer.folds.folds]
        smallest = min(count // steps_per_epoch(count, self.recipe.batch) for count in counts)
        if processes > smallest:
            raise DeepenoughError(
                f"{processes} processes for batches of {smallest} images: each process needs at least one; start fewer "
                "processes, or give a larger --batch"
            )


def prepare_experiment(request: RunRequest) -> Experiment:
    """Read the images, and fix split, recipe and search space; those of the record `before`, when a run goes on.

    With weights the images are prepared as those want them, and the search space is their networks cut at every depth,
    after probing them. The order of resuming: threads, images and split, recipe; then the search is replayed over the
    same folders, where every finished training is read back and the unfinished one goes on from its checkpoint.
    """
    asked, before = request.asked, request.before
    if asked.latency_runtime and not before:
        check_runtime(asked.latency_runtime)
    if (share := asked.recipe.get("freeze")) and not request.weights:
        raise DeepenoughError(f"--freeze {share:g}: it keeps what pretrained layers know; give --weights, too")
    limit = None if asked.time_limit is None else TimeLimit(asked.time_limit, request.call.began)
    all_threads = _threads(request)
    torch.set_num_threads(all_threads)
    weights, images = _images(request)
    if before:
        mirroring, recipe = before.mirroring, Recipe.from_json(before.recipe)
        images = replace(images, mirror=before.data.mirror)
    else:
        mirroring = _mirroring(request, images)
        images = replace(images, mirror=mirroring.on)
        recipe = chosen_recipe(asked, images, pretrained=bool(weights))
    question = _question(request, weights)
    trainer = CandidateTrainer(
        images=images,
        folds=decision_folds(images, asked.margin, asked.seed, asked.folds),
        recipe=recipe,
        folder=request.folder / CANDIDATES,
        metric=question.metric,
        reporter=request.reporter,
        executor=LocalExecutor(images, request.group),
        tunable=TUNABLE - asked.fixed,
        recorded=recorded_tuning(before) if before else {},
        all_threads=all_threads,
        deadline=limit.of_trainings if limit else None,
        watchers=callback_maker(request.folder, asked.log, request.call.callbacks),
    )
    if weights:
        networks = [(each, images.read_as(each.input)) for each in weights]
        device = choose_device(recipe.device)
        probings = probe_networks(networks, question, device, request.reporter, trainer.folds)
        if recipe.freeze:
            _say_frozen(probings, recipe.freeze, request.reporter)
        space = measured_space(all_cuts(probings), asked, before, request.reporter)
        pretrained = Pretrained.of(probings, space.architectures, question)
        trainer.start, trainer.probing_cost = pretrained.start, pretrained.cost
        architectures = pretrained.architectures
    else:
        pretrained = None
        space = _space_from_scratch(request, images)
        architectures = space.architectures
    _share_threads(request, trainer, pretrained.largest if pretrained else architectures[-1])
    return Experiment(
        images, recipe, question, architectures, trainer, pretrained, mirroring, space.limits, space.latency, limit
    )


def _say_frozen(probings: Sequence[Probing], freeze: float, reporter: Reporter) -> None:
    """Say which layers of each whole network are frozen; of each of its cuts it is the same share, so maybe fewer."""
    for each in probings:
        reporter.say(f"{each.weights.name}, whole network: {frozen_text(each.cuts[-1].network, freeze)}")


def _space_from_scratch(request: RunRequest, images: Images) -> MeasuredSpace:
    """The architectures of the families that were asked for, small to large."""
    asked, minimize = request.asked, Measure(request.asked.minimize)
    architectures = search_space(
        asked.families,
        asked.widths,
        images.preprocess.shape,
        len(images.classes),
        max_depth=asked.max_depth,
        minimize=minimize,
    )
    space = measured_space(architectures, asked, request.before, request.reporter)
    return replace(space, architectures=tuple(sorted(space.architectures, key=lambda each: each.measure(minimize))))


def _question(request: RunRequest, weights: Sequence[Weights]) -> Question:
    asked, before = request.asked, request.before
    return Question(
        target=asked.target,
        margin=asked.margin,
        metric=Metric(asked.metric),
        minimize=Measure(asked.minimize),
        families=tuple(each.network.name for each in weights) or asked.families,
        widths=asked.widths,
        budget=before.question.budget if before else asked.search_budget,  # the default was another one once
        seed=asked.seed,
        distill=asked.distill,
        weights=tuple(each.name for each in weights),
    )


def _share_threads(request: RunRequest, trainer: CandidateTrainer, largest: Architecture) -> None:
    """Decide how many folds are trained side by side on this machine's processor, and with how many threads each.

    As many as there are threads, so that each has one, up to the number of folds. A run that goes on keeps both, which
    decide the last bits.
    """
    threads, folds, before = torch.get_num_threads(), len(trainer.folds.folds), request.before
    aside = request.ray is None and request.group.size == 1 and choose_device(trainer.recipe.device).type == "cpu"
    if before and _was_alone(request):
        trainer.jobs = int(before.environment.get("jobs", "1")) if aside else 1
        torch.set_num_threads(int(before.environment["threads"]))
    elif folds > 1 and aside:
        jobs, free = min(request.asked.jobs or threads, folds), available_memory()
        if free is not None and not request.asked.jobs:
            jobs = min(jobs, free // (PROCESS_BYTES + step_bytes(largest.network, trainer.recipe.batch)))
        trainer.jobs = max(jobs, 1)
        torch.set_num_threads(max(threads // trainer.jobs, 1))


def _was_alone(request: RunRequest) -> bool:
    """True for a process alone that goes on with what a process alone began."""
    before = request.before
    return before is not None and request.group.size == 1 and before.environment.get("processes", "1") == "1"


def _threads(request: RunRequest) -> int:
    """A process alone goes on with the threads that it began with, which decide the last bits. Trainings side by side
    take half of them each, or what falls to a GPU, unless the user says how many: there has to be room for two."""
    if request.before and _was_alone(request):
        known = request.before.environment
        return int(known.get("all_threads", known["threads"]))
    threads = share_of_threads(torch.get_num_threads())
    return request.asked.threads or (max(threads // max(torch.cuda.device_count(), 2), 1) if request.ray else threads)


def _images(request: RunRequest) -> tuple[tuple[Weights, ...], Images]:
    """The images, and the weights that fit them with the way of the images into each, checked against those that a
    resumed run began with."""
    before, weights = request.before, list[Weights]()
    if not request.weights:
        images = read_images(request.source, request.asked, request.asked.size, request.reporter)
        images = _with_levels_before(request, images)
    else:
        (images, *others), weights = _images_for_weights(request)
        for other in others:
            images = images.joined(other, request.source)
    if before is None:
        return tuple(weights), images
    changed = "changed since the run began; restore them, or start a new run"
    if before.data.fingerprint != images.fingerprint:
        raise DeepenoughError(f"{request.folder}: the images of {before.data.source!r} have {changed}")
    for each, probing in zip(weights, before.probings, strict=False):
        if probing.sha256 != each.sha256:
            raise DeepenoughError(f"{request.folder}: the weights {each.name} have {changed}")
    if before.data.in_blocks is not None:  # the order stays what it was, whatever is in the cache by now
        if images.in_blocks and not before.data.in_blocks:
            request.reporter.say("the images are no longer in the cache; reading them in the same order will be slow")
        images = replace(images, in_blocks=before.data.in_blocks)
    return tuple(weights), images


def _images_for_weights(request: RunRequest) -> tuple[list[Images], list[Weights]]:
    """The images as each network wants them, and its weights with the way of these images into it."""
    found, fitted = [], []
    for given in request.weights:
        weights, read = images_for_weights(given, request.source, request.asked, request.reporter)
        again = _with_levels_before(request, read)
        preprocess = replace(read.preprocess, levels=again.preprocess.levels)
        found.append(replace(again, preprocess=preprocess))
        fitted.append(replace(weights, input=preprocess))
    return found, fitted


def _with_levels_before(request: RunRequest, images: Images) -> Images:
    """The images with the levels that a run that goes on began with."""
    if request.before is None:
        return images
    levels = request.before.data.levels or FULL_RANGE
    return with_levels(images, levels, request.source, request.asked, request.reporter)


def _mirroring(request: RunRequest, images: Images) -> MirroringRecord:
    """Decide whether training images are mirrored: by what the user asks for, the names of the classes, or a test."""
    asked = request.asked
    with request.reporter.task("testing mirror images") as advance:
        decision = decide_mirroring(images, asked.seed, strength=asked.augment, switches=asked.switches)
        advance(1, 1)
    return MirroringRecord.of(decision)
