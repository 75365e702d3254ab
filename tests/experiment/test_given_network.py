"""A search that starts from the user's own torch module: by name, from Python, resumed without its code."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from normalising import Normalising
from torch import nn
from unfinished_run import make_unfinished

import deepenough
from deepenough import DeepenoughError
from deepenough.experiment.given_network import imported_module, kept_network
from deepenough.experiment.probe import probe
from deepenough.progress import Reporter

pytestmark = pytest.mark.seconds(15)

NETS = """
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2, self.conv3 = nn.Conv2d(8, 12, 3, padding=1), nn.Conv2d(12, 12, 3, padding=1)
        self.fc = nn.Linear(12, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.relu(self.conv3(F.relu(self.conv2(x))))
        return self.fc(x.mean((2, 3)))

def make():
    torch.manual_seed(0)
    return Net()

made = make()
number = 3

def broken():
    raise ValueError("not today")

def wrong():
    return "a word"

def ends():
    raise SystemExit(2)

def needs(width):
    return Net()
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with a file of networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_nets.py").write_text(NETS)
    (tmp_path / "own_nets_that_fail.py").write_text("1 / 0")
    (tmp_path / "own_nets_that_need.py").write_text("import a_package_that_nobody_has")
    (tmp_path / "own_nets_that_end.py").write_text("import sys\nsys.exit()")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_nets")]:
        del sys.modules[name]


def given() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 12, 3, 2), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(12, 5),
    )  # fmt: skip


def test_a_module_is_cut_fine_tuned_and_resumed_without_its_code(
    shapes: Path, quick: dict[str, Any], tmp_path: Path
) -> None:
    said: list[str] = []
    run = deepenough.fit(shapes, network=given(), out=tmp_path / "run", progress=Told(said), **more(quick))
    assert any("doesn't say how its images are normalised" in line for line in said)
    (probing,) = run.record.probings
    assert (probing.network, probing.source) == ("Sequential", "torch module")
    assert [probe.place for probe in probing.probes] == ["conv_0", "conv_2"]
    assert {each.name for each in run.record.candidates} <= {"Sequential-conv_0", "Sequential-conv_2"}
    assert "network=network" in run.record.command
    assert "network = ...  # Sequential" in run.record.command
    kept = kept_network(run.folder)
    assert torch.equal(kept.state["conv_0.weight"], given()[0].weight)
    stopped = make_unfinished(shutil.copytree(run.folder, tmp_path / "stopped"))
    again = deepenough.resume(stopped, progress=False)
    assert again.record.decision == run.record.decision
    kept_before = deepenough.load(run.folder).module.state_dict()
    for name, tensor in deepenough.load(stopped).module.state_dict().items():
        assert torch.equal(tensor, kept_before[name])


class Told(Reporter):
    """Keeps the lines that a user is told."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def say(self, line: str) -> None:
        self.lines.append(line)


def more(quick: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in quick.items() if name not in ("progress", "max_depth", "family")}


def test_the_plan_of_a_module_by_name(nets: Path, shapes: Path) -> None:
    plan = deepenough.plan(shapes, network="own_nets:make", epochs=1, progress=False)
    assert plan.most > 0


def test_a_function_or_a_module_is_imported_from_the_current_folder(nets: Path) -> None:
    before = list(sys.path)
    for name in ("make", "made", "Net"):
        assert type(imported_module(f"own_nets:{name}")).__name__ == "Net"
    assert sys.path == before


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("own_net:make", "there is no module own_net in "),
        ("own_nets.inner:make", "there is no module own_nets.inner in "),
        ("own_nets:mak", "in own_nets, the name 'mak' is not known; nearest"),
        ("own_nets:", "expected module:function"),
        ("own_nets:broken", "called without arguments, it failed: ValueError: not today"),
        ("own_nets:ends", "called without arguments, it failed: SystemExit: 2"),
        ("own_nets_that_end:make", "importing own_nets_that_end failed: SystemExit"),
        ("own_nets:needs", "called without arguments, it failed: TypeError"),
        ("own_nets:wrong", "what it returns is of the type str; expected a torch.nn.Module"),
        ("own_nets:number", "it is of the type int; expected a torch.nn.Module"),
        ("own_nets_that_fail:make", "importing own_nets_that_fail failed: ZeroDivisionError"),
        ("own_nets_that_need:make", "imports a_package_that_nobody_has, which is not installed"),
        ("python:Net", "one that Python held"),
    ],
)
def test_what_gives_no_network_is_said(nets: Path, given: str, why: str) -> None:
    with pytest.raises(DeepenoughError) as caught:
        imported_module(given)
    assert why in str(caught.value)
    assert f"--network {given}: " in str(caught.value)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"network": "nets:make", "weights": "squeezenet1_1"}, "leave out --weights"),
        ({"network": "nets:make", "scratch": True, "max_depth": 9}, "leave out --scratch, --max-depth"),
        ({"network": 3}, "network is of the type int; expected a torch.nn.Module"),
    ],
)
def test_options_that_do_not_go_with_a_network(options: dict[str, Any], why: str) -> None:
    with pytest.raises(DeepenoughError, match=why):
        deepenough.fit("digits", progress=False, **options)


def test_a_network_of_ones_own_is_probed_by_name_and_from_python(nets: Path, shapes: Path) -> None:
    said: list[str] = []
    named = probe(shapes, network="own_nets:make", size=16, seed=0, reporter=Told(said))
    held = probe(shapes, network=imported_module("own_nets:made"), size=16, seed=0)
    assert (named.network, named.source) == ("Net", "torch module")
    assert [each.place for each in named.probes] == ["conv1", "conv2", "conv3"]
    assert [each.accuracy for each in named.probes] == [each.accuracy for each in held.probes]
    assert any("doesn't say how its images are normalised" in line for line in said)


def test_the_command_probes_a_network_of_ones_own(nets: Path, shapes: Path) -> None:
    words = [sys.executable, "-m", "deepenough", "probe", str(shapes), "--network", "own_nets:make", "--size", "16"]
    done = subprocess.run([*words, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [each["place"] for each in json.loads(done.stdout)["probes"]] == ["conv1", "conv2", "conv3"]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "give --weights NAME|FILE, or --network module:function"),
        ({"network": "resnet18"}, "give those too"),
        ({"network": "own_nets:make", "weights": "squeezenet1_1"}, "leave out --weights"),
        ({"network": "own_nets:wrong"}, "expected a torch.nn.Module"),
        ({"network": 3}, "network is of the type int; expected a torch.nn.Module"),
    ],
)
def test_what_can_not_be_probed_is_said(nets: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(DeepenoughError, match=re.escape(why)):
        probe("digits", **options)


def test_a_module_is_not_normalised_otherwise_than_it_does_itself(shapes: Path) -> None:
    said: list[str] = []
    found = probe(shapes, network=Normalising(given()), size=16, seed=0, reporter=Told(said))
    assert [each.place for each in found.probes] == ["net_0", "net_2"]
    assert said
    with pytest.raises(DeepenoughError, match=r"normalises its images itself, by mean \(0\.5, 0\.5, 0\.5\) and std"):
        probe(shapes, network=Normalising(given()), size=16, seed=0, preprocess="torchvision")
