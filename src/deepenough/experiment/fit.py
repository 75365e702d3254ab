"""Answer the question: `fit` from images to a finished run, `resume` a run that was stopped, `plan` its time."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepenough.data.sources import Source, from_anywhere, open_source
from deepenough.distribution.follower import follow_run
from deepenough.distribution.torchrun import join_group, launched, restarted
from deepenough.errors import DamagedError, DeepenoughError
from deepenough.experiment.call import Call, as_folder, python_lines, ray_cluster
from deepenough.experiment.finished_run import Run
from deepenough.experiment.given_network import given_network, kept_network, module_of
from deepenough.experiment.options import Options
from deepenough.experiment.run import estimate_plan, perform_run
from deepenough.experiment.setup import RunRequest, prepare_experiment
from deepenough.experiment.signature import takes_options
from deepenough.files import can_be_written, check_new
from deepenough.model import FOLDER as MODEL
from deepenough.model import check_model
from deepenough.probing.choice import choose_weights
from deepenough.progress import Reporter, reporting
from deepenough.record import CANDIDATES, FILE, Plan, Record, check_pictures
from deepenough.record import load as load_record
from deepenough.record.schema import RunStatus
from deepenough.report import REPORT, write_report
from deepenough.training.device import choose_device
from deepenough.training.loggers import GivenCallbacks, check_callbacks
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.result import RESULT_FILE, check_result
from deepenough.user_folders import RUNS, runs_root
from deepenough.weights import Weights
from deepenough.weights.saved_model import is_saved_model


@takes_options
def fit(
    data: Any = None,
    *,
    out: str | Path | None = None,
    progress: bool | Reporter = True,
    callbacks: GivenCallbacks = (),
    ray: str | None = None,
    processes: int = 1,
    value_range: tuple[float, float] | None = None,
    **options: Any,
) -> Run:
    """Find the shallowest network that does the task. Ctrl-C and SIGTERM save everything; `resume` goes on.

    Started by torchrun, all processes train one candidate after the other together.

    Args:
        data: the images: a path or a name, as `deepenough fit` takes them; or images and labels that Python holds:
            (X, y) with arrays or tensors (N, H, W), (N, H, W, C) or (N, C, H, W), (images, labels) with a list of
            images or paths, a list of (image, label), a pandas DataFrame, a torch Dataset, a Hugging Face Dataset, or a
            dict of these with the names of splits.
        out: the folder of the run, which must not hold one yet.
        progress: bars on stderr, or in the output of a notebook's cell; with False nothing is printed. A `Reporter`
            draws in its own way.
        callbacks: accompany every training: a list of `Callback`, or a function that is given the name of a training,
            as "residual-7/fold0", and gives its callback or several.
        ray: the address of a Ray cluster that trains candidates side by side, or "local" for one that is started here.
        processes: with `ray`, the number of processes that train each candidate together.
        value_range: the values of black and white in arrays of floats, by default 0 and 1.
        options: those of `deepenough fit`, see `Options`; with units as there ("20m", "4GB", "95%") or as numbers.
            `network` may be a torch module, too: a network of your own to start from.

    >>> run = fit("digits", target=0.95)                       # doctest: +SKIP
    >>> run.record.decision.text, run.model().predict("7.png")  # doctest: +SKIP
    """
    module = module_of(options)
    asked, cluster = asked_of(data, options), ray_cluster(ray, processes)
    check_callbacks(callbacks)
    more = {"value_range": value_range, "ray": ray, "processes": processes if processes != 1 else None}
    command = python_lines(data, asked, **{name: value for name, value in more.items() if value is not None})
    return begin(data, asked, Call(command, as_folder(out), cluster, callbacks, module), progress, value_range)


def begin(
    data: Any,
    asked: Options,
    call: Call,
    progress: bool | Reporter = True,
    value_range: tuple[float, float] | None = None,
) -> Run:
    """Do what `fit` was called for."""

    def source(reporter: Reporter | None = None) -> Source:
        return open_source(data, value_range, reporter=reporter)

    def work(group: ProcessGroup) -> Run:
        with reporting(progress) as reporter:
            return _begin(source(reporter), asked, call, reporter, group)

    return _in_group(asked.device, source, work)


@takes_options
def plan(
    data: Any = None,
    *,
    progress: bool | Reporter = True,
    value_range: tuple[float, float] | None = None,
    **options: Any,
) -> Plan:
    """Estimate the time and memory that `fit` with the same `data` and `options` takes, from a few training steps.

    >>> plan("digits", target=0.95).most                    # doctest: +SKIP
    71.3
    """
    call = Call(network=module_of(options))
    asked = asked_of(data, options)
    with tempfile.TemporaryDirectory() as folder, reporting(progress) as reporter:
        source = open_source(data, value_range, reporter=reporter)
        weights = _chosen_weights(asked, source, Path(folder), call, reporter)
        request = RunRequest(asked, source, weights, Path(folder), reporter)
        return estimate_plan(request, prepare_experiment(request))


def resume(
    run: str | Path,
    data: Any = None,
    *,
    progress: bool | Reporter = True,
    callbacks: GivenCallbacks = (),
    ray: str | None = None,
    processes: int = 1,
    value_range: tuple[float, float] | None = None,
) -> Run:
    """Go on with a run that ended before its time, from its newest whole checkpoint, to the same weights.

    `data` is needed where the run began with images that Python holds, which are then given again; `value_range` and
    `callbacks` too.
    """
    check_callbacks(callbacks)
    call = Call(cluster=ray_cluster(ray, processes), callbacks=callbacks)
    folder = as_folder(run, "run") or Path()
    before = load_record(folder).options

    def source(reporter: Reporter | None = None) -> Source:
        return open_source(before["data"] if data is None else data, value_range, reporter=reporter)

    def work(group: ProcessGroup) -> Run:
        with reporting(progress) as reporter:
            return _go_on(folder, lambda: source(reporter), call, reporter, group)

    return _in_group(before.get("device"), source, work)


def asked_of(data: Any, options: dict[str, Any]) -> Options:
    """The options; files of weights by their whole paths."""
    asked = Options.of(data=from_anywhere(data), **options)
    return replace(asked, weights=tuple(map(_whole_path, asked.weights)))


def _whole_path(given: str) -> str:
    """The path of a file of weights, or SavedModel; names stay as they are."""
    path = Path(given).expanduser()
    return str(path.absolute()) if path.is_file() or is_saved_model(path) else given


def _in_group(device: str | None, source: Callable[[], Source], work: Callable[[ProcessGroup], Run]) -> Run:
    """Do the `work`; where this is one of several processes, only the leader does it, and the others help."""
    if not launched():
        return work(ALONE)
    with join_group(choose_device(device or "auto")) as group:
        if group.is_leader:
            run = work(group)
            group.broadcast_task((str(run.folder), run.record.model_dump_json()))
            return run
        folder, record = follow_run(group, source)
        return Run(Path(folder), Record.model_validate_json(record))


def _begin(source: Source, asked: Options, call: Call, reporter: Reporter, group: ProcessGroup) -> Run:
    """Do a new run, or go on with the one that these processes were on before torchrun started them again."""
    out = call.out
    before = _restarted_run(source.name, out, asked) if restarted() else None
    if before is not None:
        reporter.say(f"resuming {before} after a process was lost")
        return _go_on(before, lambda: source, call, reporter, group)
    if out is not None and (out / FILE).exists():
        raise DeepenoughError(
            f"--out {out}: there is a run already; go on with `deepenough fit --resume {out}`, or name another folder"
        )
    folder = new_folder(source.name, runs_root()) if out is None else out
    check_new(folder)
    if out is None and folder.parent != RUNS:
        reporter.say(f"nothing can be written in {Path.cwd()}: the run goes to {folder}; --out names another folder")
    weights = _chosen_weights(asked, source, folder, call, reporter)
    # What was chosen is asked for when the run goes on, whatever is in the cache by then.
    if not weights:
        asked = replace(asked, scratch=True)
    elif asked.is_auto or not (asked.weights or asked.gives_module):
        asked = replace(asked, weights=tuple(each.name for each in weights), among=None)
    request = RunRequest(asked, source, weights, folder, reporter, None, group, call)
    return Run(folder, perform_run(request))


def _chosen_weights(
    asked: Options, source: Source, folder: Path, call: Call, reporter: Reporter
) -> tuple[Weights, ...]:
    """The networks to start from: the user's own, which is kept in the folder, or those whose weights are chosen."""
    if asked.gives_module:
        return (given_network(asked, source, folder, call.network, reporter),)
    return choose_weights(asked, source, reporter)


