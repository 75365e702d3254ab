"""Choosing how a step is computed, and what happens where memory runs out."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small import make_images, make_network, train
from torch._dynamo.testing import CompileCounter
from trials import HELD_OUT, RECIPE, TRAIN, make_trial

from deepenough.autotuning import tuning
from deepenough.autotuning.configuration import NOTICEABLE, StepConfiguration, alternatives, fastest
from deepenough.autotuning.memory_estimate import fitting_micro_batch, step_bytes
from deepenough.autotuning.step_timing import StepTrial, time_steps
from deepenough.autotuning.tuning import TUNABLE, TuningResult, tune
from deepenough.autotuning.tuning_cache import TuningCache
from deepenough.data.streamed import Streamed
from deepenough.errors import DeepenoughError
from deepenough.nets import NETWORKS, Conv, Dense, Flatten, GlobalAvgPool, Lrn, Network, Relu, activations
from deepenough.training import perform as performing
from deepenough.training.interrupt import Interrupted
from deepenough.training.loss import Objective
from deepenough.training.memory import available_memory, peak_memory
from deepenough.training.perform import new_state
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe
from deepenough.training.spec import TrainingSpec
from deepenough.training.step import Step


@given(
    st.lists(st.tuples(st.floats(1e-6, 1), st.floats(0, 1000)), min_size=1, max_size=5),
    st.floats(1, 1e9),
)
def test_the_fastest_is_soonest_or_the_recipes_own(paces: list[tuple[float, float]], images: float) -> None:
    configurations = [StepConfiguration(seconds=seconds, first=first) for seconds, first in paces]
    chosen = fastest(configurations, images)
    soonest = min(configuration.total(images) for configuration in configurations)
    assert chosen is configurations[0] or chosen.total(images) == soonest
    assert (1 - NOTICEABLE) * chosen.total(images) <= soonest or chosen is not configurations[0]


def test_a_compiler_has_to_pay_back() -> None:
    eager = StepConfiguration(seconds=0.5)
    compiled = StepConfiguration(compiled=True, seconds=0.5 / 1.2, first=62)  # ResNet-50 on two cores
    assert fastest([eager, compiled], 300) is eager
    assert fastest([eager, compiled], 30_000) is compiled


def test_only_what_is_left_open_is_tried() -> None:
    cpu = list(alternatives(StepConfiguration(), "cpu", 1, TUNABLE))
    assert cpu == [("memory_format", "contiguous"), ("precision", "bfloat16"), ("compiled", True)]
    assert list(alternatives(StepConfiguration(), "cpu", 1, TUNABLE - {"precision", "compiled"})) == cpu[:1]
    assert ("threads", 4) in alternatives(StepConfiguration(), "cpu", 8, TUNABLE)
    on_gpu = set(alternatives(StepConfiguration(), "cuda", 8, TUNABLE))
    assert {("precision", "tf32"), ("precision", "float16")} < on_gpu


@pytest.mark.parametrize("fast", ["bfloat16", "float16"])
def test_float16_is_for_where_bfloat16_is_no_faster(fast: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def timed(trial: StepTrial, configuration: StepConfiguration, limit: float) -> StepConfiguration:
        asked.append(configuration.precision)
        return replace(configuration, seconds=0.5 if configuration.precision == fast else 1.0)

    monkeypatch.setattr(tuning, "time_steps", timed)
    choices = alternatives(StepConfiguration(), "cuda", 1, frozenset({"precision"}))
    monkeypatch.setattr(tuning, "alternatives", lambda *_: choices)
    found = tune(make_trial(), planned=1e6, cache=tmp_path)
    assert found.chosen.precision == fast
    assert ("float16" in asked) == (fast == "float16")


def test_a_step_is_measured_and_what_was_tried_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[StepConfiguration] = []

    def timed(trial: StepTrial, configuration: StepConfiguration, limit: float) -> StepConfiguration:
        asked.append(configuration)
        return replace(configuration, seconds=0.5 if configuration.memory_format == "contiguous" else 1.0)

    monkeypatch.setattr(tuning, "time_steps", timed)
    images, network = make_images(), make_network()
    found = tune(make_trial(network=network, images=images), planned=1e6, cache=tmp_path)
    assert found.chosen.memory_format == "contiguous"
    assert [configuration.precision for configuration in asked] == ["float32", "float32", "bfloat16", "float32"]
    assert asked[2].memory_format == "contiguous"  # each change is tried on the best so far
    assert "tried contiguous: 100% faster" in str(found)
    assert TuningResult.from_json(json.loads(json.dumps(found.to_json()))) == found
    asked.clear()
    (notes,) = (path.read_text() for path in tmp_path.rglob("*.json"))
    assert tune(make_trial(network=network, images=images), planned=1e6, cache=tmp_path) == found
    assert len(asked) == 1  # the recipe's own, anew
    assert [path.read_text() for path in tmp_path.rglob("*.json")] == [notes]
    asked.clear()
    tune(make_trial(network=network, images=images), planned=300, cache=tmp_path / "other")
    assert len(asked) == 1  # a short training is not worth a trial


def test_real_steps_are_timed(tmp_path: Path) -> None:
    """Of so long a training that a trial is worth it on the fastest machine."""
    found = tune(make_trial(), planned=1e9, tunable=frozenset({"memory_format"}), cache=tmp_path)
    assert found.tried[0].apply(RECIPE) == RECIPE
    assert all(0 < configuration.seconds < 1 for configuration in found.tried)
    assert {configuration.memory_format for configuration in found.tried} == {"channels_last", "contiguous"}


def test_a_compiler_starts_anew_for_each_size_and_that_is_no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of an epoch differ by an image: here three of 16 images, and one of 15 at the end."""
    compiling, sizes = 0.4, set[int]()

    def compile_(model: torch.nn.Module, **options: Any) -> Any:
        def forward(images: torch.Tensor) -> Any:
            if len(images) not in sizes:
                sizes.add(len(images))
                time.sleep(compiling)
            return model(images)

        return forward

    monkeypatch.setattr(torch, "compile", compile_)
    configuration = time_steps(make_trial(train=TRAIN[:63]), StepConfiguration(compiled=True))
    assert sizes == {15, 16}
    assert configuration.seconds < compiling / 16 / 2  # an image
    starting = configuration.first + 2 * 16 * configuration.seconds
    assert 2 * compiling < starting  # both sizes count
    sizes.clear()
    smaller = make_trial(replace(RECIPE, epochs=2, initial_scale=0.5), train=TRAIN[:63])
    again = time_steps(smaller, StepConfiguration(compiled=True))
    assert again.first > 3.5 * compiling  # for smaller images both come once more


