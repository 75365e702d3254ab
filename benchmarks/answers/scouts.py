"""Partial trainings beside full ones: by how much they understate what a deeper network gains.

All on the first fold, with the whole schedule of the learning rate in a share of the epochs: `short` ones from scratch,
`grown` ones from a finished shallower network at that network's learning rate, since a range test on what is trained
already picks one that trains nothing. What more epochs alone do is seen from `continued` ones, the parents themselves.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
from truth import Case

from deepenough.nets.grow import grows
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Attempt, Candidate

QUARTER, HALF = 0.25, 0.5
TABLE = "scouts.csv"


@dataclass(frozen=True)
class Scout:
    """A row of the table: one training on the first fold, `kind` full, short, grown or continued."""

    set: str
    seed: int
    kind: str
    architecture: str
    depth: int
    parent: str
    epochs_share: float
    decision_accuracy: float
    decision_images: int
    macs: int
    seconds: float


def train_scouts(cache: Path, cases: Iterable[Case]) -> None:
    """Train the scouts of every case, write each into the table as soon as it is there, and print the biases."""
    table, known = cache / TABLE, {}
    if table.is_file():
        known = {key(row): row for row in csv.DictReader(table.open(encoding="utf-8"))}
    cache.mkdir(parents=True, exist_ok=True)
    with table.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Scout)])
        if not known:
            writer.writeheader()
        for case in cases:
            found = []
            for scout, hits in scouts(case):
                found.append((scout, hits))
                row = {name: str(value) for name, value in asdict(scout).items()}
                if key(row) not in known:
                    writer.writerow(row)
                    file.flush()
            print("\n".join(["", case.name, *biases(found)]), flush=True)


def key(row: dict[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("set", "seed", "kind", "architecture", "parent", "epochs_share"))


def scouts(case: Case) -> Iterator[tuple[Scout, npt.NDArray[np.float64]]]:
    """Every partial and full training of a case on the first fold, and its hits, from cheap to dear."""
    space, full = case.experiment.search_space, {}
    for architecture in space:
        for share in (QUARTER, HALF) if case.seed == 0 else (QUARTER,):
            yield scout(case, architecture, "short", share)
        full[architecture.name] = first_fold(case, architecture)
        yield of(case, full[architecture.name], "full", 1.0)
    best = max(full.values(), key=lambda candidate: candidate.accuracy)
    parents = {candidate.name: candidate for candidate in (full[space[min(2, len(space) - 1)].name], best)}
    deeper = dict.fromkeys((space[-1], space[2 * (len(space) - 1) // 3]))  # the deepest and one between
    for parent in parents.values():
        yield scout(case, parent.architecture, "continued", QUARTER, parent)
        for architecture in deeper:
            if parent.architecture != architecture and grows(parent.architecture.network, architecture.network):
                yield scout(case, architecture, "grown", QUARTER, parent)


def scout(
    case: Case, architecture: Architecture, kind: str, share: float, parent: Candidate | None = None
) -> tuple[Scout, npt.NDArray[np.float64]]:
    folder = f"{kind}-{share:g}" + (f"-from-{parent.name}" if parent else "")
    return of(case, first_fold(case, architecture, case.folder / folder, share, parent), kind, share)


def first_fold(
    case: Case,
    architecture: Architecture,
    folder: Path | None = None,
    share: float = 1.0,
    parent: Candidate | None = None,
) -> Candidate:
    """Train an architecture on the first fold, for a share of the epochs, where `folder` is its own."""
    trainer = case.experiment.trainer
    trainer.tuned(architecture)  # once for the case, whatever folder it is trained in
    folds, recipe = replace(trainer.folds, folds=trainer.folds.folds[:1]), trainer.recipe
    epochs = None if share == 1 else max(1, round(share * recipe.epochs))
    if parent:
        recipe = replace(recipe, lr=parent.trainings[0].lr)
    attempt = Attempt(architecture, case.seed, epochs=epochs, parent=parent)
    return replace(trainer, folds=folds, recipe=recipe, folder=folder or trainer.folder).train_candidate(attempt)


def of(case: Case, candidate: Candidate, kind: str, share: float) -> tuple[Scout, npt.NDArray[np.float64]]:
    architecture = candidate.architecture
    row = Scout(
        set=case.images.name,
        seed=case.seed,
        kind=kind,
        architecture=architecture.name,
        depth=architecture.depth,
        parent=candidate.start or "",
        epochs_share=share,
        decision_accuracy=candidate.accuracy,
        decision_images=len(candidate.seen),
        macs=candidate.cost,
        seconds=round(candidate.seconds, 1),
    )
    return row, candidate.hits


def biases(found: Sequence[tuple[Scout, npt.NDArray[np.float64]]]) -> Iterator[str]:
    """For every pair of depths the gain of the deeper one at full and at part of the epochs; for every grown one its
    gain over its parent, that of the parent alone, and that of the full training. Standard errors are of the decision
    images alone, paired."""
    scratch = {(each.kind, each.epochs_share, each.depth): hits for each, hits in found if not each.parent}
    depths = sorted({depth for _, _, depth in scratch})
    yield "| shallower | deeper | share of the epochs | gain in full | gain in part | understated by |"
    yield "|---" * 6 + "|"
    for share in sorted({share for kind, share, _ in scratch if kind == "short"}):
        for shallow, deep in combinations(depths, 2):
            full = scratch["full", 1.0, deep] - scratch["full", 1.0, shallow]
            part = scratch["short", share, deep] - scratch["short", share, shallow]
            yield f"| {shallow} | {deep} | {share:g} | {mean(full)} | {mean(part)} | {mean(full - part)} |"
    full_hits = {each.architecture: hits for each, hits in found if each.kind == "full"}
    yield "\n| depth | from | gain over it in a quarter of the epochs | gain in full | understated by |"
    yield "|---" * 5 + "|"
    for each, hits in found:
        if each.parent:
            full, parent = full_hits[each.architecture], full_hits[each.parent]
            columns = (mean(gain) for gain in (hits - parent, full - parent, full - hits))
            yield f"| {each.depth} | {each.parent} | {' | '.join(columns)} |"


def mean(differences: npt.NDArray[np.float64]) -> str:
    """In points, with its standard error."""
    return f"{100 * differences.mean():.2f} ± {100 * differences.std(ddof=1) / np.sqrt(len(differences)):.2f}"
