"""Predictions timed turn by turn: the order of the turns, what is run, and what is said where it can't be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.frameworks.export import Export
from deepenough.frameworks.target import absent
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import run_writer
from deepenough.model import Model
from deepenough.nets import BatchNorm, Conv, Dense, GlobalAvgPool, LayerScale, Network, Relu
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.runtimes import latency, table
from deepenough.runtimes.latency import alternate, time_predictions
from deepenough.runtimes.table import ROUNDS, RUNTIMES, Conditions, check_runtime
from deepenough.runtimes.worker import WORKERS

pytestmark = pytest.mark.seconds(20)

TINY = Network("tiny", (3, 12, 12), (Conv(4), BatchNorm(), Relu(), Conv(5, 1), GlobalAvgPool()))


@given(st.integers(1, 6), st.floats(0.5, 2.0))
def test_drift_hits_all_networks_alike(count: int, drift: float) -> None:
    """A machine that gets slower by a constant at each turn makes networks of one speed look alike, and the warm-up
    does not count."""
    clock: list[int] = []

    def turn(number: int, seconds: float | None) -> list[float]:
        clock.append(number)
        moment = 1.0 + drift * len(clock)
        return [moment, moment, 50.0 * moment] if seconds else [1e9]  # one that something else interrupted

    taken = alternate(turn, count, Reporter())
    assert [len(each) for each in taken] == [ROUNDS] * count
    assert clock[:count] == list(range(count))
    assert sorted(clock[count : 2 * count]) == list(range(count))
    means = [float(np.mean(each)) for each in taken]
    assert means == pytest.approx([means[0]] * count)


def test_every_network_is_run_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "SECONDS", 0.0)
    other = Network("other", (1, 9, 9), (Conv(3), GlobalAvgPool()))
    found = time_predictions([TINY, other], Conditions("torch", batch=2), Reporter())
    assert found.runtime.startswith("PyTorch 2")
    assert [len(each) for each in found.seconds] == [ROUNDS] * 2
    assert all(seconds > 0 for each in found.seconds for seconds in each)


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np, predictors
runtime, folder, pixels = sys.argv[2], sys.argv[3], np.load(sys.argv[4])
predict = getattr(predictors, runtime)(folder, 1)
np.save(sys.argv[5], np.concatenate([predict(pixels[:1]), predict(pixels[1:])]))
assert predictors.version(runtime).split()[-1][0].isdigit()
"""


@pytest.mark.frameworks
@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_is_timed_is_the_networks_prediction(runtime: str, tmp_path: Path) -> None:
    if missing := absent(RUNTIMES[runtime].packages):
        pytest.skip(f"needs {', '.join(missing)}")
    preprocessing, state = Preprocessing.untrained(TINY.input), build(TINY).state_dict()
    classes = tuple(map(str, range(TINY.classes)))
    export = Export.of(TINY, {key: value.numpy() for key, value in state.items()}, preprocessing, classes)
    run_writer([export], TARGETS[RUNTIMES[runtime].target], [tmp_path / "out"], trained=False, reading_side=[32])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    words = [str(WORKERS), runtime, str(tmp_path / "out"), str(tmp_path / "pixels.npy"), str(tmp_path / "logits.npy")]
    subprocess.run([sys.executable, "-c", SCRIPT, *words], check=True)
    ours = Model(TINY, state, preprocessing, classes).logits(pixels)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), ours, atol=1e-4 * np.abs(ours).max())


@pytest.mark.parametrize(("runtime", "extras"), [("onnx", "onnx"), ("openvino", "onnx,openvino"), ("litert", "litert")])
def test_a_runtime_that_is_not_installed_names_its_extra(
    runtime: str, extras: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "absent", lambda packages: list(packages[-1:]))
    expected = rf"--runtime {runtime} needs \w+, not installed here: pip install 'deepenough\[{extras}\]'"
    with pytest.raises(DeepenoughError, match=expected):
        check_runtime(runtime)


def test_a_network_that_a_runtime_lacks_names_those_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "absent", lambda packages: [])
    scaled = Network("scaled", (3, 12, 12), (Conv(4), GlobalAvgPool(), LayerScale(), Dense(5)))
    with pytest.raises(DeepenoughError, match=r"--runtime litert: scaled can't be written .*; give --runtime onnx or"):
        check_runtime("litert", [TINY, scaled])


def test_a_runtime_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "latency_worker.py").write_text("raise SystemExit('no such instruction')")
    monkeypatch.setattr(latency, "WORKERS", tmp_path)
    with pytest.raises(DeepenoughError, match=r"--runtime torch: PyTorch failed: .* no such instruction"):
        time_predictions([TINY], Conditions("torch"), Reporter())
