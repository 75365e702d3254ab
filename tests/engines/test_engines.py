"""Engines give torch's answers for every kind of network, and torch takes over where one can't."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partialmethod
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_cases import CASES, input_of, state_of, wanted_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from deepenough import DeepenoughError, load
from deepenough.engines import ENGINES, GRAPH_ENGINES
from deepenough.engines.choose import PACKAGES
from deepenough.engines.engine import thread_count
from deepenough.engines.graph_cache import GRAPH, PROOFS
from deepenough.engines.proof import PROOF_IMAGES, proof_pixels
from deepenough.engines.speed import AHEAD, preferred
from deepenough.errors import DamagedError, DamageWarning
from deepenough.files import write_checked_json
from deepenough.frameworks.target import DIFFERENCE, absent
from deepenough.machine import cores
from deepenough.model import WEIGHTS, Model, save_model
from deepenough.nets import Conv, Dense, GlobalAvgPool, Lrn, Network, Relu
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing

pytestmark = pytest.mark.seconds(30)

Command = Callable[..., tuple[int, str, str]]

NAMES = (
    "residual-1x28", "inception-3x41", "plain-3x41", "mobile-1x28", "squeezenet1_1", "googlenet-cut5",
    "vit_tiny_patch16_224", "tokens", "gates", "odd", "pools", "gelu",
)  # fmt: skip


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.skipif(
    bool(absent(PACKAGES[name])), reason=f"{', '.join(absent(PACKAGES[name]))} is not installed"
)) for name in GRAPH_ENGINES])  # fmt: skip
def runtime(request: pytest.FixtureRequest) -> str:
    """An engine beside torch that is installed."""
    return request.param


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache with nothing in it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(folder))
    return folder


def saved(folder: Path, network: Network, preprocess: Preprocessing, state: Any = None) -> Path:
    classes = [f"class {number}" for number in range(network.classes)]
    save_model(folder, network, state or build(network).state_dict(), preprocess, classes)
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    network = Network("small", (3, 12, 9), (Conv(6), Relu(), Conv(4), GlobalAvgPool(), Dense(5)))
    return saved(tmp_path / "small", network, Preprocessing((12, 9)))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (30, 20, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_module_whatever_the_network_and_the_batch(
    name: str, runtime: str, tmp_path: Path
) -> None:
    network = CASES[name]()
    folder = saved(tmp_path / "model", network, input_of(name, network), state_of(network))
    model = load(folder, engine=runtime)
    assert (model.engine.name, model.notes) == (runtime, ())
    for pixels in (proof_pixels(model.preprocess), proof_pixels(model.preprocess)[:1], noise(model, 19)):
        wanted = wanted_of(name, network, pixels)
        found = model.logits(pixels)
        assert found.dtype == np.float32
        assert np.abs(found - wanted).max() < DIFFERENCE * np.abs(wanted).max()
    assert model.logits(pixels[:0]).shape == (0, network.classes)


def noise(model: Model, count: int) -> np.ndarray:
    shape = (count, *model.preprocess.size, model.preprocess.channels)
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def test_more_pictures_than_go_through_at_once_are_computed_in_order(runtime: str, small: Path) -> None:
    model = load(small, engine=runtime)
    pixels = noise(model, 515)
    np.testing.assert_allclose(model.logits(pixels), load(small).logits(pixels), atol=1e-5)


def test_odd_pictures_are_classified_as_by_torch(runtime: str, small: Path) -> None:
    of_torch, of_engine = load(small), load(small, engine=runtime)
    random = np.random.default_rng(0)
    pictures = [
        Image.new("1", (40, 8)), Image.new("L", (8, 300), 255), Image.new("CMYK", (31, 17), (9, 80, 200, 3)),
        Image.fromarray(random.integers(0, 256, (25, 25, 4), np.uint8), "RGBA"),
        Image.fromarray(random.integers(0, 65536, (25, 30), dtype=np.uint16)),
        Image.new("P", (16, 16)), random.random((20, 20)), random.integers(0, 2, (9, 9)).astype(bool),
    ]  # fmt: skip
    for mine, torchs in zip(of_engine.predict(pictures), of_torch.predict(pictures), strict=True):
        assert mine.classes == torchs.classes
        np.testing.assert_allclose(mine.probabilities, torchs.probabilities, atol=1e-5)


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 6)), elements=st.floats(-1e4, 1e4, width=32)))
@settings(max_examples=50)
def test_probabilities_are_torchs_softmax(logits: np.ndarray) -> None:
    model = Model.__new__(Model)
    model.logits = lambda pixels: logits  # type: ignore[method-assign]
    wanted = torch.from_numpy(logits.astype(np.float64)).softmax(1).numpy()
    np.testing.assert_allclose(model.probabilities(np.empty(0, np.uint8)), wanted, atol=1e-6)


def test_auto_takes_the_first_that_is_installed(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = [name for name in GRAPH_ENGINES if not absent(PACKAGES[name])]
    assert load(small, engine="auto").engine.name == (*there, "torch")[0]
    monkeypatch.setattr("deepenough.engines.choose.absent", lambda packages: ["nothing"])
    model = load(small, engine="auto", measured=True)
    assert (model.engine.name, model.notes) == ("torch", ())


class Clock:
    """A clock that goes on only as engines compute: by the milliseconds that an image costs in a batch of its size."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("deepenough.engines.speed.time.perf_counter", lambda: self.now)

    def engine(self, monkeypatch: pytest.MonkeyPatch, kind: str, costs: dict[int, float]) -> None:
        def logits(engine: Any, pixels: np.ndarray, compute: Any = None) -> np.ndarray:
            self.now += costs[len(pixels)] * len(pixels) / 1000 if len(pixels) in costs else 0
            return compute(engine, pixels)

        real = getattr(import_module(f"deepenough.engines.{kind}"), f"{kind.capitalize()}Engine").logits
        name = f"deepenough.engines.{kind}.{kind.capitalize()}Engine.logits"
        monkeypatch.setattr(name, partialmethod(logits, compute=real))


