"""The accuracy along a search space as a curve: mostly level, with a step here and there.

Neighbouring architectures tell about one another. Along a family, from each architecture to the next, accuracy changes
by a normal step whose deviation is one of `STEPS`, each with its share: negligible, small, or large. What was measured
of each architecture is normal around its place on the curve. Curves are drawn from the posterior by forward filtering
and backward sampling (Frühwirth-Schnatter, J. Time Series Analysis 15, 1994) on a grid of accuracies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

STEPS = ((0.0015, 0.5), (0.006, 0.2), (0.02, 0.15), (0.08, 0.15))  # deviation of a step, share of such steps
DRAWS = 1000
FINEST, MOST = 0.0005, 300  # spacing of the grid, and its most points


def draw_accuracies(values: Numbers, variances: Numbers, families: Sequence[object]) -> Numbers:
    """Accuracies from the posterior, shape (`DRAWS`, K); the same arguments give the same draws.

    Args:
        values: the accuracy measured of each, in 0..1 or from any common origin, shape (K,).
        variances: of these measurements, shape (K,).
        families: what belongs to one curve has equal values here; within it the order is that of the arguments.
    """
    draws, generator = np.empty((DRAWS, len(values))), np.random.default_rng(0)
    for family in dict.fromkeys(families):
        members = np.array([each == family for each in families])
        draws[:, members] = draw_curves(values[members], variances[members], generator)
    return draws


def probability_enough(draws: Numbers, margin: float) -> Numbers:
    """The probability that each is at most `margin` less accurate than the best of all, shape (K,)."""
    return np.asarray(_enough(draws, margin).mean(axis=0))


def probability_near(draws: Numbers, margin: float) -> Numbers:
    """The probability that each is the first that is enough, or the one before or after that, shape (K,)."""
    count = draws.shape[1]
    first = np.bincount(_enough(draws, margin).argmax(axis=1), minlength=count)
    return np.array([first[max(0, place - 1) : place + 2].sum() for place in range(count)]) / len(draws)


def _enough(draws: Numbers, margin: float) -> npt.NDArray[np.bool_]:
    return np.asarray(draws >= draws.max(axis=1, keepdims=True) - margin)


def draw_curves(values: Numbers, variances: Numbers, generator: np.random.Generator) -> Numbers:
    """Curves from the posterior, shape (`DRAWS`, K)."""
    deviations = np.sqrt(variances)
    low, high = (values - 4 * deviations).min(), (values + 4 * deviations).max()
    grid = np.linspace(low, high, int(np.clip((high - low) / FINEST, 50, MOST)))
    apart = np.arange(len(grid)) * (grid[1] - grid[0])
    density = np.sum([share * np.exp(-0.5 * (apart / size) ** 2) / size for size, share in STEPS], axis=0)
    places = np.arange(len(grid))
    transition = density[np.abs(places[:, None] - places)]
    transition /= transition.sum(axis=1, keepdims=True)
    filtered = []
    belief = np.ones(len(grid))
    for number, (value, variance) in enumerate(zip(values, variances, strict=True)):
        belief = (belief @ transition if number else belief) * np.exp(-0.5 * (grid - value) ** 2 / variance)
        belief = belief / belief.sum()
        filtered.append(belief)
    uniform = generator.random((len(values), DRAWS))
    drawn = np.empty((DRAWS, len(values)))
    place = _sample(filtered[-1][None, :], np.zeros(DRAWS, np.int64), uniform[-1])
    drawn[:, -1] = grid[place]
    for number in range(len(values) - 2, -1, -1):
        following, which = np.unique(place, return_inverse=True)  # few of the grid's places are ever drawn
        place = _sample(filtered[number] * transition[:, following].T, which, uniform[number])
        drawn[:, number] = grid[place]
    return drawn


def _sample(weights: Numbers, rows: npt.NDArray[np.int64], uniform: Numbers) -> npt.NDArray[np.int64]:
    """For every draw an index into its row of weights; `rows` has the row of each draw."""
    cumulative = np.cumsum(weights, axis=1)
    cumulative = cumulative / cumulative[:, -1:] + np.arange(len(weights))[:, None]  # all rows in one ascending array
    found = np.searchsorted(cumulative.ravel(), uniform + rows) - rows * weights.shape[1]
    return np.asarray(np.minimum(found, weights.shape[1] - 1), np.int64)
