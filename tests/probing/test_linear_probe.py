"""Linear probes against scikit-learn's, and that no probe sees the images that it is judged on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from deepenough.probing import linear_probe as probe

Blobs = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], list[npt.NDArray[np.int64]]]


@pytest.fixture(scope="module")
def blobs() -> Blobs:
    """Four overlapping classes in 30 dimensions of very different scales, one of them constant; five folds."""
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 4, 400)
    x = draws.normal(size=(400, 30)) + 0.35 * draws.normal(size=(4, 30))[labels]
    x = x * 10 ** draws.uniform(-2, 3, 30) + 100
    x[:, 7] = 5.0
    return x.astype(np.float32), labels, [np.arange(400)[n::5] for n in range(5)]


@pytest.mark.parametrize("strength", [1e-3, 1e-2, 1e-1])
def test_a_probe_is_the_logistic_regression_of_scikit_learn(
    blobs: Blobs, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, labels, folds = blobs
    monkeypatch.setattr(probe, "REGULARISATION", (strength,))
    fitted = probe.fit_probe(x, labels, 4, folds)
    scaled = (x - fitted.mean.numpy()) / fitted.std.numpy()
    reference = LogisticRegression(C=strength, tol=1e-8, max_iter=5000).fit(scaled.astype(np.float64), labels)
    logits = scaled @ fitted.weight.numpy().T + fitted.bias.numpy()
    mine = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(mine, reference.predict_proba(scaled), atol=2e-3)


def test_out_of_fold_probabilities_do_not_depend_on_the_labels_of_their_fold(blobs: Blobs) -> None:
    x, labels, folds = blobs
    before = probe.out_of_fold(x, labels, 4, folds)
    for fold in folds[:2]:
        wrong = labels.copy()
        wrong[fold] = (wrong[fold] + 1) % 4
        after = probe.out_of_fold(x, wrong, 4, folds)
        # Probes are solved together until the last of them is done: only that tells them of each other.
        np.testing.assert_allclose(after[fold], before[fold], atol=3e-3)
        assert np.abs(after - before).max() > 0.05  # the other folds learn from the wrong labels


def test_out_of_fold_accuracy_is_that_of_scikit_learn(blobs: Blobs) -> None:
    x, labels, folds = blobs
    right = probe.out_of_fold(x, labels, 4, folds).argmax(axis=1) == labels
    reference = np.zeros(len(labels), bool)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(labels)), fold)
        mean, std = x.mean(axis=0), x.std(axis=0) + 1e-6
        model = LogisticRegression(C=0.01, max_iter=2000).fit((x[rest] - mean) / std, labels[rest])
        reference[fold] = model.predict((x[fold] - mean) / std) == labels[fold]
    assert right.mean() > 0.6
    assert abs(right.mean() - reference.mean()) < 0.03


def test_noise_is_told_from_knowledge(blobs: Blobs) -> None:
    _, labels, folds = blobs
    noise = np.random.default_rng(1).normal(size=(400, 30)).astype(np.float32)
    right = probe.out_of_fold(noise, labels, 4, folds).argmax(axis=1) == labels
    assert right.mean() < 0.35


@pytest.mark.parametrize("classes", [2, 3])
def test_few_images_of_a_class_are_enough(classes: int) -> None:
    draws = np.random.default_rng(2)
    labels = np.repeat(np.arange(classes), 4)
    x = (draws.normal(size=(len(labels), 200)) + 3 * labels[:, None]).astype(np.float32)
    folds = [np.flatnonzero(np.arange(len(labels)) % 4 == n) for n in range(4)]
    found = probe.out_of_fold(x, labels, classes, folds)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == labels).mean() > 0.7
