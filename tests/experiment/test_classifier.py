"""The classifier follows scikit-learn's conventions: its own checks, a pipeline, cross-validation, a real search."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

import deepenough
from deepenough import DeepenoughClassifier
from deepenough.classifier import CHECKS_ON_TABLES
from deepenough.experiment.options import fit_options
from deepenough.model import Model
from deepenough.nets import Dense, Flatten, Network
from deepenough.preprocessing import Preprocessing

pytestmark = pytest.mark.seconds(40)

SIDE = 8
SMALL = {"max_depth": 3, "epochs": 2, "batch": 16, "lr": 0.1, "folds": 1, "threads": 1, "augment": "none"}
Images = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


class OnTables(DeepenoughClassifier):
    """The classifier as scikit-learn's checks can use it, which know tables of numbers and fit hundreds of times.

    Each row is laid out on a square image; instead of a search, the nearest mean of a class is the network.
    """

    def _shape(self, numbers: int) -> tuple[int, ...]:
        return (1, numbers)

    def _images(self, given: Any, *, fitting: bool = False) -> Any:
        rows = super()._images(given, fitting=fitting)[:, 0]
        pictures = np.full((len(rows), SIDE * SIDE), self._value_range[0] if self._value_range else 0, rows.dtype)
        pictures[:, : rows.shape[1]] = rows
        return pictures.reshape(-1, SIDE, SIDE)

    def _search(self, images: Any, labels: list[str]) -> None:
        named = sorted(set(labels))
        network = Network("nearest mean", (1, SIDE, SIDE), (Flatten(), Dense(len(named))))
        low, high = self._value_range or ((0, 255) if images.dtype.kind != "f" else (0, 1))
        flat = (images.reshape(len(images), -1) - low) / (high - low)
        means = np.stack([flat[np.array(labels) == name].mean(axis=0) for name in named])
        weights = {"weight": 2 * means, "bias": -(means**2).sum(axis=1)}
        built = {name.rsplit(".", 1)[-1]: name for name in deepenough.nets.build.build(network).state_dict()}
        state = {built[name]: torch.tensor(value, dtype=torch.float32) for name, value in weights.items()}
        preprocess = Preprocessing((SIDE, SIDE), mean=(0.0,), std=(1.0,), value_range=self._value_range)
        self.run_, self.model_ = None, Model(network, state, preprocess, named)


STATUSES = ("failed", "xfail", "passed", "skipped")


@parametrize_with_checks([OnTables()])
def test_the_checks_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.filterwarnings("ignore")
def test_the_classifier_itself_fails_the_checks_that_fit_tables_and_no_others() -> None:
    found = check_estimator(
        DeepenoughClassifier(max_depth=3, epochs=1), on_fail=None, expected_failed_checks=dict(CHECKS_ON_TABLES)
    )
    by_status = {status: {each["check_name"] for each in found if each["status"] == status} for status in STATUSES}
    assert by_status["failed"] == set()
    assert by_status["xfail"] == set(CHECKS_ON_TABLES)
    assert not by_status["passed"] & set(CHECKS_ON_TABLES)
    assert by_status["passed"] > {
        "check_classifiers_regression_target", "check_classifiers_one_label", "check_fit2d_1sample"
    }  # fmt: skip


@pytest.fixture(scope="module")
def squares() -> Images:
    """Pictures of 12 x 12 that are bright on the left or on the right, with labels of numbers that are no rows."""
    draws = np.random.default_rng(0)
    y = np.repeat([3, 7], 60)
    X = draws.integers(0, 120, (120, 12, 12), np.uint8)  # noqa: N806
    X[y == 3, :, :6] += 135
    X[y == 7, :, 6:] += 135
    order = draws.permutation(120)
    return X[order], y[order]


@pytest.fixture(scope="module")
def fitted(squares: Images) -> DeepenoughClassifier:
    return DeepenoughClassifier(**SMALL).fit(*squares)


def test_it_predicts_the_labels_that_it_was_given(fitted: DeepenoughClassifier, squares: Images) -> None:
    X, y = squares  # noqa: N806
    assert fitted.classes_.tolist() == [3, 7]
    assert set(fitted.predict(X)) <= {3, 7}
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (120, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert fitted.score(X, y) == (fitted.predict(X) == y).mean() > 0.8
    assert fitted.record_.options["max_depth"] == 3
    assert fitted.run_ is None


def test_it_comes_back_from_pickle_with_the_same_answers(fitted: DeepenoughClassifier, squares: Images) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(squares[0]), fitted.predict_proba(squares[0]))


def test_the_same_images_in_another_form_are_the_same(fitted: DeepenoughClassifier, squares: Images) -> None:
    expected = fitted.predict_proba(squares[0][:5])
    np.testing.assert_array_equal(fitted.predict_proba(squares[0][:5, :, :, None]), expected)
    np.testing.assert_array_equal(fitted.predict_proba([Image.fromarray(each) for each in squares[0][:5]]), expected)


def test_it_works_in_a_pipeline_and_in_cross_validation(squares: Images) -> None:
    X, y = squares  # noqa: N806
    names = np.where(y == 3, "left", "right")
    pipeline = make_pipeline(MinMaxScaler(), DeepenoughClassifier(**{**SMALL, "epochs": 6}))
    scores = cross_val_score(pipeline, X.reshape(120, -1), names, cv=2)
    assert scores.min() > 0.8


def test_every_option_of_fit_is_a_parameter() -> None:
    parameters = DeepenoughClassifier().get_params()
    assert set(fit_options()) - {"data"} <= parameters.keys()
    assert "data" not in parameters
    asked = DeepenoughClassifier(target="90%", epochs=3)
    assert clone(asked).get_params() == asked.get_params() != parameters
    assert repr(asked) == "DeepenoughClassifier(epochs=3, target='90%')"
    assert DeepenoughClassifier().set_params(time_limit="20m").time_limit == "20m"
    with pytest.raises(TypeError, match="no parameter 'epoch'"):
        DeepenoughClassifier(epoch=3)


def test_rows_of_other_images_need_their_shape(squares: Images) -> None:
    X, y = squares  # noqa: N806
    with pytest.raises(ValueError, match=r"rows of 132 numbers: no square image.*give image_shape="):
        DeepenoughClassifier().fit(X[:, :11].reshape(120, -1), y)
    with pytest.raises(ValueError, match=r"rows of 144 numbers: images of image_shape=\(3, 4\) have 12"):
        DeepenoughClassifier(image_shape=(3, 4)).fit(X.reshape(120, -1), y)


@pytest.mark.parametrize(
    ("labels", "options", "expected"),
    [
        (np.zeros(120, int), {}, "of one class"),
        (np.arange(119), {}, "120 images, and 119 labels"),
        (np.repeat([0, 1], 60), {"image_shape": 3}, r"image_shape=3: expected \(height, width\)"),
        (np.repeat([0, 1], 60), {"image_shape": (3,)}, r"image_shape=\(3,\): expected \(height, width\)"),
        (np.repeat([0, 1], 60), {"value_range": 3}, "value_range 3: give the value of black"),
        (np.repeat([0, 1], 60), {"runs": 3}, "runs=3: expected the path of a folder"),
        (np.repeat([0, 1], 60), {"target": "0,9"}, "write a point for the comma"),
    ],
)
def test_what_cannot_be_fitted_is_a_value_error(
    squares: Images, labels: Any, options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValueError, match=expected):
        DeepenoughClassifier(**options).fit(squares[0], labels)


def test_floats_lie_between_those_that_were_fitted(squares: Images) -> None:
    rows = (squares[0].reshape(120, -1) / 255 - 0.5) * 8
    found = DeepenoughClassifier()
    found._images(rows, fitting=True)
    assert found._value_range == pytest.approx((rows.min(), rows.max()))
    assert found._images(rows * 10).max() == found._value_range[1]  # type: ignore[index]


def test_what_a_scaler_lifts_above_one_is_cut_off(squares: Images) -> None:
    """`MinMaxScaler` maps the images that it was fitted on to 0..1, and later ones a little beyond."""
    rows = squares[0].reshape(120, -1) / 255
    scaler = MinMaxScaler().fit(rows[::2] * 0.9)
    found = make_pipeline(scaler, DeepenoughClassifier(**SMALL, seed=1)).fit(rows[::2] * 0.9, squares[1][::2])
    assert scaler.transform(rows).max() > 1
    assert found.predict_proba(rows).shape == (120, 2)


def test_runs_are_kept_where_it_is_asked(squares: Images, tmp_path: Path) -> None:
    options = {**SMALL, "epochs": 1, "target": "1%"}
    found = DeepenoughClassifier(runs=tmp_path / "runs", **options)
    assert found.fit(*squares).run_.folder == tmp_path / "runs" / "images-1"
    assert found.fit(*squares).run_.report.path == tmp_path / "runs" / "images-2" / "report.html"
