"""Random numbers that are functions: of the seed, the epoch and the image, whatever batch it comes in.

Counter-based (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), with the finaliser of SplitMix64
(Steele et al. 2014) as the mixer. Nothing has to be saved to go on in the middle of an epoch, and two processes that
share a batch draw what one would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def _mix(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: every input bit flips every output bit with a chance of a half."""
    bits = bits + _GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))


def _words(values: ArrayLike) -> NDArray[np.uint64]:
    return np.atleast_1d(np.asarray(values, np.int64)).astype(np.uint64)


def uniform(seed: int, epoch: int, index: ArrayLike, stream: ArrayLike) -> NDArray[np.float64]:
    """Numbers in [0, 1), one for each image of `index` (n,); with several streams (s,), an array (s, n).

    Different streams, epochs and seeds are independent of each other.
    """
    with np.errstate(over="ignore"):
        key = _mix(_mix(_mix(_words(seed)) ^ _words(epoch)) ^ _words(stream))
        bits = _mix(_mix(key[:, None] ^ _mix(_words(index))[None, :]))
    numbers = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return numbers if np.ndim(stream) else numbers[0]
