"""Linear probes: multinomial logistic regression on pooled features, all folds at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

# C of scikit-learn's LogisticRegression, on standardised features: from strong to weak regularisation.
REGULARISATION = (1e-3, 1e-2, 1e-1)
MOST_STEPS = 100  # at most; some 30 to 70 are needed
# Where solving ends: of the gradient's norm, as a share of that at zero weights. Choosing a strength needs less.
TOLERANCE, ROUGH = 1e-3, 5e-3
BIAS_PENALTY = 1e-6  # the penalty on the biases, which is none


@dataclass(frozen=True)
class LinearProbe:
    """A linear classifier: logits = (x - mean) / std @ weight.T + bias; mean and std (F,), weight (classes, F)."""

    mean: Tensor
    std: Tensor
    weight: Tensor
    bias: Tensor
    strength: float


@dataclass(frozen=True)
class _Scale:
    """The standardisation of features, (F,) each. No label is in it."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Scale:
        std, mean = torch.std_mean(x, dim=0, correction=0)
        return cls(mean, torch.where(std > 1e-6 * std.max(), std, torch.ones_like(std)))

    def apply(self, x: Tensor) -> Tensor:
        """Standardised features with a column of ones, (n, F + 1)."""
        return torch.cat(((x - self.mean) / self.std, torch.ones(len(x), 1)), 1)


def out_of_fold(
    x: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    classes: int,
    folds: Sequence[npt.NDArray[np.int64]],
) -> npt.NDArray[np.float32]:
    """Predict every image by a probe that has not seen its fold: probabilities (n, classes).

    `x` (n, F); `folds` holds the rows of each fold. The strength of each fold's probe is chosen on another fold, by a
    probe that has seen neither.
    """
    scaled, y = _Scale.of(torch.from_numpy(x)), torch.from_numpy(labels)
    features = scaled.apply(torch.from_numpy(x))
    strengths = _choose(features, y, classes, folds, outer=True)
    masks = _all_but(len(labels), [[fold] for fold in folds])
    found = np.zeros((len(labels), classes), np.float32)
    for strength in sorted(set(strengths)):
        mine = [number for number, chosen in enumerate(strengths) if chosen == strength]
        weights = _Solver(features, y, classes, masks[:, mine]).solve(strength)
        for number, weight in zip(mine, weights, strict=True):
            held_out = folds[number]
            found[held_out] = torch.softmax(features[torch.from_numpy(held_out)] @ weight, 1).numpy()
    return found


def fit_probe(
    x: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    classes: int,
    folds: Sequence[npt.NDArray[np.int64]],
) -> LinearProbe:
    """Fit a probe on all of `x` (n, F); its strength is the one that does best out of `folds`, by its loss."""
    scale, y = _Scale.of(torch.from_numpy(x)), torch.from_numpy(labels)
    features = scale.apply(torch.from_numpy(x))
    (strength,) = set(_choose(features, y, classes, folds, outer=False))
    (weight,) = _Solver(features, y, classes, torch.ones(len(y), 1)).solve(strength)
    return LinearProbe(scale.mean, scale.std, weight[:-1].T.contiguous(), weight[-1], strength)


def predict(probe: LinearProbe, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probabilities (n, classes) for the features `x` (n, F)."""
    logits = (torch.from_numpy(x) - probe.mean) / probe.std @ probe.weight.T + probe.bias
    return torch.softmax(logits, 1).numpy()


def _choose(
    features: Tensor, y: Tensor, classes: int, folds: Sequence[npt.NDArray[np.int64]], *, outer: bool
) -> list[float]:
    """The best strength for each fold: on the next fold with both left out (`outer`), or on all folds together."""
    following = [folds[(number + 1) % len(folds)] for number in range(len(folds))]
    judged = following if outer else list(folds)
    left_out = [[fold, other] for fold, other in zip(folds, following, strict=True)] if outer else [[f] for f in folds]
    solver = _Solver(features, y, classes, _all_but(len(y), left_out))
    losses: list[npt.NDArray[np.float64]] = []
    for strength in REGULARISATION:  # from strong to weak: each starts where the one before ended
        weights = solver.solve(strength, ROUGH)
        found = [
            float(F.cross_entropy(features[rows] @ weight, y[rows], reduction="sum"))
            for weight, rows in zip(weights, map(torch.from_numpy, judged), strict=True)
        ]
        losses.append(np.asarray(found) if outer else np.full(len(found), sum(found)))
        if len(losses) > 1 and (losses[-1] > losses[-2]).all():  # it only gets worse, and weaker ones take longest
            break
    return [REGULARISATION[best] for best in np.argmin(losses, axis=0)]


def _all_but(count: int, left_out: Sequence[Sequence[npt.NDArray[np.int64]]]) -> Tensor:
    """Masks (n, models): 1 for the images that a model learns from."""
    masks = torch.ones(count, len(left_out))
    for number, folds in enumerate(left_out):
        for fold in folds:
            masks[torch.from_numpy(fold), number] = 0
    return masks


class _Solver:
    """Several probes on the same features, each on the images of its mask, solved together.

    Newton's method with the fixed bound X'X / 2 in place of the Hessian (Böhning 1992), which needs one factorisation
    for all of them, sped up by Nesterov's momentum with restarts (O'Donoghue and Candès 2015).
    """

    def __init__(self, features: Tensor, y: Tensor, classes: int, masks: Tensor) -> None:
        self.features, self.masks = features, masks
        self.targets = F.one_hot(y, classes).to(features.dtype)
        self.gram = features.T @ features / 2
        self.weights = torch.zeros(features.shape[1], masks.shape[1], classes)
        self.steepest = float(self._gradient(self.weights).norm())

    def solve(self, strength: float, tolerance: float = TOLERANCE) -> list[Tensor]:
        """The weights (F + 1, classes) of each probe; the last row is the bias."""
        penalty = torch.full((len(self.gram),), 1 / strength)
        penalty[-1] = BIAS_PENALTY
        factor = torch.linalg.cholesky(self.gram + torch.diag(penalty + 1e-4 * self.gram.diagonal().mean()))
        here = last = self.weights
        momentum = 1.0
        for _ in range(MOST_STEPS):
            gradient = self._gradient(here) + penalty[:, None, None] * here
            if float(gradient.norm()) <= tolerance * self.steepest:
                break
            step = torch.cholesky_solve(gradient.flatten(1), factor).view_as(here)
            following = here - step
            if float((step * (following - last)).sum()) > 0:  # it goes uphill: the momentum starts anew
                momentum = 1.0
            grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            here, last = following + (momentum - 1) / grown * (following - last), following
            momentum = grown
        self.weights = last
        return list(last.unbind(1))

    def _gradient(self, weights: Tensor) -> Tensor:
        """Of the summed losses: (F + 1, models, classes)."""
        logits = (self.features @ weights.flatten(1)).view(len(self.features), *weights.shape[1:])
        wrong = (torch.softmax(logits, 2) - self.targets[:, None]) * self.masks[:, :, None]
        return (self.features.T @ wrong.flatten(1)).view_as(weights)
