"""The networks of other depths that a run trained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from deepenough.engines import TORCH
from deepenough.model import FOLDER, Model, load
from deepenough.nets import loads
from deepenough.preprocessing import Preprocessing
from deepenough.record import CANDIDATES, FILE, Record, fold_folder
from deepenough.record import load as load_record
from deepenough.record.schema import CandidateRecord
from deepenough.training.result import PAUSED_FOLDER, RESULT_FILE, load_result, read_facts


@dataclass(frozen=True)
class Sibling:
    """A candidate with its depth and accuracy on the decision images (0..1): all of them if it was tried to its end
    (`finished`), those seen until then if it was given up as pruned."""

    name: str
    depth: int
    accuracy: float
    chosen: bool
    finished: bool
    model: Model


def _open_record(run: Path) -> Record | None:
    """The record of a run; None for a model folder alone."""
    return load_record(run) if (run / FOLDER).is_dir() and (run / FILE).is_file() else None


def _siblings(run: Path, record: Record | None, model: Model) -> list[Sibling]:
    """The candidates whose weights were kept, from shallow to deep; of folds, the network of the first."""
    if record is None or record.decision is None:
        return []
    found = []
    for candidate in record.candidates:
        chosen = candidate.name == record.decision.chosen
        shown = chosen or candidate.role in ("search space", "bisection")  # a distilled one only where it is shipped
        if not shown or candidate.state not in ("finished", "pruned"):
            continue
        if not _takes_the_same_images(record, candidate, model):
            continue
        folder = fold_folder(run / CANDIDATES / candidate.name, 0)
        if not (folder / RESULT_FILE).is_file():
            folder /= PAUSED_FOLDER  # it was pruned within its first fold
        facts = read_facts(folder)
        if facts is None or candidate.decision is None:
            continue
        if not isinstance(facts["network"], dict):  # written before networks were kept here as JSON
            continue
        if chosen:
            own = model
        else:
            network = loads(json.dumps(facts["network"]))
            trained = load_result(folder, network)
            if trained is None:
                continue
            own = Model(network, trained.state, model.preprocess, model.classes, model.device)
        finished, accuracy = candidate.state == "finished", candidate.decision.top1.value
        found.append(Sibling(candidate.name, candidate.depth, accuracy, chosen, finished, own))
    return sorted(found, key=lambda sibling: sibling.depth)


def _takes_the_same_images(record: Record, candidate: CandidateRecord, model: Model) -> bool:
    """Tell if a candidate takes what the model takes; one of another pretrained network may want images otherwise."""
    own = next((each.preprocess for each in record.probings if each.network == candidate.family), None)
    return own is None or Preprocessing.from_json(own) == model.preprocess


def open_run(run: Path, device: str = "cpu", engine: str = TORCH) -> tuple[Model, Record | None, list[Sibling]]:
    """The model of a run, its record, and its siblings, which torch computes. Of engines, "auto" is the fastest."""
    model = load(run, device, engine, measured=True)
    model.torch.prepare()  # explanations shall not wait for it
    record = _open_record(run)
    return model, record, _siblings(run, record, model)
