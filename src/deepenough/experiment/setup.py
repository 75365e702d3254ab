"""What is fixed before anything is trained: images and split, recipe, question, search space, trainer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from deepenough import record as r
from deepenough.autotuning.measure import FREE
from deepenough.data import Images, Source, prepare
from deepenough.distribution.torchrun import share_of_threads
from deepenough.errors import DeepenoughError
from deepenough.experiment.options import RECIPE, Options
from deepenough.probing.pretrained import Pretrained
from deepenough.probing.probe import ready, sound
from deepenough.progress import Reporter
from deepenough.search.architectures import Architecture, search_space
from deepenough.search.candidates import CandidateTrainer
from deepenough.search.cut_search import CutSearch
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.folds import decision_folds
from deepenough.search.rules import Question
from deepenough.search.search import Search
from deepenough.search.target_search import TargetSearch
from deepenough.training import ALONE, Group, Interrupted, Recipe, choose_device, default_recipe, finetune_recipe
from deepenough.training.feed import steps_per_epoch
from deepenough.training.train import late
from deepenough.weights import Weights

CANDIDATES = "candidates"


@dataclass(frozen=True)
class Setting:
    """Everything that is fixed before anything is trained."""

    images: Images
    recipe: Recipe
    question: Question
    search_space: tuple[Architecture, ...]
    trainer: CandidateTrainer
    pretrained: Pretrained | None

    def search(self, changed: Callable[[Search], None]) -> Search:
        """The search that the question asks for."""
        if self.question.target is None:
            if self.pretrained is None:
                return EnoughSearch(self.question, self.search_space, self.trainer, changed)
            return CutSearch(self.question, self.search_space, self.trainer, changed, self.pretrained.sounding.proposed)
        first = 0 if self.pretrained is None else max(self.pretrained.sounding.proposed - 1, 0)
        return TargetSearch(self.question, self.search_space[first:], self.trainer, changed)


def set_up(
    asked: Options,
    source: Source,
    weights: Weights | None,
    folder: Path,
    reporter: Reporter,
    before: r.Record | None = None,
    group: Group = ALONE,
    side_by_side: bool = False,
) -> Setting:
    """Read the images, and fix split, recipe and search space; those of the record `before`, when a run goes on.

    With `weights` the images are prepared as those want them, and the search space is their network cut at every depth,
    after a sounding. The order of resuming: threads, images and split, recipe; then the search is replayed over the
    same folders, where every finished training is read back and the unfinished one goes on from its checkpoint.
    """
    deadline = None if asked.time_limit is None else time.monotonic() + asked.time_limit
    torch.set_num_threads(_threads(asked, before, group, side_by_side))
    if weights is None:
        with reporter.task("reading images") as advance:
            images = prepare(
                source,
                size=asked.size,
                seed=asked.seed,
                progress=advance,
                cache_limit=asked.cache_limit,
                limit=asked.limit,
            )
    else:
        weights, images = ready(
            weights,
            source,
            framing=asked.framing,
            size=asked.size,
            seed=asked.seed,
            limit=asked.limit,
            cache_limit=asked.cache_limit,
            reporter=reporter,
        )
    if before and before.data.fingerprint != images.fingerprint:
        raise DeepenoughError(
            f"{folder}: the images of {before.data.source!r} are not those that the run began with; "
            "bring them back, or start a new run"
        )
    if before and before.data.in_blocks is not None:  # the order stays what it was, whatever is in the cache by now
        if images.in_blocks and not before.data.in_blocks:
            reporter.say("images are not in the cache any more, and reading them in the order of before is slow")
        images = replace(images, in_blocks=before.data.in_blocks)
    if before and weights and before.sounding and before.sounding.sha256 != weights.sha256:
        raise DeepenoughError(
            f"{folder}: the weights {weights.name} are not those that the run began with; bring them back, or start a "
            "new run"
        )
    recipe = Recipe.from_json(before.recipe) if before else _recipe(asked, images, weights)
    pretrained = _sounded(asked, weights, images, recipe, reporter) if weights else None
    question = Question(
        target=asked.target,
        margin=asked.margin,
        metric=asked.metric,
        minimize=asked.minimize,
        families=(weights.network.name,) if weights else asked.families,
        widths=asked.widths,
        budget=asked.search_budget,
        seed=asked.seed,
        weights=weights.name if weights else None,
    )
    if pretrained:
        architectures = pretrained.architectures
    else:
        architectures = search_space(
            asked.families,
            asked.widths,
            images.preprocess.shape,
            len(images.classes),
            max_depth=asked.max_depth,
            minimize=asked.minimize,
        )
    trainer = CandidateTrainer(
        images=images,
        folds=decision_folds(images, asked.margin, asked.seed, asked.folds),
        recipe=recipe,
        folder=folder / CANDIDATES,
        metric=asked.metric,
        reporter=reporter,
        group=group,
        free=FREE - asked.fixed,
        deadline=deadline,
        tensorboard=folder / "tensorboard" if asked.tensorboard else None,
    )
    if pretrained:
        trainer.start, trainer.start_name = pretrained.start, pretrained.sounding.weights.name
        trainer.sounded = pretrained.sounding.record.images * architectures[-1].macs
    return Setting(images, recipe, question, architectures, trainer, pretrained)


def _threads(asked: Options, before: r.Record | None, group: Group, side_by_side: bool) -> int:
    """A process alone goes on with the threads that it began with, which decide the last bits. Trainings side by side
    take half of them each, or what falls to a GPU, unless the user says how many: there has to be room for two."""
    if before and group.size == 1 and before.environment.get("processes", "1") == "1":
        return int(before.environment["threads"])
    threads = share_of_threads(torch.get_num_threads())
    return asked.threads or (max(threads // max(torch.cuda.device_count(), 2), 1) if side_by_side else threads)


def _sounded(asked: Options, weights: Weights, images: Images, recipe: Recipe, reporter: Reporter) -> Pretrained:
    sounding = sound(
        weights,
        images,
        margin=asked.margin,
        metric=asked.metric,
        target=asked.target,
        seed=asked.seed,
        device=choose_device(recipe.device),
        reporter=reporter,
    )
    return Pretrained.of(sounding)


def measure_ahead(setting: Setting) -> None:
    """Measure architectures as far as time and memory go; what they don't suffice for, the search may never come to."""
    for architecture in setting.search_space:
        if late(setting.trainer.deadline):
            return
        try:
            setting.trainer.way(architecture)
        except Interrupted:
            raise
        except DeepenoughError:
            return


def check_shares(setting: Setting, processes: int) -> None:
    """Raise the error for more processes than a batch has images."""
    counts = [len(part.train) for part in setting.trainer.folds.folds]
    smallest = min(count // steps_per_epoch(count, setting.recipe.batch) for count in counts)
    if processes > smallest:
        raise DeepenoughError(
            f"{processes} processes for batches of {smallest} images: each needs one at least; start fewer processes, "
            "or give a larger --batch"
        )


def _recipe(asked: Options, images: Images, weights: Weights | None) -> Recipe:
    """The default recipe for this many images, with what the user overrides."""
    count = len(images.split.train)
    if weights:
        recipe = finetune_recipe(count, images.mirror, strength=asked.augment)
    else:
        recipe = default_recipe(count, images.preprocess.shape, images.mirror, strength=asked.augment)
    given = {name: value for name in RECIPE if (value := getattr(asked, name)) is not None}
    augment = replace(recipe.augment, **asked.switches)
    return replace(recipe, augment=augment, class_weights=asked.class_weights, **given)
