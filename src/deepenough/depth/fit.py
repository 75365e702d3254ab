"""The main job, from images to the answer: source, audit, split, search, one look at the test images, record."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepenough import record as r
from deepenough.data import Images, Source, from_anywhere, open_source, prepare
from deepenough.depth import account, pictures
from deepenough.depth.baselines import baselines
from deepenough.depth.cluster import SideBySide, cluster
from deepenough.depth.follow import follow, show
from deepenough.depth.judge import Question, Verdict
from deepenough.depth.ladder import Rung, ladder
from deepenough.depth.options import RECIPE, Options
from deepenough.depth.parts import parts
from deepenough.depth.patches import patches
from deepenough.depth.plan import expect, expectation
from deepenough.depth.pretrained import Pretrained, choose_weights
from deepenough.depth.search import Search
from deepenough.depth.sound import ready, sound
from deepenough.depth.to_cut import CutSearch
from deepenough.depth.to_enough import EnoughSearch
from deepenough.depth.to_target import TargetSearch
from deepenough.depth.workshop import Workshop
from deepenough.errors import DeepenoughError
from deepenough.files import check_new
from deepenough.model import FOLDER, Model, load, save_model
from deepenough.nets import dumps, layer_table
from deepenough.nets.weights import Weights
from deepenough.progress import Reporter
from deepenough.report import FILE as REPORT
from deepenough.report import write_report
from deepenough.train import (
    ALONE,
    Group,
    Interrupted,
    Recipe,
    Stop,
    Trained,
    choose_device,
    default_recipe,
    finetune_recipe,
)
from deepenough.train import evaluate as predictions
from deepenough.train.feed import steps_per_epoch
from deepenough.train.measure import FREE
from deepenough.train.processes import joined, launched, restarted, share_of_threads
from deepenough.train.train import late

RUNS = Path("runs")
CANDIDATES = "candidates"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its record and, on demand, its model."""

    folder: Path
    record: r.Record

    @property
    def met(self) -> bool:
        """Whether the target was met, or none was set."""
        return self.record.decision is not None and self.record.decision.kind != "not met"

    @property
    def report(self) -> Path:
        return self.folder / REPORT

    def model(self) -> Model:
        return load(self.folder)


def new_folder(source: str) -> Path:
    """`runs/digits-1`, or the next number that is free; or `runs/photos-1`."""
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(source).stem).strip("-") or "run"
    number = 1
    while (folder := RUNS / f"{stem}-{number}").exists():
        number += 1
    return folder


def last_folder(source: str) -> Path | None:
    """The newest folder that `new_folder` gave."""
    stem, _, number = new_folder(source).name.rpartition("-")
    return RUNS / f"{stem}-{int(number) - 1}" if number != "1" else None


def fit(
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    ray: str | None = None,
    processes: int = 1,
    **options: Any,
) -> Run:
    """Find the shallowest network that does the task.

    `data` and `options` are those of `deepenough fit` (see `Options`); `out` is the folder of the run, which must
    not hold one yet. `ray` is the address of a Ray cluster that trains candidates side by side, or "local" for one that
    is started here; as many `processes` train each of them together. Started by torchrun, all processes train one
    candidate after the other together. Ctrl-C and SIGTERM save what there is; `resume` goes on.

    >>> run = fit("digits", target=0.95)                       # doctest: +SKIP
    >>> run.record.decision.text, run.model().predict("7.png")  # doctest: +SKIP
    """
    options, wish = _listed(options), _side_by_side(ray, processes)
    return _in_group(
        options.get("device"), lambda group: _begin(data, out, reporter or Reporter(), options, group, wish)
    )


def plan(data: str | Path | None = None, *, reporter: Reporter | None = None, **options: Any) -> r.Plan:
    """How long `fit` with the same `data` and `options` will take, and how much memory, by a few training steps.

    >>> plan("digits", target=0.95).most                    # doctest: +SKIP
    71.3
    """
    source, reporter = open_source(data), reporter or Reporter()
    asked = Options.from_json({"data": from_anywhere(data), **_listed(options)})
    weights = choose_weights(asked, source, reporter)
    with tempfile.TemporaryDirectory() as folder:
        return _planned(asked, set_up(asked, source, weights, Path(folder), reporter), reporter)


def _listed(options: dict[str, Any]) -> dict[str, Any]:
    """A single family or width as a list of one."""
    several = {name: (value,) for name, value in options.items() if name in ("family", "width") and _single(value)}
    return options | several