def _go_on(folder: Path, open_images: Callable[[], Source], call: Call, reporter: Reporter, group: ProcessGroup) -> Run:
    before = load_record(folder)
    damage = _damage(folder) if before.status is RunStatus.FINISHED else None
    if damage is not None:
        reporter.say(f"{damage}; making it anew from the trainings")
    elif before.status is RunStatus.FINISHED:
        if not (folder / REPORT).is_file():  # killed between the record and its page
            write_report(folder)
        return Run(folder, before)
    if not can_be_written(folder):
        raise DeepenoughError(
            f"run {str(folder)!r}: nothing can be written in it; copy it to a place of your own first"
        )
    asked = Options.from_json(before.options)
    source = open_images()
    names = {each.sha256: each.network for each in before.probings}
    weights = (kept_network(folder),) if asked.gives_module else choose_weights(asked, source, reporter, names)
    request = RunRequest(asked, source, weights, folder, reporter, before, group, call)
    return Run(folder, perform_run(request))


def _damage(run: Path) -> DamagedError | None:
    """The first file of a finished run that is missing or not as it was written, as an error; None if all are whole."""
    try:
        check_model(run / MODEL)
        check_pictures(run)
        for result in sorted((run / CANDIDATES).rglob(RESULT_FILE)):
            check_result(result.parent)
    except DamagedError as error:
        return error
    return None


def _restarted_run(source: str, out: Path | None, asked: Options) -> Path | None:
    """The run that these processes were on before torchrun started them again, if it got as far as its record.

    It may even have ended: torchrun takes any status but 0 for a crash.
    """
    folder = out if out is not None else _last_folder(source)
    if folder is None or not (folder / FILE).is_file():
        return None
    before = load_record(folder).options
    chosen = {"weights", "among", "scratch"}  # by what was in the cache, where the user left it open
    options = json.loads(json.dumps(asked.to_json()))  # as JSON gives them back
    same = all(before.get(key) == value for key, value in options.items() if key not in chosen)
    return folder if same else None


def new_folder(source: str, root: Path) -> Path:
    """`runs/digits-1`, or the next number that is free; or `runs/photos-1`. `root` is the folder of the runs."""
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in Path(source).stem).strip("-") or "run"
    number = 1
    while (folder := root / f"{stem}-{number}").exists():
        number += 1
    return folder


def _last_folder(source: str) -> Path | None:
    """The newest folder that `new_folder` gave."""
    new = new_folder(source, runs_root())
    stem, _, number = new.name.rpartition("-")
    return new.with_name(f"{stem}-{int(number) - 1}") if number != "1" else None
