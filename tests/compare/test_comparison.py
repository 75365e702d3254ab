"""The comparison of frameworks: what it checks, what it counts, what it does when a framework fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from seen_page import Seen, english_left

from deepenough import DeepenoughError
from deepenough.compare import comparison, session
from deepenough.compare import text as words
from deepenough.compare.comparison import code_lines, compare_frameworks, network_lines
from deepenough.compare.frameworks import FRAMEWORKS, Framework
from deepenough.compare.page import comparison_figures, write_comparison
from deepenough.compare.results import SAME, FrameworkComparison, FrameworkResult, Timing
from deepenough.compare.session import Session, gradient_difference
from deepenough.nets import FAMILIES, NETWORKS, BatchNorm, Conv, Dropout, GlobalAvgPool, Network, Relu, Sum
from deepenough.nets.layers import StochasticDepth
from deepenough.nets.shapes import visits

pytestmark = pytest.mark.seconds(45)

Command = Callable[..., tuple[int, str, str]]

BLOCK = Sum(((Conv(4, 1), StochasticDepth(0.5)), ()))
TINY = Network("tiny", (3, 12, 12), (Conv(4), BatchNorm(), Relu(), BLOCK, Dropout(), Conv(5, 1), GlobalAvgPool()))


def row(framework: str, speed: float = 10.0, **changes: object) -> FrameworkResult:
    made = FrameworkResult(framework, f"{framework} 1.0", "", 1e-7, 2e-6)
    made.first = {"train, eager": 0.5, "infer, eager": 0.1}
    made.speed = {"train, eager": speed, "infer, eager": 3 * speed}
    made.peak_infer, made.peak, made.disk, made.lines = 10**8, 2 * 10**9, 5 * 10**6, 40
    return replace(made, **changes)


def found(*rows: FrameworkResult) -> FrameworkComparison:
    return FrameworkComparison(
        "tiny", 2, 300, 10_000, (3, 12, 12), 4, 2, 1.0, "a machine", "2026-11-23T10:00+00:00", rows
    )


def test_no_framework_draws_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Network] = []

    def stop(network: Network, *others: Any) -> None:
        compared.append(network)
        raise InterruptedError

    monkeypatch.setattr(comparison, "write_exports", stop)
    with pytest.raises(InterruptedError):
        compare_frameworks(TINY, only=["PyTorch"])
    kept = [visit.layer for visit in visits(TINY) if not isinstance(visit.layer, Dropout)]
    assert len(kept) == len(list(visits(TINY))) - 2  # one before the last convolution, one in a branch
    assert [visit.layer.kind for visit in visits(compared[0])] == [layer.kind for layer in kept]


def test_pytorch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch is always here: a step of it is measured, and nothing is left behind.

    With torch.compile switched off, which takes most of a minute: `test_everything_is_measured` has it compile.
    """
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    result = compare_frameworks(TINY, Timing(2, 1, 0.01), only=["PyTorch"])
    (only,) = result.results
    assert only.problem == ""
    assert only.loss_difference == only.gradient_difference == 0
    assert only.speed["train, eager"] > 0
    assert only.speed["infer, eager"] > 0
    assert only.failed == {}
    assert only.first["train, torch.compile"] > 0
    assert only.disk is not None
    assert 300 < only.disk < 3_000
    assert only.peak is not None
    assert 5e7 < only.peak < 5e9
    assert result.parameters == 4 * 27 + 4 + 8 + 4 * 4 + 4 + 25


ALIKE = ("googlenet_bn", "plain")
"""Networks of layers that the others have."""
ONE_STEP = [
    *(pytest.param(name, marks=pytest.mark.frameworks) for name in ("resnet18", "alexnet", "inception")),
    *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ALIKE),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ONE_STEP)
