"""Run an experiment: prepare the images, let the claim measure, write the record and its page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

import torch

from deepenough.data.images import prepare
from deepenough.data.mirroring import decide_mirroring
from deepenough.data.sources import open_source
from deepenough.errors import DamagedError, DeepenoughError, unknown
from deepenough.experiment.recording import environment
from deepenough.files import check_new, read_checked_json, write_whole
from deepenough.lab.page import PAGE, render_experiment
from deepenough.lab.record import RECORD, LabRecord, Result, overall_verdict
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.language import speaking
from deepenough.progress import Reporter
from deepenough.training.interrupt import Interrupted, Stop


@dataclass(frozen=True)
class Claim:
    """A claim, and the images to test it on where the user gives none; a quick run has its own."""

    text: str
    quick_data: str = "fashion-mnist"
    data: str = "fashion-mnist"
    quick_limit: int = 2_000


CLAIMS = {
    "deeper": Claim("accuracy rises with depth"),
    "learned-features": Claim("features learned end to end beat classical ones as data grows", quick_limit=3_000),
    "hyperparameters": Claim(
        "learning rate, batch and decay matter, and the defaults are near the best found", quick_limit=1_500
    ),
    "small-filters": Claim(
        "two 3x3 layers see as far as one 5x5, three as far as one 7x7, with fewer parameters, and classify at least "
        "as well"
    ),
    "nonlinearity": Claim("depth without activations in between gains nothing"),
    "depth-or-width": Claim("at the same number of parameters, deeper beats wider"),
    "degradation": Claim(
        "beyond some depth a plain network gets worse in training error; a residual one does not", "digits"
    ),
    "vanishing-gradient": Claim(
        "the gradient that reaches the first layer shrinks with depth with sigmoids, and less with ReLUs, norms and "
        "shortcuts",
        "digits",
    ),
    "hierarchy": Claim("features go from edges to parts: the accuracy of a linear probe grows with depth"),
    "augmentation": Claim("the fewer the images, the more augmentation helps", quick_limit=1_500),
    "overfitting": Claim("on few images, the gap between training and validation grows with depth", quick_limit=1_000),
    "precision": Claim("half precision trains to the same accuracy", "digits"),
    "approximation": Claim(
        "one hidden layer of N sigmoid units fits a given function ever better with N; a deep narrow one needs fewer "
        "parameters",
        "digits",
        data="digits",  # it needs no images: these are always there
    ),
    "batch-and-devices": Claim("two processes on half batches train the same network as one on the whole", "digits"),
}


@dataclass(frozen=True)
class Scale:
    """The size of an experiment.

    `seeds` trainings of each setting; `quick`: few images, few epochs and narrow networks; `limit`: at most so many
    images of each split.
    """

    seeds: int = 3
    quick: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise DeepenoughError(f"--seeds {self.seeds}: give 1 or more; intervals need at least 2")


def measurement(name: str) -> Callable[[Trials], Result]:
    """The function that measures a claim."""
    if name not in CLAIMS:
        raise unknown("claim", name, CLAIMS)
    measure: Callable[[Trials], Result] = import_module(f"deepenough.lab.claims.{name.replace('-', '_')}").measure
    return measure


def run_experiment(
    name: str,
    data: str | Path | None = None,
    *,
    scale: Scale | None = None,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    language: str | None = None,
) -> tuple[LabRecord, Path]:
    """Measure one claim, and write `record.json` and a page into `out`, by default `lab/NAME`.

    `language` of the page is "en" or "zh", by default that of the locale.
    A run that was stopped goes on where it was: its trainings are kept. So does one whose record is damaged.
    """
    measure, claim = measurement(name), CLAIMS[name]
    scale, reporter = scale or Scale(), reporter or Reporter()
    folder = Path(out) if out is not None else Path("lab") / name
    damaged = _damage(folder)
    if damaged:
        reporter.say(f"{damaged}; measuring anew")
    elif not (folder / "trainings").is_dir():
        check_new(folder)
    wanted = data if data is not None else claim.quick_data if scale.quick else claim.data
    source = open_source(wanted, reporter=reporter)
    limit = claim.quick_limit if scale.quick and scale.limit is None else scale.limit
    began = time.perf_counter()
    with reporter.task("reading images") as advance:
        images = prepare(source, progress=advance, limit=limit)
        images = replace(images, mirror=decide_mirroring(images, 0).on)
    with Stop() as stop:
        trials = Trials(images, tuple(range(scale.seeds)), scale.quick, folder, reporter, stop)
        try:
            result = measure(trials)
        except Interrupted:
            kept = f"; what was trained is kept in {folder}" if (folder / "trainings").is_dir() else ""
            raise Interrupted(f"stopped{kept}; repeat the command to go on") from None
    record = LabRecord(
        name=name,
        claim=claim.text,
        data=result.on
        or said(
            "%(source)s, %(train)s images to train, %(judge)s to judge",
            source=source.name,
            train=f"{len(images.split.train):,}",
            judge=f"{len(images.split.validation):,}",
        ),
        quick=scale.quick,
        seeds=list(range(scale.seeds)),
        result=result,
        verdict=overall_verdict(result.effects),
        seconds=time.perf_counter() - began,
        environment=environment(torch.get_num_threads(), max(trials.devices, default="cpu")),
    )
    folder.mkdir(parents=True, exist_ok=True)
    record.save(folder)
    with speaking(language):
        page = render_experiment(record)
    write_whole(folder / PAGE, page)
    return record, folder / PAGE


def _damage(folder: Path) -> DamagedError | None:
    """The damage of the record in a folder; None where there is no record. A whole one is not written over."""
    if not (folder / RECORD).is_file():
        return None
    try:
        read_checked_json(folder / RECORD)
    except DamagedError as error:
        return error
    raise DeepenoughError(f"--out {folder}: this folder already holds an experiment; choose another")