def _single(value: object) -> bool:
    return isinstance(value, (str, int, float))


def _begin(
    data: str | Path | None,
    out: str | Path | None,
    reporter: Reporter,
    options: dict[str, Any],
    group: Group,
    wish: SideBySide | None,
) -> Run:
    source = open_source(data)
    asked = Options.from_json({"data": from_anywhere(data), **options})
    if asked.weights is not None and Path(asked.weights).expanduser().is_file():
        asked = replace(asked, weights=str(Path(asked.weights).expanduser().absolute()))
    before = _torn(source, out, asked) if restarted() else None
    if before is not None:
        reporter.say(f"going on with {before}, after a process was lost")
        return _go_on(before, reporter, group, wish)
    if out is not None and (Path(out) / r.FILE).exists():
        raise DeepenoughError(
            f"--out {out}: there is a run already; go on with `deepenough fit --resume {out}`, or name another folder"
        )
    if out is not None:
        check_new(Path(out))
    weights = choose_weights(asked, source, reporter)
    # What was chosen is asked for when the run goes on, whatever is in the cache by then.
    asked = replace(asked, weights=asked.weights or weights.name) if weights else replace(asked, scratch=True)
    folder = new_folder(source.name) if out is None else Path(out)
    return _run(asked, source, weights, folder, None, reporter, group, wish)


def _torn(source: Source, out: str | Path | None, asked: Options) -> Path | None:
    """The run that these processes were on before torchrun started them again, if it got as far as its record.

    It may even have ended: torchrun takes any status but 0 for a crash.
    """
    folder = Path(out) if out is not None else last_folder(source.name)
    if folder is None or not (folder / r.FILE).is_file():
        return None
    record = r.load(folder)
    chosen = {"weights", "scratch"}  # by what was in the cache, where the user left it open
    same = all(record.options.get(key) == value for key, value in _plain(asked).items() if key not in chosen)
    return folder if same else None


def _plain(asked: Options) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asked.to_json()))
    return plain


def _in_group(device: str | None, work: Callable[[Group], Run]) -> Run:
    """What `work` gives; where this is one of several processes, only the leader does it, and the others help."""
    if not launched():
        return work(ALONE)
    with joined(choose_device(device or "auto")) as group:
        if group.leads:
            run = work(group)
            group.order((str(run.folder), run.record.model_dump_json()))
            return run
        folder, record = follow(group)
        return Run(Path(folder), r.Record.model_validate_json(record))


def resume(run: str | Path, *, reporter: Reporter | None = None, ray: str | None = None, processes: int = 1) -> Run:
    """Go on with a run that ended before its time, from its newest whole checkpoint, to the same weights."""
    wish, device = _side_by_side(ray, processes), r.load(Path(run)).options.get("device")
    return _in_group(device, lambda group: _go_on(Path(run), reporter or Reporter(), group, wish))


def _side_by_side(ray: str | None, processes: int) -> SideBySide | None:
    if processes < 1 or (ray is None and processes != 1):
        raise DeepenoughError(
            f"--processes {processes}: give 1 or more, with --ray; without it torchrun starts several processes"
        )
    return None if ray is None else SideBySide(ray, processes)


def _go_on(folder: Path, reporter: Reporter, group: Group, wish: SideBySide | None) -> Run:
    before = r.load(folder)
    if before.status == "finished":
        if not (folder / REPORT).is_file():  # killed between the record and its page
            write_report(folder)
        return Run(folder, before)
    asked = Options.from_json(before.options)
    source = open_source(asked.data)
    weights = choose_weights(asked, source, reporter)
    return _run(asked, source, weights, folder, before, reporter, group, wish)


