"""The main job, from images to the answer: source, audit, split, search, one look at the test images, record."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from deepenough import record as r
from deepenough.data import Source, from_anywhere, open_source
from deepenough.distribution.follower import follow, show
from deepenough.distribution.ray_cluster import SideBySide, cluster
from deepenough.distribution.torchrun import EndedError, LostError, joined, launched, restarted
from deepenough.errors import DeepenoughError
from deepenough.experiment import recording as account
from deepenough.experiment.estimate import expect, expectation
from deepenough.experiment.options import Options
from deepenough.experiment.result import conclude
from deepenough.experiment.setup import Setting, check_shares, measure_ahead, set_up
from deepenough.files import check_new
from deepenough.model import Model, load
from deepenough.probing.pretrained import choose_weights
from deepenough.progress import Reporter
from deepenough.report import FILE as REPORT
from deepenough.report import write_report
from deepenough.search.search import Search
from deepenough.training import ALONE, Group, Interrupted, Stop, choose_device
from deepenough.training.out_of_memory import ShortError
from deepenough.weights import Weights

RUNS = Path("runs")


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
    images, trainer = setting.images, setting.trainer
    check_shares(setting, wish.processes if wish else group.size)
    # Threads are what Ray gives to each training, and its workers would compile anew for every epoch that they tell.
    trainer.free -= {"threads", "compiled"} if wish else set()
    show(group, asked, images)
    record = _opened(asked, setting, before)
    record.plan = before.plan if before else None

    def changed(search: Search) -> None:
        record.candidates = [
            account.candidate(tried, images.classes, trainer.measured(tried.architecture)) for tried in search.tried
        ]
        record.steps = [r.Step(what=event.what, why=event.why) for event in search.events]
        r.save(record, folder)

    search = setting.search(changed)
    side_by_side = cluster(wish, images, torch.get_num_threads(), setting.recipe.device) if wish else nullcontext()
    with Stop() as stop, side_by_side as trainer.cluster:
        trainer.stop = stop
        folder.mkdir(parents=True, exist_ok=True)
        r.save(record, folder)  # before anything takes long: whatever happens from here on, the run goes on
        try:
            if record.plan is None:
                record.plan = _planned(asked, setting, reporter)
                r.save(record, folder)
            reporter.say(_introduction(record))
            if wish:  # all ways are measured now, before workers take the machine
                measure_ahead(setting)
            verdict = search.run()
            folds = trainer.folds.kind == "out-of-fold" and verdict.chosen.finished
            final = trainer.retrain(verdict.chosen, asked.seed) if folds else None
        except (Interrupted, KeyboardInterrupt):
            record.status = "interrupted"
            r.save(record, folder)
            kept = "finished trainings are kept, those on their way begin anew" if wish else "nothing is lost"
            raise Interrupted(f"stopped, {kept}; go on with: deepenough fit --resume {folder}") from None
        except (LostError, EndedError, ShortError):  # of the processes, and not of what was asked for
            raise
        except DeepenoughError:
            if record.plan is None and before is None:  # what was asked for can't be: there is nothing to go on with
                shutil.rmtree(folder, ignore_errors=True)
            raise
    changed(search)
    conclude(record, search, verdict, final, images, folder, reporter)
    return Run(folder, record)


def _planned(asked: Options, setting: Setting, reporter: Reporter) -> r.Plan:
    with reporter.task("measuring") as advance:
        found = expect(setting.question, setting.search_space, setting.trainer, asked.time_limit)
        advance(1, 1)
    return found


def _opened(asked: Options, setting: Setting, before: r.Record | None) -> r.Record:
    """The record as it stands before the first training."""
    device = choose_device(setting.recipe.device).type
    environment = account.environment(torch.get_num_threads(), device, setting.trainer.group.size)
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
        decision_images=account.decision_images(setting.trainer.folds),
        recipe=setting.recipe.to_json(),
        search_space=[account.architecture(step, setting.trainer) for step in setting.search_space],
        sounding=setting.pretrained.sounding.record if setting.pretrained else None,
    )


def _introduction(record: r.Record) -> str:
    data, depths = record.data, ", ".join(str(step.depth) for step in record.search_space)
    height, width = data.size
    wrong = f"; {len(data.findings):,} findings about the images" if data.findings else ""
    counts = ", ".join(f"{sum(counts):,} {name}" for name, counts in data.counts.items())
    tried = (
        record.sounding.text
        if record.sounding
        else f"search space: {'/'.join(record.question.families)} of depth {depths}"
    )
    return (
        f"{data.source}: {len(data.classes)} classes, {counts} images of {data.channels}x{height}x{width}{wrong}\n"
        f"{tried}\n"
        f"decided on {record.decision_images.why}\n"
        f"{expectation(record.plan)}"
    )
