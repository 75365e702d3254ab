"""Every network in every framework: run by the framework itself, it gives our logits, and its weights come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from export_cases import CASES, export_of, pixels_of, wanted_of

from deepenough.frameworks import parity
from deepenough.frameworks.parity import Check
from deepenough.frameworks.target import DIFFERENCE, absent
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import write
from deepenough.weights.read import read

pytestmark = [pytest.mark.frameworks, pytest.mark.timeout(1500)]

READABLE = {name: target.readable for name, target in TARGETS.items() if target.readable}
SPLIT = 3
"""Processes would take too long for one of them to write all networks, where two can."""


def grouped(names: list[str]) -> list:
    """Cases with the group of tests that share what was written."""
    return [
        pytest.param(target, name, marks=pytest.mark.xdist_group(f"{target}{number % SPLIT}"), id=f"{target}-{name}")
        for target in names
        for number, name in enumerate(CASES)
    ]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The folder of a network for a target. A third of all are written at once, when the first of them is asked for."""
    made: dict[tuple[str, int], Path] = {}

    def folder(target: str, name: str) -> Path:
        number = list(CASES).index(name) % SPLIT
        if (target, number) not in made:
            root = tmp_path_factory.mktemp(f"{target}{number}")
            names = [each for each in list(CASES)[number::SPLIT] if not TARGETS[target].refusal(CASES[each]())]
            exports = [export_of(each, CASES[each]()) for each in names]
            write(
                exports, TARGETS[target], [root / each for each in names], trained=True, reading_side=[64] * len(names)
            )
            made[target, number] = root
        return made[target, number] / name

    return folder


@pytest.fixture(scope="session")
def checked(written: Callable[[str, str], Path]) -> Callable[[str, str], list[Check]]:
    """How each runtime's logits compare with ours."""
    made: dict[tuple[str, str], list[Check]] = {}

    def checks(target: str, name: str) -> list[Check]:
        if (target, name) not in made:
            names = list(CASES)[list(CASES).index(name) % SPLIT :: SPLIT]
            names = [each for each in names if not TARGETS[target].refusal(CASES[each]())]
            networks = [CASES[each]() for each in names]
            pixels = [pixels_of(network) for network in networks]
            made.update({(target, each): [] for each in names})
            for runtime in TARGETS[target].runtimes:
                assert not absent(runtime.packages), f"{runtime.name} is not installed"
                ran = parity.run([written(target, each) for each in names], pixels, runtime)
                for each, network, given, (version, answers) in zip(names, networks, pixels, ran, strict=True):
                    made[target, each] += parity.compare(version, answers, wanted_of(each, network, given))
        return made[target, name]

    return checks


@pytest.mark.parametrize(("target", "name"), grouped(list(TARGETS)))
def test_it_predicts_the_same(checked: Callable[[str, str], list[Check]], target: str, name: str) -> None:
    if reason := TARGETS[target].refusal(CASES[name]()):
        pytest.skip(reason)
    checks = checked(target, name)
    assert len(checks) == 2 * len(TARGETS[target].runtimes)
    assert [check.batch for check in checks] == [1, 7] * len(TARGETS[target].runtimes)
    assert [check.images for check in checks] == [7, 15] * len(TARGETS[target].runtimes)
    for check in checks:
        assert check.difference < DIFFERENCE
        assert check.same_top1 == check.images


@pytest.mark.parametrize(("target", "name"), grouped(list(READABLE)))
def test_weights_come_back_bit_for_bit(written: Callable[[str, str], Path], target: str, name: str) -> None:
    network = CASES[name]()
    if reason := TARGETS[target].refusal(network):
        pytest.skip(reason)
    export = export_of(name, network)
    weights = read(written(target, name) / READABLE[target])
    assert weights.network == export.network
    assert weights.classes == export.classes
    assert weights.input == export.input
    assert set(weights.state) == set(export.state)
    for key, value in export.state.items():
        np.testing.assert_array_equal(weights.state[key].numpy(), value, strict=True)
