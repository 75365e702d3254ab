"""A classifier of images for scikit-learn: fitted by a search for the shallowest network that is enough."""

from __future__ import annotations

import inspect
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from deepenough.data.decode import SMALLEST_SIDE
from deepenough.data.sources.labels_in_python import label_names
from deepenough.data.sources.python_images import ValueRange, check_value_range
from deepenough.errors import DeepenoughError
from deepenough.experiment.finished_run import Run
from deepenough.experiment.fit import fit, new_folder
from deepenough.experiment.signature import takes_options
from deepenough.model import Model
from deepenough.record import Record

_BYTE = 255

_ROWS: Mapping[int, Sequence[str]] = {
    1: ("fit2d_1feature",),
    2: (
        "classifier_data_not_an_array", "classifiers_classes", "classifiers_train", "estimators_fit_returns_self",
        "estimators_overwrite_params", "fit_check_is_fitted", "fit_idempotent", "n_features_in",
        "readonly_memmap_input",
    ),
    3: (
        "dict_unchanged", "dont_overwrite_parameters", "estimators_nan_inf", "estimators_pickle",
        "f_contiguous_array_estimator", "fit2d_predict1d", "fit_score_takes_y", "methods_sample_order_invariance",
        "methods_subset_invariance", "pipeline_consistency", "supervised_y_2d",
    ),
    4: ("n_features_in_after_fitting",),
    5: ("estimators_dtypes",),
    10: ("dtype_object", "positive_only_tag_during_fit"),
}  # fmt: skip

CHECKS_ON_TABLES: Mapping[str, str] = MappingProxyType(
    {
        f"check_{name}": f"it fits rows of {numbers} number{'s' * (numbers > 1)}, and images have sides of "
        f"{SMALLEST_SIDE} pixels or more"
        for numbers, names in _ROWS.items()
        for name in names
    }
)
"""The checks of `sklearn.utils.estimator_checks.check_estimator` that a classifier of images can't pass, by name, each
with its reason. They are its `expected_failed_checks`; all others pass."""


class UnfitError(DeepenoughError, ValueError):
    """Images or labels that can't be fitted; a ValueError, as scikit-learn's users expect."""


class DeepenoughClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of images that follows scikit-learn's conventions.

    `X` is an array (N, H, W), (N, H, W, C) or (N, C, H, W); rows (N, H * W) of square images, or of any with
    `image_shape`; or a list of paths, bytes, Pillow images or arrays. A part of `X` is held out by `fit` to choose the
    network and to measure it once. Floats are taken to lie between the least and the greatest of those that were
    fitted, unless these lie in 0..1 or `value_range` is given.

    Attributes:
        classes_: the classes, sorted.
        model_: the `Model` that was found.
        record_: the `Record` of the search.
        run_: its `Run`, where `runs` names a folder to keep it in; else None.
        n_features_in_: numbers in a row, the size of the second axis of an array.

    Examples:
        >>> from sklearn.model_selection import cross_val_score
        >>> cross_val_score(DeepenoughClassifier(target=0.9), X, y, cv=3)   # doctest: +SKIP
    """

    classes_: NDArray[Any]
    model_: Model
    record_: Record
    run_: Run | None
    n_features_in_: int
    _value_range: ValueRange | None
    _names: list[str]  # of the classes, in their order

    def __init__(
        self,
        *,
        image_shape: tuple[int, ...] | None = None,
        value_range: ValueRange | None = None,
        runs: str | Path | None = None,
        progress: bool = False,
        **options: Any,
    ) -> None:
        """Keep the parameters.

        Args:
            image_shape: (H, W), (H, W, C) or (C, H, W) of an image, where `X` has a row of numbers for each.
            value_range: the values of black and white in floats.
            runs: the folder in which every `fit` keeps its run, with report and record; by default none is kept.
            progress: show bars.
            options: those of `deepenough.fit`.
        """
        self.image_shape, self.value_range, self.runs, self.progress = image_shape, value_range, runs, progress
        unknown = options.keys() - self._get_param_names()
        if unknown:
            raise TypeError(f"DeepenoughClassifier has no parameter {', '.join(map(repr, sorted(unknown)))}")
        for name, parameter in inspect.signature(type(self).__init__).parameters.items():
            if name in options or (not hasattr(self, name) and name != "self"):
                setattr(self, name, options.get(name, parameter.default))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803  (scikit-learn's name)
        """Find the shallowest network that does the task on images `X` with the labels `y` (N,)."""
        if y is None:
            raise ValueError("DeepenoughClassifier requires y to be passed, but the target y is None")
        self._check_parameters()
        labels = column_or_1d(y, warn=True)
        check_classification_targets(labels)
        count = _count_of(X)
        if count is not None and len(labels) != count:
            raise ValueError(f"{count} images, and {len(labels)} labels: give one label for each image")
        classes, which = np.unique(labels, return_inverse=True)
        if len(classes) == 1:
            raise UnfitError(f"all {len(labels)} images are of one class; there is nothing to tell apart")
        images = self._images(X, fitting=True)  # behind the labels, which need no images to be wrong
        self.classes_ = classes
        try:
            self._names = _names_of(self.classes_)
            self._search(images, [self._names[number] for number in which])
        except UnfitError:
            raise
        except DeepenoughError as error:
            raise UnfitError(str(error)) from error
        return self

    def _check_parameters(self) -> None:
        """Raise the error for a parameter of its own, not of `fit`, that has a wrong type."""
        shape, runs = self.image_shape, self.runs
        if shape is not None and not (
            isinstance(shape, (tuple, list)) and len(shape) in (2, 3) and all(map(_is_side, shape))
        ):
            raise UnfitError(
                f"image_shape={shape!r:.60}: expected (height, width), (height, width, channels) or (channels, height, "
                "width), as (28, 28)"
            )
        if not isinstance(runs, (NoneType, str, os.PathLike)):
            raise UnfitError(f"runs={runs!r:.60}: expected the path of a folder")
        try:
            check_value_range(self.value_range)
        except DeepenoughError as error:
            raise UnfitError(str(error)) from None

    def _search(self, images: Any, labels: list[str]) -> None:
        """Answer the question for images and the names of their classes."""
        own = ("image_shape", "value_range", "runs", "progress")
        options = {name: value for name, value in self.get_params(deep=False).items() if name not in own}
        more = {"value_range": self._value_range, "progress": self.progress, **options}
        if self.runs is not None:
            found = fit((images, labels), out=new_folder("images", Path(self.runs)), **more)
            self.run_, self.record_, self.model_ = found, found.record, found.model()
            return
        with tempfile.TemporaryDirectory() as folder:
            found = fit((images, labels), out=Path(folder) / "run", **more)
            self.run_, self.record_, self.model_ = None, found.record, found.model()

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """The probabilities of images (N, classes), in the order of `classes_`."""
        check_is_fitted(self)
        found = self.model_.predict_proba(self._images(X), value_range=self._value_range)
        ordered = np.zeros((len(found), len(self.classes_)))  # of a class that was left out whole it never speaks
        for column, name in enumerate(self.model_.classes):
            ordered[:, self._names.index(name)] = found[:, column]
        shares: NDArray[np.float64] = ordered / ordered.sum(axis=1, keepdims=True)
        return shares

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The classes of images, (N,)."""
        probabilities = self.predict_proba(X)
        found: NDArray[Any] = self.classes_[probabilities.argmax(axis=1)]
        return found

    def _images(self, given: Any, *, fitting: bool = False) -> Any:
        """Images as `deepenough.fit` takes them: an array of pictures, or the list that was given."""
        if isinstance(given, (list, tuple)) and not isinstance(next(iter(given), 0), (int, float, list, tuple)):
            self._value_range = self.value_range if fitting else self._value_range
            return list(given)
        array = validate_data(self, given, reset=fitting, allow_nd=True, dtype="numeric")
        array = array.reshape(len(array), *self._shape(array.shape[1])) if array.ndim == 2 else array
        if fitting:
            wanted = self.value_range or _range_of(array)
            self._value_range = wanted and (float(np.float32(wanted[0])), float(np.float32(wanted[1])))
        if self._value_range is None:
            return array
        low, high = self._value_range
        return np.clip(array.astype(np.float32), low, high)

    def _shape(self, numbers: int) -> tuple[int, ...]:
        """The shape of the image that a row of so many numbers is."""
        side = math.isqrt(numbers)
        shape = tuple(self.image_shape) if self.image_shape is not None else (side, side)
        if math.prod(shape) == numbers:
            return shape
        if self.image_shape is None:
            raise UnfitError(
                f"rows of {numbers:,} numbers: no square image has so many; give image_shape=(height, width) or "
                "(height, width, channels), or images (N, H, W)"
            )
        raise UnfitError(f"rows of {numbers:,} numbers: images of image_shape={shape} have {math.prod(shape):,}")


DeepenoughClassifier.__init__ = takes_options(DeepenoughClassifier.__init__, without=("data",))  # type: ignore[method-assign]


def _is_side(given: Any) -> bool:
    return isinstance(given, Integral) and int(given) > 0


def _count_of(images: Any) -> int | None:
    """The number of images that a user gives; None where it can't be told before they are looked at."""
    shape = getattr(images, "shape", None)
    if shape:
        return int(shape[0])
    return len(images) if shape is None and hasattr(images, "__len__") else None


def _range_of(array: NDArray[Any]) -> ValueRange | None:
    """The values of black and white of an array of images; None where its type says them, as that of bytes does.

    They are 0 and 1 for floats within, so that what a scaler lifts a little above 1 later is cut off there.
    """
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind in "bu" or (array.dtype.kind == "i" and low >= 0 and high <= _BYTE):
        return None
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if low < high else (low, low + 1)


def _names_of(classes: NDArray[Any]) -> list[str]:
    """A name for each class: as it is written, or its number where two are written alike."""
    names = label_names(list(classes), "y")
    return names if len(set(names)) == len(names) else [str(number) for number in range(len(classes))]
