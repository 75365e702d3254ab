import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from deepenough.data.rng import uniform

MANY = np.arange(20_000)


def test_numbers_are_uniform():
    for epoch, stream in ((0, 0), (1, 0), (0, 7)):
        numbers = uniform(3, epoch, MANY, stream)
        assert numbers.min() >= 0
        assert numbers.max() < 1
        assert kstest(numbers, "uniform").pvalue > 1e-3


def test_streams_epochs_seeds_and_neighbours_are_independent():
    base = uniform(0, 0, MANY, 0)
    others = {
        "stream": uniform(0, 0, MANY, 1),
        "epoch": uniform(0, 1, MANY, 0),
        "seed": uniform(1, 0, MANY, 0),
        "neighbour": np.roll(base, 1),
        "epoch and stream changed places": uniform(0, 1, MANY, 0),
    }
    for name, other in others.items():
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.03, name
        table = np.histogram2d(base, other, bins=8)[0]
        assert table.min() > 0.75 * len(MANY) / 64, name


@given(st.integers(0, 2**31), st.integers(0, 10_000), st.lists(st.integers(0, 2**40), min_size=1, max_size=30))
def test_a_number_is_its_images_own(seed, epoch, index):
    together = uniform(seed, epoch, index, [0, 5])
    assert together.shape == (2, len(index))
    for place, image in enumerate(index):
        assert uniform(seed, epoch, [image], 5)[0] == together[1, place]