@dataclass(frozen=True)
class Setting:
    """Everything that is fixed before anything is trained."""

    images: Images
    recipe: Recipe
    question: Question
    ladder: tuple[Rung, ...]
    workshop: Workshop
    pretrained: Pretrained | None

    def search(self, changed: Callable[[Search], None]) -> Search:
        """The search that the question asks for."""
        if self.question.target is None:
            if self.pretrained is None:
                return EnoughSearch(self.question, self.ladder, self.workshop, changed)
            return CutSearch(self.question, self.ladder, self.workshop, changed, self.pretrained.sounding.proposed)
        first = 0 if self.pretrained is None else max(self.pretrained.sounding.proposed - 1, 0)
        return TargetSearch(self.question, self.ladder[first:], self.workshop, changed)


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
    """Read the images, and fix split, recipe and ladder; those of the record `before`, when a run goes on.

    With `weights` the images are prepared as those want them, and the ladder is their network cut at every depth, after
    a sounding. The order of resuming: threads, images and split, recipe; then the search is replayed over the same
    folders, where every finished training is read back and the unfinished one goes on from its checkpoint.
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
        rungs = pretrained.rungs
    else:
        height, width = images.preprocess.size
        rungs = ladder(
            asked.families,
            asked.widths,
            (images.preprocess.channels, height, width),
            len(images.classes),
            max_depth=asked.max_depth,
            minimize=asked.minimize,
        )
    workshop = Workshop(
        images=images,
        parts=parts(images, asked.margin, asked.seed, asked.folds),
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
        workshop.start, workshop.start_name = pretrained.start, pretrained.sounding.weights.name
        workshop.sounded = pretrained.sounding.record.images * rungs[-1].macs
    return Setting(images, recipe, question, rungs, workshop, pretrained)


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


def _run(
    asked: Options,
    source: Source,
    weights: Weights | None,
    folder: Path,
    before: r.Record | None,
    reporter: Reporter,
    group: Group,
    wish: SideBySide | None,
) -> Run:
    if wish is not None and group.size > 1:
        raise DeepenoughError("--ray under torchrun: candidates train side by side, or together; give one")
    setting = set_up(asked, source, weights, folder, reporter, before, group, side_by_side=wish is not None)
    images, workshop = setting.images, setting.workshop
    _check_shares(setting, wish.processes if wish else group.size)
    # Threads are what Ray gives to each training, and its workers would compile anew for every epoch that they tell.
    workshop.free -= {"threads", "compiled"} if wish else set()
    show(group, asked, images)
    record = _opened(asked, setting, before)
    record.plan = before.plan if before else None

    def changed(search: Search) -> None:
        record.candidates = [
            account.candidate(tried, images.classes, workshop.measured(tried.rung)) for tried in search.tried
        ]
        record.steps = [r.Step(what=event.what, why=event.why) for event in search.events]
        r.save(record, folder)

    search = setting.search(changed)
    side_by_side = cluster(wish, images, torch.get_num_threads(), setting.recipe.device) if wish else nullcontext()
    with Stop() as stop, side_by_side as workshop.cluster:
        workshop.stop = stop
        folder.mkdir(parents=True, exist_ok=True)
        r.save(record, folder)  # before anything takes long: whatever happens from here on, the run goes on
        try:
            if record.plan is None:
                record.plan = _planned(asked, setting, reporter)
                r.save(record, folder)
            reporter.say(_introduction(record))
            if wish:  # all ways are measured now, before workers take the machine
                _measure_ahead(setting)
            verdict = search.run()
            folds = workshop.parts.kind == "out-of-fold" and verdict.chosen.finished
            final = workshop.retrain(verdict.chosen, asked.seed) if folds else None
        except (Interrupted, KeyboardInterrupt):
            record.status = "interrupted"
            r.save(record, folder)
            kept = "finished trainings are kept, those on their way begin anew" if wish else "nothing is lost"
            raise Interrupted(f"stopped, {kept}; go on with: deepenough fit --resume {folder}") from None
        except DeepenoughError:
            if record.plan is None and before is None:  # what was asked for can't be: there is nothing to go on with
                shutil.rmtree(folder, ignore_errors=True)
            raise
    changed(search)
    _conclude(record, search, verdict, final, images, folder, reporter)
    return Run(folder, record)


def _measure_ahead(setting: Setting) -> None:
    """Measure rungs as far as time and memory go; what they don't suffice for, the search may never come to."""
    for rung in setting.ladder:
        if late(setting.workshop.deadline):
            return
        try:
            setting.workshop.way(rung)
        except Interrupted:
            raise
        except DeepenoughError:
            return