def test_the_fastest_is_taken_where_it_was_measured(small: Path, runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deepenough.engines.choose.GRAPH_ENGINES", (runtime,))
    for fastest in (runtime, "torch"):
        with monkeypatch.context() as patch:
            clock = Clock(patch)
            for kind in (runtime, "torch"):
                clock.engine(patch, kind, dict.fromkeys((1, 16, 64), 1.0 if kind == fastest else 3.0))
            model = load(small, engine="auto", measured=True)
        assert model.engine.name == fastest
        assert model.notes == (f"measured milliseconds an image: {runtime} {3 - 2 * (runtime == fastest)}, "
                               f"torch {3 - 2 * (fastest == 'torch')}",)  # fmt: skip


@pytest.mark.parametrize(
    ("costs", "batch"),
    [
        ({1: 1.0, 16: 0.4, 64: 0.3}, 256),
        ({1: 1.0, 16: 0.4, 64: 0.5}, 16),
        ({1: 14.0, 16: 20.0, 64: 1.0}, 1),  # 64 of such are not tried: it would take too long
        ({1: 14.0, 16: 9.0, 64: 1.0}, 16),
    ],
)
def test_the_batch_that_was_fastest_is_the_largest(
    costs: dict[int, float], batch: int, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        Clock(patch).engine(patch, "torch", costs)
        model = load(small, engine="torch", measured=True)
    assert (model.engine.name, model.batch) == ("torch", batch)
    sizes = []
    engine = model.engine
    monkeypatch.setattr(
        type(engine),
        "logits",
        lambda self, pixels: (sizes.append(len(pixels)), np.zeros((len(pixels), 5), np.float32))[1],
    )
    assert model.logits(noise(model, 70)).shape == (70, 5)
    assert max(sizes) == min(batch, 70)
    assert sum(sizes) == 70


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=4))
def test_a_preferred_engine_gives_way_only_to_one_that_is_clearly_ahead(times: list[float]) -> None:
    place = preferred(times)
    assert all(times[place] <= AHEAD * other for other in times)
    assert all(AHEAD * min(times) < earlier for earlier in times[:place])


