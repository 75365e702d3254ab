"""Packages of Core ML where no Core ML runs them: their programs in torch give our logits, and damage is seen."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from export_cases import CASES, REPRESENTATIVES, export_of, pixels_of, skip_where_absent, wanted_of

from deepenough.errors import DeepenoughError
from deepenough.frameworks.names import coreml_names
from deepenough.frameworks.target import DIFFERENCE
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import run_writer
from deepenough.nets import BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, Group, Lrn, Network, Relu
from deepenough.nets.shapes import visits

COREML = TARGETS["coreml"]
IN_TORCH, SPOILED = (Path(__file__).with_name(f"{name}.py") for name in ("mil_in_torch", "spoiled_coreml"))
COUNT = 3

pytestmark = [pytest.mark.timeout(1500), pytest.mark.xdist_group("coreml")]


class Ran(NamedTuple):
    logits: np.ndarray
    told: dict[str, Any]


def in_torch(folders: list[Path], pixels: list[np.ndarray], temporary: Path) -> list[Ran]:
    """What torch makes of the programs in packages."""
    jobs = []
    for number, (folder, given) in enumerate(zip(folders, pixels, strict=True)):
        job = {"package": folder / "model.mlpackage", "pixels": temporary / f"{number}.npy"}
        np.save(job["pixels"], given)
        jobs.append({**job, "answers": temporary / f"{number}.answers.npy"})
    lines = "\n".join(json.dumps(job, default=str) for job in jobs)
    done = subprocess.run([sys.executable, str(IN_TORCH)], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = [json.loads(line.removeprefix("ran ")) for line in done.stdout.splitlines() if line.startswith("ran ")]
    return [Ran(np.load(job["answers"]), each) for job, each in zip(jobs, told, strict=True)]


@pytest.fixture(scope="session")
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Ran]:
    """What torch makes of each network's program. All are written, and run, at once."""
    skip_where_absent("coreml")
    made: dict[str, Ran] = {}

    def of(name: str) -> Ran:
        if not made:
            asked = {item.callspec.params["name"] for item in request.session.items if "ran" in item.fixturenames}
            names = [each for each in CASES if each in asked and not COREML.refusal(CASES[each]())]
            networks = [CASES[each]() for each in names]
            root = tmp_path_factory.mktemp("coreml")
            folders = [root / each for each in names]
            exports = [export_of(each, network) for each, network in zip(names, networks, strict=True)]
            run_writer(exports, COREML, folders, trained=True, reading_side=[64] * len(names))
            pixels = [pixels_of(network, COUNT) for network in networks]
            made.update(zip(names, in_torch(folders, pixels, root), strict=True))
        return made[name]

    return of


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.frameworks if name in REPRESENTATIVES else pytest.mark.exhaustive)
        for name in CASES
    ],
)
def test_the_program_in_torch_gives_our_logits(name: str, ran: Callable[[str], Ran]) -> None:
    network = CASES[name]()
    if reason := COREML.refusal(network):
        pytest.skip(reason)
    found = ran(name)
    wanted = wanted_of(name, network, pixels_of(network, COUNT))
    assert np.abs(found.logits - wanted).max() < DIFFERENCE * np.abs(wanted).max()
    assert found.told["labels"] == [f"class {place}" for place in wanted.argmax(1)]
    assert found.told["ends"] == ["images", "classLabel", "classLabel_probs", "logits"]
    export = export_of(name, network)
    assert found.told["colours"] == ("GRAYSCALE" if network.input[0] == 1 else export.input.order)


SPOILINGS = {
    "none": "$",
    "one bit of a weight": r".*conv\.weight is not the network's own",
    "a shape": r".*gives \(1, .*\), not \(1, ",
    "a layer left out": r".*there is no operation for .*norm",
    "statistics exchanged": r".*\.(weight|bias|running_mean|running_var) is not the network's own",
    "another activation": ".*relu.* is sigmoid, not relu;",
    "another eps": r".*epsilon of .*norm.* is 2.*e-05, not 1e-05;",
    "another stride": r".*strides of pool is \[3 3\], not \[2, 2\];",
    "other padding": r".*pad of .*conv.* is \[2 0 1 1\], not \[1, 1, 1, 1\];",
    "no normalisation": ".*there is no operation normalise__unit;",
    "another mean": ".*y of normalise__mean is .*0.15.*, not .*0.3",
    "another operand": ".*y of level1_block1 is level1_block1_main_norm2, not stem_relu;",
    "one more operation": ".*x of .* is surplus, not normalise__std;",
    "another order of colours": r".*it takes .*'(RGB|BGR)'.*, not .*'(RGB|BGR)'.*;",
    "other classes": ".*classes of classify_0 is .*class 9.*, not .*class 0",
}


@pytest.mark.frameworks
def test_what_is_not_the_network_is_seen(tmp_path: Path) -> None:
    skip_where_absent("coreml")
    words = [sys.executable, str(SPOILED), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("told "))
    said = json.loads(line.removeprefix("told "))
    assert set(said) == set(SPOILINGS)
    for spoiling, wanted in SPOILINGS.items():
        assert re.match(wanted, said[spoiling]), (spoiling, said[spoiling])


def test_layers_have_names_of_their_own() -> None:
    inner = Group((Conv(3, 1), Relu(name="logits")), name="a")
    network = Network("n", (3, 8, 8), (inner, Conv(3, 1, name="a_conv"), Relu(name="logits"), GlobalAvgPool()))
    names = coreml_names(network)
    assert names["a.conv"] == "a_conv"
    assert names["a_conv"] == "a_conv_2"
    assert names["logits"] == "logits_2"
    assert list(names) == [visit.path for visit in visits(network)]
    assert len(set(names.values())) == len(names)
    assert not any("__" in name for name in names.values())


@pytest.mark.frameworks
def test_names_may_begin_and_end_with_an_underscore(tmp_path: Path) -> None:
    skip_where_absent("coreml")
    block = Group((Conv(4, name="_conv"), BatchNorm(name="norm_"), Relu(name="_")), name="_blocks")
    network = Network("n", (3, 8, 8), (block, Conv(3, 1, name="images"), GlobalAvgPool(), Dense(2, name="logits")))
    assert coreml_names(network)["_blocks._conv"] == "_blocks_conv"
    export = export_of("odd", network)
    run_writer([export], COREML, [tmp_path / "out"], trained=True, reading_side=[64])
    assert (tmp_path / "out" / "model.mlpackage").is_dir()


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Network("n", (4, 8, 8), (Conv(4, 1), GlobalAvgPool())), "images of 4 channels; Core ML's have 1 or 3"),
        (Network("n", (3, 8, 8), (Conv(4, 1), Lrn(4), Flatten())), r"lrn: Lrn\(4\) has no centre; Core ML takes"),
    ],
)
def test_what_is_refused_is_refused_with_the_reason(network: Network, words: str, tmp_path: Path) -> None:
    export = export_of("odd", CASES["odd"]())
    export = type(export).of(network, {}, export.input, export.classes)
    with pytest.raises(DeepenoughError, match=f"--to coreml: n can't be written: {words}"):
        run_writer([export], COREML, [tmp_path / "out"], trained=True, reading_side=[64])
