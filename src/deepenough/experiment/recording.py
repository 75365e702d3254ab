"""The parts of a record that have to be computed; the rest is filled from attributes (`deepenough.record.schema`)."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import torch

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.tuning import TuningResult
from deepenough.data.images import Images
from deepenough.evaluation.metrics import metrics
from deepenough.nets import Weighted
from deepenough.nets.shapes import visits
from deepenough.record.images import DataRecord
from deepenough.record.plan import Plan
from deepenough.record.schema import CandidateRecord, Cost, Record
from deepenough.search.candidates import Candidate
from deepenough.search.search import Search
from deepenough.training.callbacks import Ending
from deepenough.training.freezing import frozen_layers
from deepenough.training.memory import peak_memory
from deepenough.training.result import Trained

LIBRARIES = ("torch", "numpy", "pillow", "scikit-learn", "scipy")


def environment(threads: int, device: str, processes: int = 1, **more: int) -> dict[str, str]:
    """Describe the machine and the libraries. No host name and no path: records are shown around.

    `more`: what else decides the last bits of a run that goes on, by name.
    """
    return {
        "deepenough": version("deepenough"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "threads": str(threads),
        **{name: str(value) for name, value in more.items()},
        "processes": str(processes),
        "device": device if device != "cuda" else torch.cuda.get_device_name(),
        **{name: version(name) for name in LIBRARIES},
    }


def data_record(images: Images) -> DataRecord:
    """Record the images, with how many of each class there are in each split."""
    counts = {
        name: np.bincount(images.labels[getattr(images.split, name)], minlength=len(images.classes)).tolist()
        for name in ("train", "validation", "test")
    }
    return DataRecord.of(images, counts=counts)


def candidate_record(candidate: Candidate, tuned: TuningResult, step_macs: int, freeze: float) -> CandidateRecord:
    """Record a candidate, its metrics so far and the configurations tried for a step of `step_macs` an image; `freeze`
    as in `Recipe.freeze`."""
    seen, network = candidate.seen, candidate.architecture.network
    return CandidateRecord.of(
        candidate,
        state="unfinished" if candidate.state is Ending.PAUSED else candidate.state,
        decision=metrics(candidate.probabilities[seen], candidate.labels[seen]),
        ways=tuned.tried,
        way=str(tuned.chosen),
        expected=tuned.chosen.total(candidate.cost / step_macs),
        layers=[visit.path for visit in visits(network) if isinstance(visit.layer, Weighted)],
        frozen=frozen_layers(network, freeze) if freeze else None,
    )


def recorded_tuning(record: Record) -> dict[str, TuningResult]:
    """The configurations of a step that a record has, by the names of its candidates."""
    found = {}
    for candidate in record.candidates:
        tried = tuple(StepConfiguration(**each.model_dump()) for each in candidate.ways)
        chosen = next((each for each in tried if str(each) == candidate.way), None)
        if chosen:
            found[candidate.name] = TuningResult(tried, chosen)
    return found


def search_cost(search: Search, chosen: Candidate, final: tuple[Trained, ...]) -> Cost:
    """Compare the cost with training the chosen network alone (after its teacher, if it has one), and with training the
    whole search space. `final` are the trainings on all images but test, where folds made them necessary."""
    retraining = sum(training.macs for training in final)
    spent = search.spent + retraining
    by_itself = chosen.cost + (chosen.teacher.cost if chosen.teacher else 0)
    trained_once = retraining or (by_itself if len(search.trainer.folds.folds) == 1 else 0)
    alone = trained_once or search.trainer.alone(chosen.architecture)
    known = {c.architecture.name: c.cost for c in search.space_candidates() if c.finished}
    whole = retraining + sum(known.get(step.name, search.trainer.planned(step)) for step in search.search_space)
    return Cost(
        spent=spent,
        chosen_alone=alone,
        whole_space=whole,
        final=retraining,
        times_chosen=spent / alone,
        share_of_space=spent / whole,
        seconds=sum(c.seconds for c in search.tried) + sum(training.seconds for training in final),
    )


def plan_outcome(plan: Plan, candidates: Sequence[CandidateRecord], cost: Cost, retraining: float, device: str) -> Plan:
    """Complete the plan with what it came to on a kind of device.

    Args:
        plan: as it was before the first training.
        candidates: all that were tried.
        cost: of the search.
        retraining: seconds that training the chosen network once more was expected to take.
        device: its kind, "cpu" or "cuda".
    """
    expected = sum(candidate.expected or 0.0 for candidate in candidates) + retraining
    return plan.model_copy(update={"expected": expected, "seconds": cost.seconds, "peak": peak_memory(device)})