def test_one_that_is_not_installed_is_an_error_with_the_command(
    command: Command, small: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepenough.engines.choose.absent", lambda packages: ["openvino"])
    status, out, err = command("predict", small, picture, "--engine", "openvino")
    assert (status, out) == (2, "")
    assert "--engine openvino needs openvino, not installed here: pip install 'deepenough[onnx,openvino]'" in err


def test_an_engine_of_another_name_or_device_is_refused(small: Path) -> None:
    with pytest.raises(DeepenoughError, match="engine 'onnxx' is not known; nearest is onnx"):
        load(small, engine="onnxx")
    with pytest.raises(DeepenoughError, match="--engine onnx computes on the CPU; leave out --device"):
        load(small, "meta", "onnx")


def test_a_network_that_an_engine_can_not_compute_is_left_to_torch(
    command: Command, runtime: str, tmp_path: Path, picture: Path
) -> None:
    network = Network("even", (3, 12, 9), (Conv(6), Relu(), Lrn(2), GlobalAvgPool(), Dense(5)))
    folder = saved(tmp_path / "even", network, Preprocessing((12, 9)))
    expected = load(folder).predict(picture)
    for engine in (runtime, "auto"):
        model = load(folder, engine=engine)
        assert model.engine.name == "torch"
        assert f"{runtime} is not used: " in "".join(model.notes)
        assert "Lrn(2) has no centre" in model.notes[0]
        assert model.predict(picture) == expected
    status, out, err = command("predict", folder, picture, "--engine", runtime)
    assert status == 0
    assert expected[0].label in out
    assert "Lrn(2) has no centre" in err


@pytest.mark.parametrize("factor", [1.001, np.nan])
def test_an_engine_that_differs_is_left_to_torch(
    factor: float, runtime: str, small: Path, no_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = f"deepenough.engines.{runtime}.{runtime.capitalize()}Engine"
    wrong = load(small)
    monkeypatch.setattr(f"{engine}.logits", lambda self, pixels: wrong.logits(pixels) * np.float32(factor))
    for _ in range(2):  # what failed is not taken for proven the next time
        model = load(small, engine=runtime)
        assert model.engine.name == "torch"
        assert f"{runtime} is not used: " in model.notes[0]
        assert f"differs from torch by {'0.001' if factor == 1.001 else 'inf'} of the largest logit" in model.notes[0]
    monkeypatch.undo()
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(no_cache))
    assert load(small, engine=runtime).engine.name == runtime


def test_an_engine_that_fails_is_left_to_torch(runtime: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, graph: bytes) -> None:
        raise RuntimeError("no such instruction\nand more")

    monkeypatch.setattr(f"deepenough.engines.{runtime}.{runtime.capitalize()}Engine.__init__", fails)
    model = load(small, engine=runtime)
    assert (model.engine.name, model.notes) == ("torch", (f"{runtime} is not used: no such instruction",))


def test_a_damaged_file_in_the_cache_is_made_anew(runtime: str, small: Path, no_cache: Path) -> None:
    wanted = load(small, engine=runtime).logits(proof_pixels(Preprocessing((12, 9))))
    (graph,), (proofs,) = no_cache.rglob(GRAPH), no_cache.rglob(PROOFS)
    whole, about = graph.read_bytes(), json.loads(proofs.read_bytes())
    assert about["proofs"]
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    harms = {
        "flipped": lambda: graph.write_bytes(flipped),
        "cut off": lambda: graph.write_bytes(whole[:-100]),
        "empty": lambda: graph.write_bytes(b""),
        "edited proofs": lambda: proofs.write_text(json.dumps({**about, "sha256": "0"})),
        "other proofs": lambda: write_checked_json(proofs, {"proofs": {}}),
    }
    for name, harm in harms.items():
        harm()
        with pytest.warns(DamageWarning, match="making it anew"):
            model = load(small, engine=runtime)
        assert (model.engine.name, graph.read_bytes()) == (runtime, whole), name
        np.testing.assert_array_equal(model.logits(proof_pixels(model.preprocess)), wanted)
    for file in (graph, proofs):
        file.unlink()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert load(small, engine=runtime).engine.name == runtime
        assert graph.read_bytes() == whole


def test_another_model_in_the_same_place_has_a_file_of_its_own(
    runtime: str, small: Path, no_cache: Path, picture: Path
) -> None:
    before = load(small, engine=runtime)
    network = Network("other", (3, 12, 9), (Conv(6), Relu(), GlobalAvgPool(), Dense(5)))
    saved(small, network, Preprocessing((12, 9)))
    assert len(list(no_cache.rglob(GRAPH))) == 1
    after = load(small, engine=runtime)
    assert len(list(no_cache.rglob(GRAPH))) == 2
    for mine, torchs in zip(after.predict(picture), load(small).predict(picture), strict=True):
        np.testing.assert_allclose(mine.probabilities, torchs.probabilities, atol=1e-6)
    assert before.predict(picture) != after.predict(picture)


def test_weights_that_changed_since_are_not_taken_for_those_that_were_loaded(runtime: str, small: Path) -> None:
    for change in ("all", "weights"):
        load(small, engine=runtime)
        model = load(small, engine=runtime)
        content = (small / WEIGHTS).read_bytes()
        if change == "all":
            network = Network("other", (3, 12, 9), (Conv(4), Relu(), GlobalAvgPool(), Dense(5)))
            saved(small, network, Preprocessing((12, 9)))
        else:
            (small / WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(DamagedError, match="the model has changed since it was loaded; load it again"):
            _ = model.module


def test_a_cache_that_can_not_be_written_costs_nothing_but_time(
    runtime: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path / "file"))
    model = load(small, engine=runtime)
    assert model.engine.name == "torch"
    assert f"{runtime} is not used" in model.notes[0]


PREDICT = """
import json, sys
sys.argv = ["deepenough", *sys.argv[1:]]
from deepenough.__main__ import run
status = run()
print(json.dumps([status, sorted(name for name in sys.modules if "." not in name)]))
"""


def test_predicting_with_an_engine_imports_no_torch(runtime: str, small: Path, picture: Path, no_cache: Path) -> None:
    expected = load(small).predict(picture)[0]
    load(small, engine=runtime)
    words = [sys.executable, "-c", PREDICT, "predict", str(small), str(picture), "--json", "--engine", runtime]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    answer, (status, modules) = map(json.loads, done.stdout.splitlines())
    assert status == 0
    assert (answer["label"], answer["classes"]) == (expected.label, list(expected.classes))
    np.testing.assert_allclose(answer["probabilities"], expected.probabilities, atol=1e-6)
    assert not {"torch", "scipy", "sklearn", "pyarrow", "onnx"} & set(modules)


def test_threads_are_those_that_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for given_threads, wanted in (("3", 3), ("4,2", 4), ("0", cores()), ("-1", cores()), ("many", cores())):
        monkeypatch.setenv("OMP_NUM_THREADS", given_threads)
        assert thread_count() == wanted
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert thread_count() == cores()


def test_what_an_engine_is_proven_on_are_pictures_of_many_kinds() -> None:
    for channels, size in ((1, (8, 8)), (3, (31, 9))):
        pixels = proof_pixels(Preprocessing(size, mean=(0.5,) * channels, std=(0.5,) * channels))
        assert pixels.shape == (PROOF_IMAGES, *size, channels)
        assert pixels.dtype == np.uint8
        assert len({image.tobytes() for image in pixels}) == PROOF_IMAGES
        assert {image.mean() for image in pixels if image.min() == image.max()} == {0, 128, 255}


def test_help_names_all_engines(command: Command) -> None:
    for name in ("predict", "serve"):
        _, out, _ = command(name, "--help")
        assert f"--engine [{'|'.join(ENGINES)}]" in out


def test_gradients_pass_through_a_module_that_a_prediction_has_read(runtime: str, small: Path) -> None:
    load(small, engine=runtime)
    model = load(small, engine=runtime)
    model.torch.logits(proof_pixels(model.preprocess))
    model.module(model.inputs(proof_pixels(model.preprocess))).sum().backward()
    assert all(weight.grad is not None for weight in model.module.parameters())
