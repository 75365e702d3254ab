"""Scores against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from deepenough.training.metrics import Scores


def draw(seed: int, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.4), count).astype(np.float32)
    labels = random.integers(0, classes, count)
    labels[:classes] = np.arange(classes)  # sklearn wants every class
    return probabilities, labels.astype(np.int64)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), count=st.integers(20, 200), classes=st.integers(6, 12))
def test_scores_are_sklearns(seed: int, count: int, classes: int) -> None:
    probabilities, labels = draw(seed, count, classes)
    ours = Scores.of(probabilities, labels, classes)
    predicted = probabilities.argmax(axis=1)
    assert ours.count == count
    assert ours.top1 == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert ours.top5 == pytest.approx(
        metrics.top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(classes))
    )
    assert ours.balanced == pytest.approx(metrics.balanced_accuracy_score(labels, predicted))
    assert (ours.confusion == metrics.confusion_matrix(labels, predicted, labels=np.arange(classes))).all()
    assert ours.per_class == pytest.approx(
        metrics.recall_score(labels, predicted, average=None, labels=np.arange(classes))
    )
    right = np.clip(probabilities[np.arange(count), labels].astype(np.float64), 1e-12, 1)
    assert ours.loss == pytest.approx(-np.log(right).mean())


def test_loss_is_sklearns() -> None:
    probabilities, labels = draw(3, 300, 5)
    probabilities = 0.9 * probabilities.astype(np.float64) + 0.02
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    assert Scores.of(probabilities, labels, 5).loss == pytest.approx(metrics.log_loss(labels, probabilities))


def test_calibration_error_bin_by_bin() -> None:
    probabilities, labels = draw(5, 400, 4)
    confidence, hits = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(hits[inside].mean() - confidence[inside].mean())
    assert Scores.of(probabilities, labels, 4).calibration_error == pytest.approx(expected)


def test_certain_and_right_is_calibrated_and_free_of_loss() -> None:
    scores = Scores.of(np.eye(3, dtype=np.float32), np.arange(3), 3)
    assert (scores.top1, scores.loss, scores.calibration_error) == (1.0, 0.0, 0.0)


def test_classes_without_images_do_not_count() -> None:
    scores = Scores.of(np.array([[0.9, 0.1, 0], [0.2, 0.8, 0]], np.float32), np.array([0, 0]), 3)
    assert scores.balanced == 0.5
    assert scores.per_class_count.tolist() == [2, 0, 0]
    assert np.isnan(scores.per_class[1:]).all()
