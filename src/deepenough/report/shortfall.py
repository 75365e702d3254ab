"""Warnings that the test images say that the network learned little, with the likely causes by the run's evidence."""

from __future__ import annotations

import math

from deepenough.language import gettext as _
from deepenough.record import Record
from deepenough.record.schema import Baseline, Metrics
from deepenough.report.text import percent

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
            _(
                "on the test images it is not shown to beat always naming the most frequent class (%(share)s): give it "
                "more images, or train longer with --epochs",
                share=percent(most_frequent),
            )
        )
    better = max(record.baselines, key=lambda baseline: baseline.test.value, default=None)
    if better is not None and better.test.value > test.top1.value:
        found.append(_beaten(record, test, better))
    return found


def _beaten(record: Record, test: Metrics, better: Baseline) -> str:
    """Name the model without depth that does better, and why that may be, the likeliest cause first."""
    trees = "trees" in better.name
    figures = {"baseline": percent(better.test.value), "network": percent(test.top1.value)}
    if better.test.low <= test.top1.value:
        return (
            _(
                "gradient-boosted trees on the pixels are not shown to be worse on the test images, %(baseline)s "
                "against %(network)s: depth may gain nothing here",
                **figures,
            )
            if trees
            else _(
                "a linear model on the pixels is not shown to be worse on the test images, %(baseline)s against "
                "%(network)s: depth may gain nothing here",
                **figures,
            )
        )
    does = (
        _(
            "gradient-boosted trees on the pixels do better on the test images, %(baseline)s against %(network)s",
            **figures,
        )
        if trees
        else _(
            "a linear model on the pixels does better on the test images, %(baseline)s against %(network)s", **figures
        )
    )
    causes = likely_causes(record, better.test.value)
    if not causes:
        return _("%(finding)s: the task may need no depth; use that model", finding=does)
    numbered = [_("(%(number)s) %(cause)s", number=number, cause=cause) for number, cause in enumerate(causes, 1)]
    listed = _("; ").join(numbered)
    return _("%(finding)s. Likely causes, the likeliest first: %(causes)s", finding=does, causes=listed)


def likely_causes(record: Record, reached: float) -> list[str]:
    """The causes that the run has evidence for why its network stays below an accuracy that can be `reached`.

    First comes what a test has shown, then what the training images say: a network that is worse on them as well has
    not learned enough, one that is right about them has too few.
    """
    causes = []
    flips = bool(record.recipe["augment"].get("flip"))
    if flips and record.mirroring is not None and record.mirroring.harms:
        causes.append(_("mirror images change the class, by a test on the training images: leave --flip out"))
    causes += _by_training(record, reached)
    if flips and record.mirroring is not None and not record.mirroring.harms and not record.mirroring.tells:
        causes.append(_("mirror images may change the class, which too few images could tell: try --no-flip"))
    return causes


def _by_training(record: Record, reached: float) -> list[str]:
    """The causes that the training images and the learning curve of the chosen network speak for."""
    train, test = record.train, record.test
    if train is None or test is None or record.decision is None or not train.top1.count:
        return []
    if train.top1.value >= max(reached, test.top1.value + GAP):
        smallest = min(record.data.counts["train"])
        return [
            _(
                "too few images (down to %(smallest)s a class): it is right about %(train)s of its training images and "
                "%(test)s of others; give more, or a stronger --augment",
                smallest=f"{smallest:,}",
                train=percent(train.top1.value),
                test=percent(test.top1.value),
            )
        ]
    trainings = record.candidate(record.decision.chosen).trainings
    if not trainings or not trainings[0].curve:
        return []
    curve, lr = trainings[0].curve, trainings[0].lr
    before, last = curve[-1 - max(len(curve) // 4, 1)].train_loss if len(curve) > 1 else math.inf, curve[-1].train_loss
    epochs = _(
        "too few epochs: after %(epochs)s it is right about %(train)s of its training images; give --epochs %(more)s",
        epochs=len(curve),
        train=percent(train.top1.value),
        more=4 * len(curve),
    )
    guessing = math.log(len(record.data.classes))
    if last <= LEARNED * guessing:
        return [epochs]
    rate = _(
        "the learning rate, %(lr)s: the training loss ended at %(loss)s, where guessing has %(guessing)s; try --lr "
        "%(smaller)s",
        lr=f"{lr:.2g}",
        loss=f"{last:.2f}",
        guessing=f"{guessing:.2f}",
        smaller=f"{lr / 4:.1g}",
    )
    return [epochs, rate] if last < (1 - FALLING) * before else [rate, epochs]
