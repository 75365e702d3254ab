"""What a verdict makes of made-up values, where the truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepenough.data.augment import Augment
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.lab.page import bounds, render_experiment
from deepenough.lab.record import (
    CONTRADICTED,
    NOT_SHOWN,
    SUPPORTED,
    Effect,
    LabRecord,
    Line,
    Point,
    Result,
    SeedHits,
    overall_verdict,
    sampling_error,
)
from deepenough.lab.run import measurement
from deepenough.lab.trials import Trials, leave_one_seed_out
from deepenough.nets import depth

SEEDS, IMAGES = 3, 2_000


def drawn(accuracy: float, images: int = IMAGES, seeds: int = SEEDS, draw: int = 0) -> SeedHits:
    """Hits of networks of this accuracy; with the same draw, the better is right wherever the worse is."""
    return (np.random.default_rng(draw).random((seeds, images)) < accuracy).astype(float)


def test_few_images_show_nothing_however_much_seeds_agree() -> None:
    worse = np.zeros((2, 14))
    worse[:, :2] = -1  # both seeds lose the same two images
    effect = Effect.from_hits(worse, what="")
    assert effect.values == pytest.approx([-1 / 7, -1 / 7])
    low, high = effect.interval
    assert low < -0.3
    assert high > 0
    assert effect.verdict == NOT_SHOWN


@pytest.mark.parametrize("hits", [np.zeros((3, 50)), np.ones((3, 50)), -np.ones((2, 1))])
def test_no_interval_of_an_accuracy_has_width_zero(hits: SeedHits) -> None:
    low, high = Point.from_hits(hits, x=0).interval
    assert low <= hits.mean() <= high
    assert low < high
    assert (-1.0 if hits.min() < 0 else 0.0) <= low
    assert high <= 1.0


def test_many_images_show_what_is_there() -> None:
    better = Effect.from_hits(drawn(0.9) - drawn(0.8), what="")
    assert better.verdict == SUPPORTED
    assert Effect.from_hits(drawn(0.8) - drawn(0.9), what="").verdict == CONTRADICTED
    same = drawn(0.9) - drawn(0.9)
    assert Effect.from_hits(same, what="").verdict == NOT_SHOWN
    assert Effect.from_hits(same, what="", bound=-0.01).verdict == SUPPORTED
    low, high = better.interval
    assert 0.01 < high - low < 0.1
    assert better.images == IMAGES


def test_counted_numbers_have_no_interval() -> None:
    saved = Effect(what="", values=[0.28], kind="counted")
    assert saved.interval == (0.28, 0.28)
    assert (saved.verdict, bounds(saved)) == (SUPPORTED, "exact")
    assert Effect(what="", values=[-1.0], bound=-1, kind="counted").verdict == NOT_SHOWN
    assert bounds(Point(x=8, values=[0.79], kind="published")) == "as published"
    assert bounds(Point(x=8, values=[0.79])) == "none (one seed)"


def test_parts_on_different_images_add_their_errors() -> None:
    one, other = drawn(0.5, 400), drawn(0.5, 100, draw=1)
    both = Effect.from_hits(one, -other, what="")
    assert both.values == pytest.approx(one.mean(axis=1) - other.mean(axis=1))
    assert both.error == pytest.approx(math.hypot(sampling_error(one), sampling_error(other)))
    assert both.images == 100


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random, held, tries = np.random.default_rng(0), 0, 400
    for _ in range(tries):  # two networks: seeds, images and both together make them differ
        seeds, images = random.normal(0, 0.02, (2, SEEDS, 1)), random.normal(0, 0.2, (2, 1, 150))
        one, other = (random.random((2, SEEDS, 150)) < np.clip(0.6 + seeds + images, 0, 1)).astype(float)
        low, high = Effect.from_hits(one - other, what="").interval
        held += low <= 0 <= high
    assert held / tries > 0.93


def test_the_best_of_much_noise_is_no_better_than_the_worst() -> None:
    found = []
    for turn in range(40):
        tried = [drawn(0.8, 200, draw=100 * turn + number) for number in range(11)]
        found.append((leave_one_seed_out(tried, np.argmax) - leave_one_seed_out(tried, np.argmin)).mean())
        assert np.max([t.mean() for t in tried]) > 0.8  # while the best, as chosen, looks good
    assert abs(np.mean(found)) < 0.01
    good = [drawn(0.5), drawn(0.9), drawn(0.7)]
    assert leave_one_seed_out(good, np.argmax) == pytest.approx(drawn(0.9))
    single = [drawn(0.5, seeds=1), drawn(0.9, seeds=1)]
    assert leave_one_seed_out(single, np.argmin) == pytest.approx(single[0])


def grows(network: Any, **_: Any) -> float:
    return 0.3 + 0.01 * depth(network)


def falls(network: Any, **_: Any) -> float:
    return 0.95 - 0.02 * depth(network)


def flat(network: Any, **_: Any) -> float:
    return 0.8


def named(word: str, chosen: Callable[..., float], other: Callable[..., float]) -> Callable[..., float]:
    return lambda network, **more: (chosen if word in network.name else other)(network, **more)


def gains(few: float, many: float) -> Callable[..., float]:
    return lambda network, recipe, count, **_: 0.5 + (recipe.augment != Augment()) * (few if count < 50 else many)


def gap(step: float) -> Callable[..., float]:
    return lambda network, training, **_: 0.9 if training else 0.8 - step * depth(network)


def by_rate(factor: float, worst: float) -> Callable[..., float]:
    """Best at so many times the default rate, which is 0.1."""
    return lambda network, recipe, **_: 0.9 if recipe.lr == pytest.approx(0.1 * factor) else worst


def by_precision(double: float) -> Callable[..., float]:
    return lambda network, recipe, **_: double if recipe.precision == "float64" else 0.8


@pytest.mark.parametrize(
    ("name", "accuracy", "expected"),
    [
        ("deeper", grows, SUPPORTED),
        ("deeper", falls, CONTRADICTED),
        ("deeper", flat, NOT_SHOWN),
        ("depth-or-width", grows, SUPPORTED),
        ("depth-or-width", falls, CONTRADICTED),
        ("nonlinearity", named("relu", grows, flat), SUPPORTED),
        ("nonlinearity", grows, CONTRADICTED),
        ("nonlinearity", flat, NOT_SHOWN),
        ("degradation", named("plain", falls, flat), SUPPORTED),
        ("degradation", falls, CONTRADICTED),
        ("degradation", flat, NOT_SHOWN),
        ("small-filters", flat, SUPPORTED),
        ("small-filters", falls, CONTRADICTED),
        ("augmentation", gains(0.2, 0.05), SUPPORTED),
        ("augmentation", gains(0.05, 0.2), CONTRADICTED),
        ("augmentation", gains(0.1, 0.1), NOT_SHOWN),
        ("overfitting", gap(0.01), SUPPORTED),
        ("overfitting", gap(-0.01), CONTRADICTED),
        ("overfitting", gap(0.0), NOT_SHOWN),
        ("hyperparameters", by_rate(1, 0.5), CONTRADICTED),  # the first, from the range test, has no rate
        ("hyperparameters", flat, CONTRADICTED),
        ("precision", by_precision(0.8), SUPPORTED),
        ("precision", by_precision(0.6), CONTRADICTED),
    ],
)
def test_effects_point_the_right_way(
    name: str,
    accuracy: Callable[..., float],
    expected: str,
    shapes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepenough.lab.claims import augmentation

    def hits(self: Trials, network: Any, *, recipe: Any = None, count: Any = None, training: bool = False) -> SeedHits:
        return drawn(accuracy(network, recipe=recipe or self.recipe, count=count, training=training))

    monkeypatch.setattr(augmentation, "SIZES", (20,))
    monkeypatch.setattr(Trials, "hits", hits)
    monkeypatch.setattr(Trials, "train", lambda *_, **__: SimpleNamespace(lr=0.1, seconds=1.0))
    result = measurement(name)(Trials(prepare(open_source(shapes)), tuple(range(SEEDS)), True, tmp_path))
    assert overall_verdict(result.effects) == expected, [(e.what, e.mean, e.interval) for e in result.effects]


def test_a_page_warns_where_few_images_judge() -> None:
    def record(images: int) -> LabRecord:
        effect = Effect.from_hits(drawn(0.9, images) - drawn(0.5, images), what="more")
        point = Point.from_hits(drawn(0.9, images), x=1)
        result = Result(x="depth", y="accuracy", lines=[Line(name="here", points=[point])], effects=[effect])
        return LabRecord(
            name="deeper",
            claim="more is more",
            data="shapes",
            quick=True,
            seeds=[0, 1, 2],
            result=result,
            verdict=effect.verdict,
            seconds=1.0,
            environment={},
        )

    few, many = record(14), record(2_000)
    assert "Only 14 images are judged" in few.cautions[0]
    assert few.cautions[0] in render_experiment(few)
    assert not many.cautions
    assert "Only" not in render_experiment(many).partition("<script")[0]
    assert "other images than these 2,000, which would judge them otherwise" in render_experiment(many)
