"""Run an experiment: prepare the images, let the claim measure, write the record and its page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch

from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError, unknown
from deepenough.experiment.recording import environment
from deepenough.files import check_new, write_whole
from deepenough.lab.bench import Bench
from deepenough.lab.page import PAGE, render
from deepenough.lab.record import FILE, Record, Seen, load, verdict
from deepenough.progress import Reporter
from deepenough.training.interrupt import Interrupted, Stop


@dataclass(frozen=True)
class Claim:
    """What is said, and the images that a run looks at which is not told others, and a quick one."""

    says: str
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
    "nonlinearity": Claim("depth without an activation between gains nothing"),
    "depth-or-width": Claim("at the same number of parameters, deeper beats wider"),
    "degradation": Claim(
        "beyond some depth a plain network gets worse in training error; a residual one does not", "digits"
    ),
    "vanishing-gradient": Claim(
        "the gradient that reaches the first layer shrinks with depth with sigmoids, and less with ReLUs, norms and "
        "shortcuts",
        "digits",
    ),
    "hierarchy": Claim("features go from edges to parts: what a linear probe can tell grows with depth"),
    "augmentation": Claim("the fewer the images, the more augmentation gives", quick_limit=1_500),
    "overfitting": Claim("on few images, the gap between training and validation grows with depth", quick_limit=1_000),
    "precision": Claim("half precision trains to the same accuracy", "digits"),
    "approximation": Claim(
        "one hidden layer of N sigmoid units fits a given function ever better with N; a deep narrow one needs fewer "
        "parameters",
        "digits",
        data="digits",  # it looks at none: those that are always there
    ),
    "batch-and-devices": Claim("two processes on half batches train the same network as one on the whole", "digits"),
}


def experiment(name: str) -> Callable[[Bench], Seen]:
    """The function that measures a claim."""
    if name not in CLAIMS:
        raise unknown("claim", name, CLAIMS)
    found: Callable[[Bench], Seen] = import_module(f"deepenough.lab.claims.{name.replace('-', '_')}").measure
    return found


def run(
    name: str,
    data: str | Path | None = None,
    *,
    seeds: int = 3,
    quick: bool = False,
    limit: int | None = None,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
) -> tuple[Record, Path]:
    """Measure one claim, and write `record.json` and a page into `out`, by default `lab/NAME`.

    A run that was stopped goes on where it was: its trainings are kept. `quick` takes few images and epochs.
    """
    measure, claim, reporter = experiment(name), CLAIMS[name], reporter or Reporter()
    if seeds < 1:
        raise DeepenoughError(f"--seeds {seeds}: give 1 or more; intervals need at least 2")
    folder = Path(out) if out is not None else Path("lab") / name
    if (folder / FILE).is_file():
        raise DeepenoughError(f"--out {folder}: an experiment is there already; name another folder")
    if not (folder / "trainings").is_dir():
        check_new(folder)
    source = open_source(data if data is not None else claim.quick_data if quick else claim.data)
    limit = claim.quick_limit if quick and limit is None else limit
    began = time.perf_counter()
    with reporter.task("reading images") as advance:
        images = prepare(source, progress=advance, limit=limit)
    with Stop() as stop:
        bench = Bench(images, tuple(range(seeds)), quick, folder, reporter, stop)
        try:
            seen = measure(bench)
        except Interrupted:
            kept = f"; what was trained is kept in {folder}" if (folder / "trainings").is_dir() else ""
            raise Interrupted(f"stopped{kept}; run the same again to go on") from None
    record = Record(
        name=name,
        claim=claim.says,
        data=seen.on
        or f"{source.name}, {len(images.split.train):,} images to train, {len(images.split.validation):,} to judge",
        quick=quick,
        seeds=list(range(seeds)),
        seen=seen,
        verdict=verdict(seen.effects),
        seconds=time.perf_counter() - began,
        environment=environment(torch.get_num_threads(), max(bench.devices, default="cpu")),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, record.model_dump_json(indent=1))
    write_whole(folder / PAGE, render(record))
    return record, folder / PAGE


__all__ = ["CLAIMS", "load", "run"]
