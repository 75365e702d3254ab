"""Records as a run would leave them, made up."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from deepenough import record as record_files
from deepenough.record import schema as r
from deepenough.record.images import DataRecord, FindingRecord

EVIL = "</script><script>alert(1)</script>"


def score(share: float, count: int) -> r.Accuracy:
    value = round(share * count) / count if count else 0.0
    half = 1.96 * math.sqrt(value * (1 - value) / count) if count else 1.0
    return r.Accuracy(value=value, count=count, low=max(0.0, value - half), high=min(1.0, value + half))


def metrics(share: float, classes: int, each: int = 100) -> r.Metrics:
    draws = np.random.default_rng(round(share * 1000))
    table = []
    for k in range(classes):
        right = draws.binomial(each, share)
        weights = np.where(np.arange(classes) == k, 0.0, 1.0 / (1 + np.abs(np.arange(classes) - k)))
        row = draws.multinomial(each - right, weights / weights.sum())
        row[k] = right
        table.append([int(n) for n in row])
    right = sum(row[k] for k, row in enumerate(table))
    return r.Metrics(
        top1=score(right / (classes * each), classes * each),
        top5=0.995,
        balanced=right / (classes * each),
        loss=0.21,
        calibration_error=0.018,
        per_class=[score(row[k] / each, each) for k, row in enumerate(table)],
        confusion=table,
    )


def candidate(depth: int, share: float, classes: int, seed: int = 0, **given: object) -> r.CandidateRecord:
    folds = int(given.pop("folds", 1))  # type: ignore[call-overload]
    epochs = int(given.pop("epochs", 12))  # type: ignore[call-overload]
    trainings = []
    for fold in range(folds):
        curve = [
            r.EpochRecord(
                epoch=e, lr=0.1, seconds=2.0, train_loss=1.8 * math.exp(-e / 3), loss=1.8 * math.exp(-e / 3) + 0.2,
                train_top1=share + 0.03 - math.exp(-e / 2.5) * 0.7,
                top1=share - math.exp(-e / 2) * 0.6 + 0.006 * math.sin(3 * e + fold + depth),
            )
            for e in range(1, epochs + 1)
        ]  # fmt: skip
        trainings.append(
            r.TrainingRecord(lr=0.1, epochs=epochs, steps=400, seconds=24.0, cost=10**12 * depth,
                       ended="finished", curve=curve)
        )  # fmt: skip
    values: dict[str, object] = {
        "name": f"residual-{depth}" + (f"-seed{seed}" if seed else ""), "family": "residual", "depth": depth,
        "width": 1.0, "parameters": 9_000 * depth**2, "macs": 4_100_000 * depth, "receptive_field": 6 * depth,
        "role": "second seed" if seed else "search space", "seed": seed, "start": None, "state": "finished",
        "why": "next of the search space",
        "trainings": trainings, "cost": 10**12 * depth * folds, "seconds": 24.0 * folds,
        "decision": metrics(share, classes), "train_top1": min(1.0, share + 0.004 * depth),
    }  # fmt: skip
    return r.CandidateRecord.model_validate(values | given)


def made(target: float | None = None, classes: list[str] | None = None, folds: int = 1) -> r.Record:
    names = classes or ["bag", "boot", "coat", "dress", "pullover", "sandal", "shirt", "sneaker", "top", "trouser"]
    n = len(names)
    tried = [
        candidate(4, 0.861, n, folds=folds),
        candidate(8, 0.927, n, folds=folds),
        candidate(8, 0.925, n, seed=1, folds=folds),
        candidate(14, 0.931, n, folds=folds, start="residual-8"),
        candidate(20, 0.934, n, folds=folds),
        candidate(26, 0.90, n, epochs=4, role="scout", state="pruned",
                  why="after 4 of 12 epochs it could no longer pass residual-20"),
    ]  # fmt: skip
    best = tried[4]
    pairs = []
    for c in tried[:4] if target is None else []:
        assert c.decision
        assert best.decision
        gap = best.decision.top1.value - c.decision.top1.value
        pairs.append(
            r.ComparisonRecord(candidate=c.name, best=best.name, difference=gap, lower=gap - 0.006, upper=gap + 0.006,
                         standard_error=0.0036, images=100 * n, seeds=1, enough=c.depth == 14,
                         not_shown_worse=c.depth >= 8, contested=False, images_to_settle=5200,
                         text=f"not shown: it may be up to {100 * (gap + 0.006):.1f} points worse")
        )  # fmt: skip
    checks = [
        r.TargetCheckRecord(candidate=c.name, value=c.decision.top1.value, lower=c.decision.top1.low, images=100 * n,
                      shown=c.depth == 20, seems=c.depth >= 8, images_to_settle=3000,
                      text="seems to meet it" if c.depth >= 8 else "does not meet it")
        for c in tried[:5] if c.decision
    ] if target else []  # fmt: skip
    chosen = tried[4] if target else tried[3]
    findings = [
        FindingRecord(kind="duplicate", name=f"coat/{i:04}.png", detail=f"same picture as coat/{i + 1:04}.png",
                  action="kept on the same side", other=f"coat/{i + 1:04}.png") for i in range(210)
    ] + [FindingRecord(kind="damaged", name="bag/bad.jpg", detail="cut short", action="left out")]  # fmt: skip
    return r.Record(
        version="0.1.0", status="finished", created="2026-11-23T02:00:00+00:00", seed=0,
        command="deepenough fit clothing --family residual" + (f" --target {target}" if target else ""),
        environment={"deepenough": "0.1.0", "python": "3.12.4", "torch": "2.13.0", "device": "cpu", "threads": "2"},
        options={},
        question=r.QuestionRecord(target=target, margin=0.01, confidence=0.95, metric="top1", minimize="depth",
                            families=["residual"], widths=[1.0], budget=0.5, time_limit=None, seed=0),
        data=DataRecord(source="clothing", fingerprint="3f9a" * 16, classes=names, size=(28, 28), channels=1,
                    mean=[0.28], std=[0.35], counts={"train": [500] * n, "validation": [100] * n, "test": [100] * n},
                    findings=findings, mirror=True),
        decision_images=r.DecisionImages(kind="out-of-fold" if folds > 1 else "validation", count=100 * n, folds=folds,
                                         why="the validation split"),
        recipe={"epochs": 12, "batch": 128, "optimizer": "sgd", "lr": None, "augment": {"rotation": 8.0, "flip": True}},
        search_space=[r.ArchitectureRecord(name=c.name, family="residual", width=1.0, depth=c.depth,
                                     parameters=c.parameters, macs=c.macs, planned_cost=c.cost)
                      for c in tried if not c.seed],
        candidates=tried,
        steps=[r.EventRecord(what="train residual-4", why="the shallowest architecture comes first"),
               r.EventRecord(what="train residual-20", why="the search space doubles until nothing is gained"),
               r.EventRecord(what="end residual-26 after 4 epochs", why="it could no longer pass residual-20")],
        decision=r.Decision(chosen=chosen.name, depth=chosen.depth, kind="shown",
                            second="residual-8", best="residual-20", resolves=0.0147,
                            text=f"depth {chosen.depth} is deep enough: shown on {100 * n:,} images",
                            advice=["about 5,200 decision images would settle whether residual-8 would do"],
                            comparisons=pairs, target_checks=checks),
        cost=r.Cost(spent=61 * 10**12, chosen_alone=14 * 10**12, whole_space=150 * 10**12, final=0, times_chosen=4.36,
                    share_of_space=0.407, seconds=148.0),
        layers=[r.LayerRecord(path=f"level{1 + i // 4}.block{i}.main.conv1", kind="Conv", kernel=3, stride=1, padding=1,
                           groups=1, input_shape=[16, 28, 28], output_shape=[16, 28, 28], parameters=2304,
                           macs=1806336, receptive_field=3 + 2 * i) for i in range(chosen.depth)],
        train=metrics(0.97, n), test=metrics(0.923, n),
        baselines=[r.Baseline(name="linear model on the pixels", test=score(0.842, 100 * n), trained_on=5000,
                              note="all training images", seconds=2.0),
                   r.Baseline(name="gradient-boosted trees on the pixels", test=score(0.865, 100 * n),
                              trained_on=4000, note="4,000 training images", seconds=5.0)],
        mistakes=[r.Mistake(name=f"shirt/{i:03}.png", truth=names[-1], predicted=names[0], confidence=0.99 - i / 100,
                            picture=f"pictures/mistake-{i:02}.png") for i in range(8)],
    )  # fmt: skip


def looked_at(record: r.Record) -> r.Record:
    """The same with heat, and with the signals of every layer of the chosen network and of the deepest."""
    for number, mistake in enumerate(record.mistakes):
        mistake.heat, mistake.truth_heat = (f"pictures/mistake-{number:02}-{word}.png" for word in ("heat", "truth"))
    record.examples = [
        r.Example(name=f"{name}/1.png", truth=name, confidence=0.9, picture=f"pictures/class-{number:03}.png",
                  heat=f"pictures/class-{number:03}-heat.png")
        for number, name in enumerate(record.data.classes)
    ]  # fmt: skip
    for candidate in record.candidates:
        candidate.layers = [f"conv{number}" for number in range(candidate.depth)]
        for training in candidate.trainings:
            for row in training.curve:
                row.gradients = [10.0 ** (number - candidate.depth) for number in range(candidate.depth)]
                row.activations = [1.0 + number for number in range(candidate.depth)]
    return record


def write_run(record: r.Record, run: Path) -> Path:
    (run / "pictures").mkdir(parents=True, exist_ok=True)
    draws = np.random.default_rng(0)
    for mistake in record.mistakes:
        for name in filter(None, (mistake.picture, mistake.heat, mistake.truth_heat)):
            Image.fromarray(draws.integers(0, 255, (28, 28), np.uint8)).save(run / name)
    for example in record.examples:
        for name in (example.picture, example.heat):
            Image.fromarray(draws.integers(0, 255, (28, 28), np.uint8)).save(run / name)
    record_files.save(record, run)
    return run
