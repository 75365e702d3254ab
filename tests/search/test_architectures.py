from dataclasses import replace

import pytest

from deepenough.errors import DeepenoughError
from deepenough.preprocessing import Preprocessing
from deepenough.search.architectures import Origin, architecture, between, costliest_student, search_space
from deepenough.search.latency import Latency
from deepenough.search.question import Measure

INPUT = (1, 28, 28)


def test_block_counts_double_from_the_shallowest():
    steps = search_space(["residual"], [1.0], INPUT, 10)
    assert [step.depth for step in steps] == [3, 7, 11, 19, 35, 67]
    assert [step.name for step in steps][:2] == ["residual-3", "residual-7"]


def test_the_largest_depth_bounds_it():
    assert [step.depth for step in search_space(["residual"], [1.0], INPUT, 10, max_depth=20)] == [3, 7, 11, 19]
    assert search_space(["residual"], [1.0], INPUT, 10, max_depth=200)[-1].depth == 131
    with pytest.raises(DeepenoughError, match=r"--max-depth 2: the shallowest .* depth 3"):
        search_space(["residual"], [1.0], INPUT, 10, max_depth=2)


@pytest.mark.parametrize("minimize", ["depth", "parameters", "macs"])
def test_rungs_go_from_small_to_large(minimize):
    steps = search_space(["residual", "plain"], [0.5, 1.0], INPUT, 10, minimize=minimize)
    sizes = [getattr(step, minimize) for step in steps]
    assert sizes == sorted(sizes)
    assert len({step.name for step in steps}) == len(steps)


def test_misspelt_names_have_near_matches():
    with pytest.raises(DeepenoughError, match="nearest is residual"):
        search_space(["resdual"], [1.0], INPUT, 10)
    with pytest.raises(DeepenoughError, match="nearest is parameters"):
        search_space(["residual"], [1.0], INPUT, 10, minimize="parametres")


def test_between_halves_the_gap():
    low, high = architecture("residual", 1.0, 4, INPUT, 10), architecture("residual", 1.0, 8, INPUT, 10)
    middle = between(low, high)
    assert middle is not None
    assert middle.blocks == 6
    assert between(architecture("residual", 1.0, 1, INPUT, 10), architecture("residual", 1.0, 2, INPUT, 10)) is None
    assert between(architecture("plain", 1.0, 4, INPUT, 10), high) is None


@pytest.mark.parametrize("minimize", list(Measure))
def test_the_costliest_student_learns_from_a_larger_network_that_takes_the_same_images(minimize):
    space = search_space(["residual"], [1.0], INPUT, 10)
    if minimize is Measure.LATENCY:  # in another order than their costs
        space = [replace(each, latency=Latency(1 / each.depth, 0.0, 1.0, 1 / each.depth)) for each in space]

    def planned(student):
        return 3 * student.macs + student.teacher.macs

    found = costliest_student(space, minimize, planned)
    assert found.measure(minimize) < found.teacher.measure(minimize)
    costs = [
        3 * student.macs + teacher.macs
        for student in space
        for teacher in space
        if student.measure(minimize) < teacher.measure(minimize)
    ]
    assert planned(found) == max(costs)
    apart = [
        replace(each, origin=Origin(each.name, Preprocessing((side, side)), whole=True, one_of_several=True))
        for side, each in enumerate(space, start=20)
    ]
    assert costliest_student(apart, minimize, planned) is None
    assert costliest_student(space[:1], minimize, planned) is None
