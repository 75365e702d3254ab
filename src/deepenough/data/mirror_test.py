"""A test on the training images: does mirroring change the class?

Two kernel classifiers are compared on the same held-out images. One sees which way round a picture is, the other is
blind to it: it is what training with mirror images of the same class comes to, since a picture and its mirror image are
the same to it. Where the blind one gets significantly fewer images right, overall or of any class, the way round tells
classes apart, and a mirror image is not of its picture's class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepenough.data.images import Images
from deepenough.data.orientation import MirrorFeatures, mirror_features
from deepenough.data.split import Index, make_folds
from deepenough.data.streamed import Streamed

MOST_IMAGES, MOST_STREAMED = 2_000, 500  # seconds, also where each image has to be decoded
FOLDS = 5
SIGNIFICANCE = 0.05  # of all tests together
LEAST_LOSS, LEAST_CLASS_LOSS = 0.01, 0.05  # shares of images: what is less than that is not worth giving up mirroring
RIDGE = 1.0  # on features of unit variance whose kernel has unit mean
_READ_AT_ONCE = 512


@dataclass(frozen=True)
class Group:
    """Some held-out images, and how many of them either classifier got right.

    `lost` were right only for the one that sees which way round they are, `gained` only for the blind one.
    """

    name: str | None
    """The class; None for all images."""
    images: int
    seeing: int
    lost: int
    gained: int

    @property
    def blind(self) -> int:
        return self.seeing - self.lost + self.gained

    @property
    def p_value(self) -> float:
        """One-sided exact McNemar test: the chance of so many losses if mirroring changes nothing."""
        return _at_least(self.lost, self.lost + self.gained)

    def harmed(self, tests: int) -> bool:
        """True if the loss is shown by this one of so many tests, and large enough to matter."""
        least = (LEAST_LOSS if self.name is None else LEAST_CLASS_LOSS) * self.images
        return self.lost - self.gained >= least and self.p_value * tests <= SIGNIFICANCE

    def can_tell(self, tests: int) -> bool:
        """True if it would show when mirror images were those of another class: half of what is right would be lost."""
        half = self.seeing // 2
        return half > 0 and _at_least(half, half) * tests <= SIGNIFICANCE


@dataclass(frozen=True)
class Swap:
    """Mirror images that the classifier which sees the way round takes for another class: `share` of them, in 0..1."""

    name: str
    taken_for: str
    share: float


@dataclass(frozen=True)
class MirrorTest:
    """The outcome of the test: all images, every class that has some, and the classes most taken for another."""

    overall: Group
    classes: tuple[Group, ...]
    swaps: tuple[Swap, ...]

    @property
    def tests(self) -> int:
        return 1 + len(self.classes)

    @property
    def harmed(self) -> list[Group]:
        """The groups whose class mirroring is shown to change, the most significant first; none means none shown."""
        shown = [group for group in (self.overall, *self.classes) if group.harmed(self.tests)]
        return sorted(shown, key=lambda group: group.p_value)

    @property
    def tells(self) -> bool:
        """True if a change of all classes, or of at least one, would have shown."""
        return self.overall.can_tell(self.tests) and len(self.untold) < len(self.classes)

    @property
    def untold(self) -> list[str]:
        """The classes that have too few images, or too few that are recognised, for a change to show."""
        return [str(group.name) for group in self.classes if not group.can_tell(self.tests)]


def run_mirror_test(images: Images, seed: int) -> MirrorTest:
    """Put mirroring to the test on the training images, at most `MOST_IMAGES` of them, the rarer classes first.

    A pure function of images and seed, up to the last bits of a matrix product.
    """
    rows = _chosen(images, seed)
    blocks = (images.pixels[part] for part in np.array_split(rows, len(rows) // _READ_AT_ONCE + 1) if len(part))
    labels = images.labels[rows]
    count = len(np.unique(images.groups[rows]))
    folds = [
        held_out
        for _, held_out in make_folds(labels, images.groups[rows], np.arange(len(rows)), min(FOLDS, count), seed)
    ]
    return compare(mirror_features(blocks), labels, images.classes, folds)


def compare(
    features: MirrorFeatures, labels: NDArray[np.int64], classes: Sequence[str], folds: Sequence[Index]
) -> MirrorTest:
    """Compare the two classifiers out of fold; `labels` (n,) are rows into `classes`, `folds` rows into `labels`."""
    same, other = _kernel(features.kept, centred=True), _kernel(features.turned, centred=False)
    seeing, mirrored = _out_of_fold(same + other, same - other, labels, len(classes), folds)
    blind, _ = _out_of_fold(2 * same, 2 * same, labels, len(classes), folds)
    right, without = seeing == labels, blind == labels

    def group(name: str | None, of: NDArray[np.bool_]) -> Group:
        counts = (of, right & of, right & ~without & of, ~right & without & of)
        return Group(name, *(int(each.sum()) for each in counts))

    each = [group(name, labels == row) for row, name in enumerate(classes) if (labels == row).any()]
    return MirrorTest(
        group(None, np.ones(len(labels), np.bool_)), tuple(each), _swaps(labels, seeing, mirrored, classes)
    )


def _chosen(images: Images, seed: int) -> Index:
    """Training images, as many of each class as there are or as its share of the room allows; ascending rows."""
    train, labels = images.split.train, images.labels[images.split.train]
    most = MOST_STREAMED if isinstance(images.pixels, Streamed) else MOST_IMAGES
    order = np.random.default_rng([seed, len(train), most]).permutation(len(train))
    by_class = [order[labels[order] == label] for label in np.unique(labels)]
    chosen, room = [], most
    for left, members in zip(range(len(by_class), 0, -1), sorted(by_class, key=len), strict=True):
        chosen.append(members[: max(room // left, 1)])
        room -= len(chosen[-1])
    return np.sort(train[np.concatenate(chosen)[:most]])


def _kernel(features: NDArray[np.float32], *, centred: bool) -> NDArray[np.float32]:
    """Products of standardised features, (n, n), of unit mean on the diagonal; those that never change are left out."""
    middle = features.mean(axis=0) if centred else np.float32(0)
    scale = np.sqrt(((features - middle) ** 2).mean(axis=0))
    varied = scale > 1e-6
    scaled = ((features - middle)[:, varied] / scale[varied]).astype(np.float32)
    found: NDArray[np.float32] = scaled @ scaled.T / max(int(varied.sum()), 1)
    return found


def _out_of_fold(
    kernel: NDArray[np.float32],
    mirrored: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    folds: Sequence[Index],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give every picture and its mirror image a class, int64 (n,) each, by kernel ridge regression on the other folds.

    All classes have the same weight, however many images they have. `mirrored` holds the products of mirror images
    (rows) with pictures.
    """
    from scipy.linalg import cho_factor, cho_solve

    targets = np.eye(classes, dtype=np.float32)[labels]
    found = np.zeros((2, len(labels)), np.int64)
    for held_out in folds:
        train = np.setdiff1d(np.arange(len(labels)), held_out)
        counts = np.bincount(labels[train], minlength=classes)
        weights = len(train) / (counts[labels[train]] * np.count_nonzero(counts))
        inner = kernel[np.ix_(train, train)] + 1  # the 1 is the intercept
        inner.flat[:: len(train) + 1] += (RIDGE / weights).astype(np.float32)  # its diagonal
        factor = cho_factor(inner, overwrite_a=True, check_finite=False)
        solution = cho_solve(factor, targets[train], check_finite=False)
        for row, products in enumerate((kernel, mirrored)):
            found[row, held_out] = ((products[np.ix_(held_out, train)] + 1) @ solution).argmax(axis=1)
    return found[0], found[1]


def _swaps(
    labels: NDArray[np.int64], seeing: NDArray[np.int64], mirrored: NDArray[np.int64], classes: Sequence[str]
) -> tuple[Swap, ...]:
    """For every class the other that most of its mirror images are taken for, beyond its pictures; the most first."""
    found = []
    for row in np.unique(labels):
        of = labels == row
        taken = np.bincount(mirrored[of], minlength=len(classes)) / of.sum()
        more = taken - np.bincount(seeing[of], minlength=len(classes)) / of.sum()
        more[row] = -1
        other = int(more.argmax())
        if more[other] > 0:
            found.append(Swap(classes[int(row)], classes[other], float(taken[other])))
    return tuple(sorted(found, key=lambda swap: -swap.share))


def _at_least(successes: int, trials: int) -> float:
    """The chance of at least so many heads in so many tosses."""
    from scipy.special import bdtrc

    return 1.0 if successes == 0 else float(bdtrc(successes - 1, trials, 0.5))