def test_a_slow_configuration_is_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def slow(self: Step, batch: Any, *rest: Any, **more: Any) -> torch.Tensor:
        steps.append(len(batch.images))
        time.sleep(0.1)
        return plain(self, batch, *rest, **more)

    plain = Step.__call__
    monkeypatch.setattr(Step, "__call__", slow)
    configuration = time_steps(make_trial(), StepConfiguration(), limit=0.05)
    assert len(steps) == 1
    assert configuration.seconds > 0.1 / 16


def test_where_no_image_fits_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starved(monkeypatch, 0)
    with pytest.raises(DeepenoughError, match="with 2 images at once takes more memory"):
        tune(make_trial(), planned=1e6, least=2, cache=tmp_path)


def test_a_compiler_that_fails_is_not_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_(model: torch.nn.Module, **options: Any) -> Any:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(tuning, "trial_seconds", lambda *_: 0.0)
    found = tune(make_trial(), planned=1e6, cache=tmp_path)
    assert not found.chosen.compiled
    assert all(configuration.seconds < math.inf for configuration in found.tried)
    with pytest.raises(DeepenoughError, match=r"torch.compile failed \(no C\+\+ compiler\); leave out --compile"):
        tune(make_trial(replace(RECIPE, compiled=True)), planned=1e6, cache=tmp_path)


@pytest.mark.parametrize(("norm", "tried"), [((), True), ((Lrn(5),), False)])
def test_the_compiler_is_not_tried_on_local_response_norms(
    norm: tuple[Lrn, ...], tried: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "compile", lambda model, **options: model)
    monkeypatch.setattr(tuning, "trial_seconds", lambda *_: 0.0)
    network = Network("normed", (1, 8, 8), (Conv(8), Relu(), *norm, GlobalAvgPool(), Dense(4)))
    found = tune(make_trial(network=network), planned=1e6, tunable=frozenset({"compiled"}), cache=tmp_path)
    assert any(configuration.compiled for configuration in found.tried) == tried


def test_what_a_step_remembers_is_counted() -> None:
    network = Network("three", (3, 8, 8), (Conv(4), Relu(), GlobalAvgPool(), Dense(5)))
    assert activations(network) == 3 * 64 + 4 * 64 + 4 * 64 + 4 + 5
    flat = Network("flat", (3, 8, 8), (Flatten(), Dense(5)))
    assert activations(flat) == 3 * 64 + 5


def test_as_many_images_go_through_at_once_as_fit() -> None:
    network = NETWORKS["resnet50"]()
    assert fitting_micro_batch(network, 128, None) == 0
    assert fitting_micro_batch(network, 128, 10**12) == 0
    some = fitting_micro_batch(network, 128, 4 * 10**9)
    assert 1 < some < 128
    assert step_bytes(network, some) <= 0.8 * 4e9 < step_bytes(network, 2 * some)
    assert fitting_micro_batch(network, 128, 1) == 1


def test_memory_is_known_here() -> None:
    taken = peak_memory()
    assert taken is None or taken > 50 * 2**20
    there = available_memory()
    assert there is None or there > 0


