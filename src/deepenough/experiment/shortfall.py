"""Warnings that the test images say that the network learned little, with the likely causes by the run's evidence."""

from __future__ import annotations

import math

from deepenough.record import Record
from deepenough.record.schema import Baseline, Metrics

FALLING = 0.05  # share of the training loss lost over the last quarter of the epochs, from which it was still falling
GAP = 0.05  # between training and test images, from which a network knows its training images by heart
LEARNED = 0.5  # share of the loss of guessing, above which little has been learned


def shortfalls(record: Record) -> list[str]:
    """Warn where the network is not shown to beat the most frequent class, or a model without depth beats it."""
    test = record.test
    if test is None or not test.top1.count:
        return []
    found = []
    most_frequent = max(sum(row) for row in test.confusion) / test.top1.count
    if test.top1.low <= most_frequent:
        found.append(
            f"on the test images it is not shown to beat always naming the most frequent class ({most_frequent:.1%}): "
            "give it more images, or train longer with --epochs"
        )
    better = max(record.baselines, key=lambda baseline: baseline.test.value, default=None)
    if better is not None and better.test.value > test.top1.value:
        found.append(_beaten(record, test, better))
    return found


def _beaten(record: Record, test: Metrics, better: Baseline) -> str:
    """Name the model without depth that does better, and why that may be, the likeliest cause first."""
    many = "trees" in better.name
    subject, does = (
        (f"{better.name} are", f"{better.name} do") if many else (f"a {better.name} is", f"a {better.name} does")
    )
    figures = f"{better.test.value:.1%} against {test.top1.value:.1%}"
    if better.test.low <= test.top1.value:
        return f"{subject} not shown to be worse on the test images, {figures}: depth may gain nothing here"
    causes = likely_causes(record, better.test.value)
    if not causes:
        return f"{does} better on the test images, {figures}: the task may need no depth; use that model"
    listed = "; ".join(f"({number}) {cause}" for number, cause in enumerate(causes, 1))
    return f"{does} better on the test images, {figures}. Likely causes, the likeliest first: {listed}"


def likely_causes(record: Record, reached: float) -> list[str]:
    """The causes that the run has evidence for why its network stays below an accuracy that can be `reached`.

    First comes what a test has shown, then what the training images say: a network that is worse on them as well has
    not learned enough, one that is right about them has too few.
    """
    causes = []
    flips = bool(record.recipe["augment"].get("flip"))
    if flips and record.mirroring is not None and record.mirroring.harms:
        causes.append("mirror images change the class, by a test on the training images: leave --flip out")
    causes += _by_training(record, reached)
    if flips and record.mirroring is not None and not record.mirroring.harms and not record.mirroring.tells:
        causes.append("mirror images may change the class, which too few images could tell: try --no-flip")
    return causes


def _by_training(record: Record, reached: float) -> list[str]:
    """The causes that the training images and the learning curve of the chosen network speak for."""
    train, test = record.train, record.test
    if train is None or test is None or record.decision is None or not train.top1.count:
        return []
    if train.top1.value >= max(reached, test.top1.value + GAP):
        smallest = min(record.data.counts["train"])
        return [
            f"too few images (down to {smallest:,} a class): it is right about {train.top1.value:.1%} of its training "
            f"images and {test.top1.value:.1%} of others; give more, or a stronger --augment"
        ]
    trainings = record.candidate(record.decision.chosen).trainings
    if not trainings or not trainings[0].curve:
        return []
    curve, lr = trainings[0].curve, trainings[0].lr
    before, last = curve[-1 - max(len(curve) // 4, 1)].train_loss if len(curve) > 1 else math.inf, curve[-1].train_loss
    epochs = (
        f"too few epochs: after {len(curve)} it is right about {train.top1.value:.1%} of its training images; give "
        f"--epochs {4 * len(curve)}"
    )
    guessing = math.log(len(record.data.classes))
    if last <= LEARNED * guessing:
        return [epochs]
    rate = (
        f"the learning rate, {lr:.2g}: the training loss ended at {last:.2f}, where guessing has {guessing:.2f}; "
        f"try --lr {lr / 4:.1g}"
    )
    return [epochs, rate] if last < (1 - FALLING) * before else [rate, epochs]