def _check_shares(setting: Setting, processes: int) -> None:
    """Raise the error for more processes than a batch has images."""
    counts = [len(part.train) for part in setting.workshop.parts.parts]
    smallest = min(count // steps_per_epoch(count, setting.recipe.batch) for count in counts)
    if processes > smallest:
        raise DeepenoughError(
            f"{processes} processes for batches of {smallest} images: each needs one at least; start fewer processes, "
            "or give a larger --batch"
        )


def _planned(asked: Options, setting: Setting, reporter: Reporter) -> r.Plan:
    with reporter.task("measuring") as advance:
        found = expect(setting.question, setting.ladder, setting.workshop, asked.time_limit)
        advance(1, 1)
    return found


def _opened(asked: Options, setting: Setting, before: r.Record | None) -> r.Record:
    """The record as it stands before the first training."""
    device = choose_device(setting.recipe.device).type
    environment = account.environment(torch.get_num_threads(), device, setting.workshop.group.size)
    return r.Record(
        version=environment["deepenough"],
        status="running",
        created=before.created if before else datetime.now(UTC).isoformat(timespec="seconds"),
        command=before.command if before else shlex.join(["deepenough", *sys.argv[1:]]),
        seed=asked.seed,
        environment=environment,
        options=asked.to_json(),
        question=account.question(setting.question, asked.time_limit),
        data=account.data(setting.images),
        decision_images=account.decision_images(setting.workshop.parts),
        recipe=setting.recipe.to_json(),
        ladder=[account.rung(step, setting.workshop) for step in setting.ladder],
        sounding=setting.pretrained.sounding.record if setting.pretrained else None,
    )


def _conclude(
    record: r.Record,
    search: Search,
    verdict: Verdict,
    final: Trained | None,
    images: Images,
    folder: Path,
    reporter: Reporter,
) -> None:
    """Save the model, look at the test images once, and write the record and the report."""
    chosen, classes = verdict.chosen, images.classes
    state = (final or chosen.trainings[0]).state
    network = replace(chosen.rung.network, name=chosen.rung.name)
    save_model(folder / FOLDER, network, state, images.preprocess, classes)
    model = Model(network, state, images.preprocess, classes, choose_device(search.workshop.recipe.device))

    def probabilities_of(index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return predictions(model.module, images, index, images.preprocess, model.device)

    train = search.workshop.decision if final else search.workshop.parts.parts[0].train
    test = images.split.test
    with reporter.task("test images and baselines") as advance:
        probabilities = probabilities_of(test)
        record.test = account.metrics(probabilities, images.labels[test], classes)
        advance(1, 3)
        sample = np.sort(np.random.default_rng(search.question.seed).permutation(train)[:10_000])
        record.train = account.metrics(probabilities_of(sample), images.labels[sample], classes)
        advance(2, 3)
        record.baselines = [
            r.Baseline(
                name=b.name,
                test=account.accuracy(b.correct, b.count),
                trained_on=b.trained_on,
                note=b.note,
                seconds=b.seconds,
            )
            for b in baselines(images, train, test, search.question.seed)
        ]
        advance(3, 3)
    if record.sounding:
        record.patches = patches(model, images, train, folder)
    record.mistakes = pictures.mistakes(images, test, probabilities, folder, model)
    record.examples = pictures.examples(images, test, probabilities, folder, model)
    record.decision = account.decision(verdict)
    record.decision.advice += account.sobering(record.test, record.baselines)
    record.cost = account.cost(search, chosen, final)
    way, device = search.workshop.way(chosen.rung), choose_device(search.workshop.recipe.device).type
    record.plan = account.outcome(record.plan, record.candidates, record.cost, chosen.rung, way, device)
    record.network = json.loads(dumps(network))
    record.layers = [r.LayerRow.model_validate(row.to_json()) for row in layer_table(network)]
    record.status = "finished"
    r.save(record, folder)
    write_report(folder)


def _recipe(asked: Options, images: Images, weights: Weights | None) -> Recipe:
    """The default recipe for this many images, with what the user overrides."""
    height, width = images.preprocess.size
    shape = (images.preprocess.channels, height, width)
    count = len(images.split.train)
    if weights:
        recipe = finetune_recipe(count, images.mirror, strength=asked.augment)
    else:
        recipe = default_recipe(count, shape, images.mirror, strength=asked.augment)
    given = {name: value for name in RECIPE if (value := getattr(asked, name)) is not None}
    augment = replace(recipe.augment, **asked.switches)
    return replace(recipe, augment=augment, class_weights=asked.class_weights, **given)


def _introduction(record: r.Record) -> str:
    data, depths = record.data, ", ".join(str(step.depth) for step in record.ladder)
    height, width = data.size
    wrong = f"; {len(data.findings):,} findings about the images" if data.findings else ""
    counts = ", ".join(f"{sum(counts):,} {name}" for name, counts in data.counts.items())
    tried = (
        record.sounding.text if record.sounding else f"ladder: {'/'.join(record.question.families)} of depth {depths}"
    )
    return (
        f"{data.source}: {len(data.classes)} classes, {counts} images of {data.channels}x{height}x{width}{wrong}\n"
        f"{tried}\n"
        f"decided on {record.decision_images.why}\n"
        f"{expectation(record.plan)}"
    )