def starved(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """Memory for so many images at once."""
    plain = performing.make_step

    def make_step(*given: Any) -> Any:
        step = plain(*given)

        def forward(images: torch.Tensor) -> object:
            if len(images) > most:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
            return step.model(images)

        step.forward = forward
        return step

    monkeypatch.setattr(performing, "make_step", make_step)


def test_where_memory_runs_out_a_training_goes_on_in_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def go(folder: str, recipe: Recipe) -> Any:
        return train(make_network(), recipe, make_images(), TRAIN, HELD_OUT, tmp_path / folder, seed=1)

    expected = go("halves", replace(RECIPE, micro_batch=8))
    whole = go("whole", RECIPE)
    starved(monkeypatch, 8)
    found = go("starved", RECIPE)
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in expected.state.items())
    assert found.steps == whole.steps
    assert any(not torch.equal(tensor, found.state[name]) for name, tensor in whole.state.items())
    starved(monkeypatch, 0)
    with pytest.raises(DeepenoughError, match="with 1 image at once"):
        go("pruned", RECIPE)


@pytest.mark.parametrize("micro_batch", [1, 5, 16])
def test_the_gradient_is_that_of_the_whole_batch(micro_batch: int, tmp_path: Path) -> None:
    network = Network("no norms", (1, 8, 8), (Conv(8), Relu(), GlobalAvgPool(), Dense(4)))
    recipe = replace(RECIPE, precision="float64")

    def go(micro_batch: int) -> Any:
        asked = replace(recipe, micro_batch=micro_batch)
        return train(network, asked, make_images(), TRAIN, HELD_OUT, tmp_path / str(micro_batch), seed=1)

    whole, pieces = go(0), go(micro_batch)
    for name, tensor in whole.state.items():
        torch.testing.assert_close(pieces.state[name], tensor, rtol=1e-10, atol=1e-12)


def test_a_measurement_that_was_stopped_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was cut short: what it would say is wrong, and must not be remembered."""
    asked: list[bool] = []

    def stop() -> bool:
        return bool(asked)

    def timing(trial: StepTrial, configuration: StepConfiguration, limit: float) -> StepConfiguration:
        if configuration.memory_format == "contiguous":
            asked.append(True)
        return replace(configuration, seconds=300.0 if asked else 1.0)

    monkeypatch.setattr(tuning, "time_steps", timing)
    with pytest.raises(Interrupted):
        tune(make_trial(stop=stop), planned=1e6, cache=tmp_path)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(("fit", "free", "found"), [(16, 10**12, 8), (3, 10**12, 2), (16, 1, 1)])
def test_fewer_images_at_once_are_a_limit(
    fit: int, free: int, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ran out of memory before says 8; so many `fit` now, and so many bytes are `free`."""

    def timing(trial: StepTrial, configuration: StepConfiguration, limit: float) -> StepConfiguration:
        return replace(configuration, seconds=1.0 if 0 < configuration.micro_batch <= fit else math.inf)

    monkeypatch.setattr(tuning, "time_steps", timing)
    monkeypatch.setattr(tuning, "available_memory", lambda: free)
    measured = tune(make_trial(replace(RECIPE, micro_batch=8)), planned=1.0, cache=tmp_path)
    assert measured.chosen.micro_batch == found


def test_a_configuration_without_memory_is_tried_again_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timing(trial: StepTrial, configuration: StepConfiguration, limit: float) -> StepConfiguration:
        return replace(configuration, seconds=math.inf if configuration.memory_format == "contiguous" and full else 1.0)

    def tried() -> list[str]:
        found = tune(make_trial(), planned=1e6, tunable=free, cache=tmp_path)
        return [configuration.memory_format for configuration in found.tried]

    monkeypatch.setattr(tuning, "time_steps", timing)
    free, full = frozenset({"memory_format"}), True
    assert tried() == ["channels_last"]
    full = False
    assert tried() == ["channels_last", "contiguous"]


def test_what_was_noted_of_streamed_images_is_theirs(tmp_path: Path) -> None:
    kept = make_images()
    streamed = replace(kept, pixels=Streamed.__new__(Streamed))
    notes = [TuningCache(tmp_path, make_trial(images=images)).path for images in (kept, streamed, kept)]
    assert notes[0] == notes[2] != notes[1]


def test_any_number_of_networks_can_be_compiled_after_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch compiles one piece of code for eight models at most, and ours all share theirs."""
    compiled = CompileCounter()
    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **options: plain(model, backend=compiled, **options))
    counts = []
    for width in [*range(4, 16), 4]:
        network = Network(f"{width} wide", (1, 8, 8), (Conv(width), Relu(), GlobalAvgPool(), Dense(4)))
        recipe = replace(RECIPE, compiled=True)
        spec = TrainingSpec(network, recipe, TRAIN, HELD_OUT, seed=0)
        _, step = new_state(spec, Objective(), torch.device("cpu"), ALONE)
        step.forward(torch.zeros(2, 1, 8, 8))
        counts.append(compiled.frame_count)
    assert counts == [*range(1, 13), 12]  # and one that was there before is not compiled again
