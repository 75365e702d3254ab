"""Every network in every framework: run by the framework itself, it gives our logits, and its weights come back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from canonical import canonical
from export_cases import CASES, REPRESENTATIVES, RUN_HERE, export_of, pixels_of, skip_where_absent, wanted_of

from deepenough.frameworks import parity
from deepenough.frameworks.export import Export
from deepenough.frameworks.parity import Check
from deepenough.frameworks.target import DIFFERENCE, Runtime, absent
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import _stage, run_writer
from deepenough.nets import Tokens
from deepenough.nets.shapes import visits
from deepenough.weights.read import read_weights

pytestmark = pytest.mark.timeout(1500)

READABLE = {name: target.readable for name, target in TARGETS.items() if target.readable and target.any_network}
SPLIT = 2
"""Processes would take too long for one of them to write all networks, where two can."""

KERAS = ("keras", "tensorflow", "litert")
"""Targets that are written from one Keras model, by one process."""

SAVED = {"odd", "tokens", "googlenet_bn", "efficientnet_lite0_tf", "residual-1x28"}
"""Networks that are written as a SavedModel of TensorFlow, too, unless all are: it is Keras' model with a signature."""

KERAS_ONCE = Path(__file__).with_name("keras_once.py")
SINGLES = 2
"""How many images are run one by one: a second after the first. More run so in test_exporting.py."""
COUNT = 8
"""How many images are run: seven at once, and the one that is left."""


def grouped(names: list[str]) -> list:
    """Cases with the group of tests that share what was written."""

    def marks(target: str, number: int, name: str) -> list[pytest.MarkDecorator]:
        together = "keras" if target in KERAS else target
        seconds = {"keras": 200, "torch": 60}.get(together, 20)
        representative = name in (SAVED if target == "tensorflow" else REPRESENTATIVES)
        chosen = pytest.mark.frameworks if representative else pytest.mark.exhaustive
        return [chosen, pytest.mark.xdist_group(f"{together}{number % SPLIT}"), pytest.mark.seconds(seconds)]

    return [
        pytest.param(target, name, marks=marks(target, number, name), id=f"{target}-{name}")
        for target in names
        for number, name in enumerate(CASES)
    ]


def accepts(target: str, name: str) -> bool:
    return not TARGETS[target].refusal(CASES[name]())


def runtimes_here(target: str) -> list[Runtime]:
    """Those that exist here: TensorRT's does where there is a GPU."""
    return [runtime for runtime in TARGETS[target].runtimes if runtime.exists_here]


@pytest.fixture(scope="session")
def asked(request: pytest.FixtureRequest) -> Callable[[str, str], bool]:
    """Tells if a test asks for a network in a target that takes it."""
    items = [item.callspec.params for item in request.session.items if item.path == Path(__file__)]
    pairs = {(each["target"], each["name"]) for each in items}
    return lambda target, name: (target, name) in pairs and accepts(target, name)


@pytest.fixture(scope="session")
def half(asked: Callable[[str, str], bool]) -> Callable[[str, str], list[str]]:
    """The networks that are written for a target in the process that writes this one."""

    def names(target: str, name: str) -> list[str]:
        return [each for each in list(CASES)[list(CASES).index(name) % SPLIT :: SPLIT] if asked(target, each)]

    return names


@pytest.fixture(scope="session")
def written(
    tmp_path_factory: pytest.TempPathFactory, half: Callable[[str, str], list[str]]
) -> Callable[[str, str], Path]:
    """The folder of a network for a target. Half of all are written at once, when the first of them is asked for."""
    made: dict[tuple[str, int], Path] = {}

    def folder(target: str, name: str) -> Path:
        number = list(CASES).index(name) % SPLIT
        if (target, number) not in made:
            targets = KERAS if target in KERAS else (target,)
            names = {each: half(each, name) for each in targets}
            exports = {each: export_of(each, CASES[each]()) for each in dict.fromkeys(chain(*names.values()))}
            roots = {each: tmp_path_factory.mktemp(f"{each}{number}") for each in targets}
            if len(targets) > 1:
                write_together(exports, names, roots, tmp_path_factory.mktemp("staged"))
            else:
                folders = [roots[target] / each for each in exports]
                given = list(exports.values())
                run_writer(given, TARGETS[target], folders, trained=True, reading_side=[64] * len(given))
            made.update({(each, number): root for each, root in roots.items()})
        return made[target, number] / name

    return folder