def test_one_step_is_the_same_in_every_framework(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from export_cases import small

    network = small(name) if name in NETWORKS else FAMILIES[name].network(
        input=(3, 32, 32), classes=10, depth=9, width=0.5
    )  # fmt: skip
    monkeypatch.setattr(Session, "measure_speed", lambda *given: None)  # minutes of compiling
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")  # JAX compiles for longer than it runs
    result = compare_frameworks(
        network, Timing(batch=4), only=["PyTorch", "Keras, TensorFlow", "Keras, JAX", "PaddlePaddle"]
    )
    assert len(result.results) == 4
    for each in result.results:
        assert each.problem == ""
        assert each.failed == {}
        assert each.loss_difference is not None
        assert each.gradient_difference is not None
        assert not each.differs
        exact = each.framework != "Keras, JAX"  # whose norms are in float32
        assert each.loss_difference < (1e-9 if exact else SAME)
        assert each.gradient_difference < (1e-7 if exact else each.allowed)
        assert each.framework == "PyTorch" or each.gradient_difference > 0


@pytest.mark.frameworks
@pytest.mark.timeout(600)
def test_everything_is_measured(command: Command, tmp_path: Path) -> None:
    words_given = ("--input", "3x16x16", "--batch", 2, "--rounds", 1, "--seconds", 0.01, "--out", tmp_path)
    status, out, _ = command("compare", "residual", *words_given)
    assert status == 0
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert [each["framework"] for each in content["results"]] == [framework.name for framework in FRAMEWORKS]
    for each in content["results"]:
        assert each["problem"] == ""
        assert each["failed"] == {}
        assert each["version"] in out
        trains = each["framework"] in ("PyTorch", "Keras, TensorFlow", "Keras, JAX", "PaddlePaddle")
        assert any(key.startswith("train") for key in each["speed"]) == trains
        assert any(key.startswith("infer") for key in each["speed"])
    assert "the same loss and gradients in 4 frameworks" in out


def test_gradients_that_differ_are_seen() -> None:
    wanted = {"a": np.array([3.0, -4.0]), "b": np.array([1e-9, 0.0])}
    assert gradient_difference(wanted, wanted) == 0
    assert gradient_difference(wanted | {"a": np.array([3.0, -4.5])}, wanted) == pytest.approx(0.1)
    # A gradient of nothing but rounding is compared with a thousandth of the largest.
    assert gradient_difference(wanted | {"b": np.array([6e-9, 0.0])}, wanted) == pytest.approx(1e-6)
    assert gradient_difference({"a": wanted["a"]}, wanted) == float("inf")


def test_lines_of_code() -> None:
    source = '"""What.\n\nMore.\n"""\n\nimport keras\n\n# why\ndef f(x):\n    """One line."""\n    return x  # here\n'
    assert code_lines(source) == 3


def test_only_the_definition_of_the_network_is_counted(tmp_path: Path) -> None:
    helper = "import nn\n\n\nclass Helper:\n    x = 1\n\n\n"
    body = f"{helper}def network():\n    # one\n    return nn.Stack(\n        1,\n    )\n"
    (tmp_path / "network.py").write_text(body + "\n\ndef load():\n    return network()\n")
    assert network_lines(tmp_path / "network.py") == 4
    (tmp_path / "model.prototxt").write_text("# a comment\nlayer {\n}\n")
    assert network_lines(tmp_path / "model.prototxt") == 2


def test_a_framework_that_is_not_here_and_one_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Framework("Broken", "onnx", "no_such_worker.py", ("onnx",), "")
    absent = Framework("Absent", "torch", "torch_worker.py", ("no_such_package",), "absent")
    for module in (comparison, session):
        monkeypatch.setattr(module, "FRAMEWORKS", (absent, broken))
    result = compare_frameworks(TINY, Timing(2, 1, 0.01))
    assert [each.framework for each in result.results] == ["Absent", "Broken"]
    assert result.results[0].problem == "not installed: pip install 'deepenough[absent]'"
    assert "its process ended with status 2" in result.results[1].problem
    assert words.fastest(result) == "Nothing could be measured."
    monkeypatch.setattr(comparison, "FRAMEWORKS", (absent,))
    with pytest.raises(DeepenoughError, match="none of these frameworks is installed"):
        compare_frameworks(TINY)


def test_a_misspelt_framework_is_matched() -> None:
    with pytest.raises(DeepenoughError, match="framework 'Pytorh' is not known; nearest is PyTorch"):
        compare_frameworks(TINY, only=["Pytorh"])


def test_words_of_a_comparison() -> None:
    result = found(row("A"), row("B", 20.0, gradient_difference=0.5), row("C", 1.0))
    assert words.fastest(result) == (
        "B (eager) trains fastest here, 20.0 images a second; B (eager) predicts fastest here, 60.0 images a second."
    )
    assert words.gradient_check(result) == "One training step differs: B by 5e-01 (1e-03 is allowed)."
    rounded = row("J", gradient_difference=0.02, allowed=0.03)
    assert words.gradient_check(found(row("A"), rounded)).endswith(
        "J differs by 2e-02: it computes norms in float32, whose rounding moves PyTorch as far."
    )
    assert words.gradient_check(found(row("A"), row("C"))) == (
        "One training step (in float64) from these weights gives the same loss and gradients in 2 frameworks: the "
        "largest relative difference is 2e-06."
    )
    assert words.size(2 * 10**9) == "2.00 GB"
    assert words.size(None) == "–"


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_every_number_and_needs_nothing_else(tmp_path: Path) -> None:
    failed = row("B <b>", 20.0, failed={"train, XLA": "no <compiler>"})
    result = found(row("A"), failed, FrameworkResult("C", problem="not installed: pip install 'deepenough[c]'"))
    page = write_comparison(result, tmp_path).read_text()
    parsed = _Text()
    parsed.feed(page)
    assert all(source.startswith(("#", "data:")) for source in parsed.sources)
    for number in ("10.0", "20.0", "60.0", "0.50 s", "100 MB", "2.00 GB", "5.0 MB", "not installed", "no <compiler>"):
        assert number in parsed.text
    assert "<b>" not in page.replace("B &lt;b&gt;", "")
    drawn = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert drawn["train"]["data"][0]["x"] == [10.0, 20.0]
    assert drawn == json.loads(json.dumps(comparison_figures(result)))
    content = json.loads((tmp_path / "comparison.json").read_text())
    assert content == {"format": 2, **json.loads(json.dumps(asdict(result)))}


def test_the_page_in_chinese(tmp_path: Path) -> None:
    rows = [row("PyTorch"), row("Keras", 12.0), replace(row("JAX"), gradient_difference=0.5), row("Paddle")]
    rows[3].failed = {"train, eager": "no such thing"}
    page = Seen(write_comparison(found(*rows), tmp_path, "zh").read_text(encoding="utf-8"))
    assert page.tag == "zh-Hans"
    names = ["tiny", "a machine", "PyTorch Keras JAX Paddle", "eager train infer", "no such thing"]
    assert english_left(page, names) == []
    assert "</html>" in write_comparison(found(row("PyTorch")), tmp_path, "en").read_text(encoding="utf-8")
    assert "Nothing could be measured" not in words.fastest(found(*rows))
