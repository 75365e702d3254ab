"""From what was tried and decided to the record of the run."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import torch

from deepenough import record as r
from deepenough.autotuning.measure import Measured
from deepenough.autotuning.ways import Way
from deepenough.data import Images
from deepenough.files import printable
from deepenough.nets import Weighted, receptive_field
from deepenough.nets.shapes import visits
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate, CandidateTrainer
from deepenough.search.folds import DecisionFolds
from deepenough.search.rules import Question, Verdict
from deepenough.search.search import Search
from deepenough.search.statistics import interval
from deepenough.training import Scores, Trained
from deepenough.training.memory import peak

LIBRARIES = ("torch", "numpy", "pillow", "scikit-learn", "scipy")


def accuracy(correct: int, count: int) -> r.Accuracy:
    low, high = interval(correct, count)
    return r.Accuracy(value=correct / count if count else 0.0, count=count, low=low, high=high)


def metrics(probabilities: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], classes: Sequence[str]) -> r.Metrics:
    """Everything measured on one set of images, from probabilities (n, classes)."""
    scores = Scores.of(probabilities, labels, len(classes))
    confusion = scores.confusion
    return r.Metrics(
        top1=accuracy(int(np.trace(confusion)), len(labels)),
        top5=float(scores.top5),
        balanced=float(scores.balanced),
        loss=float(scores.loss),
        calibration_error=float(scores.calibration_error),
        per_class=[accuracy(int(row[i]), int(row.sum())) for i, row in enumerate(confusion)],
        confusion=[[int(n) for n in row] for row in confusion],
    )


def environment(threads: int, device: str, processes: int = 1) -> dict[str, str]:
    """What the run ran on. No host name and no path: records are shown around."""
    return {
        "deepenough": version("deepenough"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": str(os.cpu_count()),
        "threads": str(threads),
        "processes": str(processes),
        "device": device if device != "cuda" else torch.cuda.get_device_name(),
        **{name: version(name) for name in LIBRARIES},
    }


def data(images: Images) -> r.Data:
    split = images.split
    index = {"train": split.train, "validation": split.validation, "test": split.test}
    count = len(images.classes)
    preprocess = images.preprocess
    return r.Data(
        source=images.source,
        fingerprint=images.fingerprint,
        classes=list(images.classes),
        size=preprocess.size,
        channels=preprocess.channels,
        mean=list(preprocess.mean),
        std=list(preprocess.std),
        counts={
            name: [int(n) for n in np.bincount(images.labels[part], minlength=count)] for name, part in index.items()
        },
        findings=[
            r.Finding(kind=f.kind, name=printable(f.name), detail=printable(f.detail), action=f.action)
            for f in images.findings
        ],
        mirror=images.mirror,
        in_blocks=images.in_blocks,
    )


def question(asked: Question, time_limit: float | None) -> r.Question:
    return r.Question(
        target=asked.target,
        margin=asked.margin,
        confidence=0.95,
        metric=asked.metric,  # type: ignore[arg-type]
        minimize=asked.minimize,  # type: ignore[arg-type]
        families=list(asked.families),
        widths=list(asked.widths),
        budget=asked.budget,
        time_limit=time_limit,
        seed=asked.seed,
    )


def decision_images(folds: DecisionFolds) -> r.DecisionImages:
    return r.DecisionImages(
        kind=folds.kind,  # type: ignore[arg-type]
        count=len(folds.images),
        folds=len(folds.folds),
        why=folds.why,
    )


def architecture(step: Architecture, trainer: CandidateTrainer) -> r.Architecture:
    return r.Architecture(
        name=step.name,
        family=step.family,
        width=step.width,
        depth=step.depth,
        parameters=step.parameters,
        macs=step.macs,
        planned_cost=trainer.planned(step),
    )


def training(trained: Trained, fold: int, seed: int) -> r.Training:
    return r.Training(
        fold=fold,
        seed=seed,
        lr=trained.lr,
        epochs=trained.epochs,
        steps=trained.steps,
        seconds=trained.seconds,
        waited=trained.waited / trained.seconds if trained.seconds else 0.0,
        cost=trained.macs,
        ended=trained.ended,
        curve=[r.EpochRow.model_validate(epoch.to_json()) for epoch in trained.curve],
    )


def candidate(tried: Candidate, classes: Sequence[str], measured: Measured) -> r.Candidate:
    network = tried.architecture.network
    return r.Candidate(
        name=tried.name,
        family=tried.architecture.family,
        depth=tried.architecture.depth,
        width=tried.architecture.width,
        parameters=tried.architecture.parameters,
        macs=tried.architecture.macs,
        receptive_field=receptive_field(network),
        role=tried.role,  # type: ignore[arg-type]
        seed=tried.seed,
        start=tried.start,
        state="unfinished" if tried.state == "sure" else tried.state,  # type: ignore[arg-type]
        why=tried.why,
        trainings=[training(t, fold, tried.seed) for fold, t in enumerate(tried.trainings)],
        cost=tried.cost,
        seconds=tried.seconds,
        decision=metrics(tried.probabilities[tried.seen], tried.labels[tried.seen], classes),
        train_top1=tried.train_top1,
        ways=[r.Way.model_validate(way.to_json()) for way in measured.tried],
        way=str(measured.chosen),
        expected=measured.chosen.total(tried.cost / (3 * tried.architecture.macs)),
        layers=[visit.path for visit in visits(network) if isinstance(visit.layer, Weighted)],
    )


def decision(verdict: Verdict) -> r.Decision:
    return r.Decision(
        candidate=verdict.chosen.name,
        depth=verdict.chosen.architecture.depth,
        kind=verdict.kind,  # type: ignore[arg-type]
        second=verdict.second.name if verdict.second else None,
        best=verdict.best.name,
        resolves=verdict.resolves,
        text=verdict.text,
        advice=list(verdict.advice),
        comparisons=[
            r.Comparison(
                candidate=c.candidate.name,
                best=c.best.name,
                difference=c.difference.value,
                lower=c.difference.lower,
                upper=c.difference.upper,
                standard_error=c.difference.standard_error,
                images=c.difference.images,
                seeds=c.seeds,
                enough=c.enough,
                not_shown_worse=c.not_shown_worse,
                contested=c.contested,
                images_to_settle=c.images_to_settle,
                text=c.text,
            )
            for c in verdict.compared
        ],
        target=[
            r.TargetCheck(
                candidate=c.candidate.name,
                value=c.value,
                lower=c.lower,
                images=c.images,
                shown=c.shown,
                seems=c.seems,
                images_to_settle=c.images_to_settle,
                text=c.text,
            )
            for c in verdict.checked
        ],
    )


def sobering(test: r.Metrics, baselines: Sequence[r.Baseline]) -> list[str]:
    """What a user has to hear where the test images say that the network learned little."""
    words = []
    commonest = max(sum(row) for row in test.confusion) / max(test.top1.count, 1)
    if test.top1.count and test.top1.low <= commonest:
        words.append(
            f"on the test images it is not shown to be better than naming the most frequent class ({commonest:.1%}): "
            "more images, or longer training with --epochs"
        )
    better = max(baselines, key=lambda b: b.test.value, default=None)
    if better and better.test.low > test.top1.value:
        words.append(
            f"a {better.name} does better on the test images, {better.test.value:.1%} against {test.top1.value:.1%}: "
            "train longer, with --epochs, or use that"
        )
    return words


def cost(search: Search, chosen: Candidate, final: Trained | None) -> r.Cost:
    """What was spent, against training the chosen network alone and against training the whole search space."""
    retraining = final.macs if final else 0
    spent = search.spent + retraining
    trained_once = final.macs if final else chosen.cost if len(search.trainer.folds.folds) == 1 else 0
    alone = trained_once or search.trainer.alone(chosen.architecture)
    known = {c.architecture.name: c.cost for c in search.space_candidates() if c.finished}
    whole = retraining + sum(known.get(step.name, search.trainer.planned(step)) for step in search.search_space)
    return r.Cost(
        spent=spent,
        chosen_alone=alone,
        whole_space=whole,
        final=retraining,
        times_chosen=spent / alone,
        share_of_space=spent / whole,
        seconds=sum(c.seconds for c in search.tried) + (final.seconds if final else 0.0),
    )


def outcome(
    plan: r.Plan | None,
    candidates: Sequence[r.Candidate],
    cost: r.Cost,
    architecture: Architecture,
    way: Way,
    device: str,
) -> r.Plan | None:
    """The plan beside what came of it on a kind of device; the chosen `architecture` was trained once more, if at all,
    in this `way`."""
    again = way.total(cost.final / (3 * architecture.macs)) if cost.final else 0.0
    expected = sum(c.expected or 0.0 for c in candidates) + again
    return plan and plan.model_copy(update={"expected": expected, "seconds": cost.seconds, "peak": peak(device)})