def write_together(
    exports: dict[str, Export], names: dict[str, list[str]], roots: dict[str, Path], temporary: Path
) -> None:
    """Do what `write` does, for several targets in one process."""
    jobs = []
    for name, export in exports.items():
        _stage(export, temporary / name)
        for target in (each for each in roots if name in names[each]):
            folder = roots[target] / name
            job = {"target": target, "staged": temporary / name, "folder": folder, "trained": True, "side": 64}
            jobs.append(json.dumps(job, default=str))
    words = [sys.executable, "-P", str(KERAS_ONCE)]
    done = subprocess.run(words, input="\n".join(jobs), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def checked(
    written: Callable[[str, str], Path], half: Callable[[str, str], list[str]]
) -> Iterator[Callable[[str, str], list[Check]]]:
    """How each runtime's logits compare with ours."""
    made: dict[tuple[str, str], list[Check]] = {}
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(parity, "SINGLES", SINGLES)
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # JAX compiles for longer than it runs

    def checks(target: str, name: str) -> list[Check]:
        if (target, name) not in made:
            names = half(target, name)
            networks = [CASES[each]() for each in names]
            pixels = [pixels_of(network, COUNT) for network in networks]
            made.update({(target, each): [] for each in names})
            for runtime in runtimes_here(target):
                assert not absent(runtime.packages), f"{runtime.name} is not installed"
                ran = parity.run_exports([written(target, each) for each in names], pixels, runtime)
                for each, network, given, (version, answers) in zip(names, networks, pixels, ran, strict=True):
                    made[target, each] += parity.compare_logits(version, answers, wanted_of(each, network, given))
        return made[target, name]

    yield checks
    monkeypatch.undo()


@pytest.mark.parametrize(("target", "name"), grouped(RUN_HERE))
def test_it_predicts_the_same(checked: Callable[[str, str], list[Check]], target: str, name: str) -> None:
    if reason := TARGETS[target].refusal(CASES[name]()):
        pytest.skip(reason)
    skip_where_absent(target)
    checks = checked(target, name)
    assert len(checks) == 2 * len(runtimes_here(target))
    assert [check.batch for check in checks] == [1, 7] * len(runtimes_here(target))
    assert [check.images for check in checks] == [SINGLES, COUNT] * len(runtimes_here(target))
    for check in checks:
        assert check.difference < DIFFERENCE
        assert check.same_top1 == check.images


@pytest.mark.parametrize(("target", "name"), grouped(list(READABLE)))
def test_weights_come_back_bit_for_bit(written: Callable[[str, str], Path], target: str, name: str) -> None:
    network = CASES[name]()
    if reason := TARGETS[target].refusal(network):
        pytest.skip(reason)
    export = export_of(name, network)
    weights = read_weights(written(target, name) / READABLE[target])
    assert weights.network == export.network
    assert weights.classes == export.classes
    assert weights.input == export.input
    assert set(weights.state) == set(export.state)
    for key, value in export.state.items():
        np.testing.assert_array_equal(weights.state[key].numpy(), value, strict=True)


DESCRIBED = {"caffe": "model.caffemodel", "keras": "model.keras", "onnx": "model.onnx"}
"""Files that describe their network."""


@pytest.mark.parametrize(("target", "name"), grouped(list(DESCRIBED)))
def test_the_network_comes_back_without_what_lies_beside_its_file(
    written: Callable[[str, str], Path], tmp_path: Path, target: str, name: str
) -> None:
    network = CASES[name]()
    if reason := TARGETS[target].refusal(network):
        pytest.skip(reason)
    export = export_of(name, network)
    (tmp_path / DESCRIBED[target]).write_bytes((written(target, name) / DESCRIBED[target]).read_bytes())
    reader = import_module(f"deepenough.weights.graphs.{target}")
    found = getattr(reader, f"read_{target}_graph")(tmp_path / DESCRIBED[target])
    assert found.network.input == export.network.input
    assert canonical(found.network) == canonical(export.network)
    # ONNX has the class token added to its position.
    summed = {visit.path for visit in visits(export.network) if isinstance(visit.layer, Tokens) and target == "onnx"}
    assert set(found.state) == set(export.state)
    for key, value in export.state.items():
        if key.rpartition(".")[0] not in summed:
            np.testing.assert_array_equal(found.state[key].numpy(), value, strict=True)
