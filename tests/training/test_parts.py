"""Optimizer, moving average, objective, precision, feed, device, recipe: against torch's own or closed forms."""

from __future__ import annotations

import copy
import importlib
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from deepenough.distribution.synchronized_layers import synchronize
from deepenough.errors import DeepenoughError
from deepenough.nets import Conv, Dense, GlobalAvgPool, Network, PRelu
from deepenough.nets.build import build
from deepenough.training.device import choose_device
from deepenough.training.ema import Ema
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.feed import Feed, Loader, batches
from deepenough.training.loss import Objective, balanced_weights
from deepenough.training.lr_range_test import range_images
from deepenough.training.optimizer import make_clip, make_optimizer, set_lr
from deepenough.training.perform import new_state
from deepenough.training.precision import Precision
from deepenough.training.prefetch import WaitTimer
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import KNOWN_RATES, Recipe, default_recipe
from deepenough.training.spec import TrainingSpec

CPU = torch.device("cpu")


def tiny() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 4))


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_trained_slopes_do_not_decay(name: str) -> None:
    """Decay would draw them towards zero, which is a ReLU (He et al. 2015, section 2.1)."""
    network = Network("n", (3, 8, 8), (Conv(4), PRelu(), Conv(4), PRelu(shared=True), GlobalAvgPool(), Dense(2)))
    model = build(network)
    optimizer = make_optimizer(model, Recipe(optimizer=name, weight_decay=0.1))
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    slopes = [model.get_submodule(path).weight for path in ("prelu1", "prelu2")]
    assert [slope.tolist() for slope in slopes] == [[0.25] * 4, [0.25]]
    assert [decays[id(slope)] for slope in slopes] == [0.0, 0.0]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_optimizer_is_torchs_plain_one(name: str) -> None:
    model, other = tiny(), tiny()
    optimizer = make_optimizer(model, Recipe(optimizer=name, weight_decay=0.1))
    groups = [
        {"params": [p for p in other.parameters() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in other.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    if name == "sgd":
        theirs: torch.optim.Optimizer = torch.optim.SGD(groups, 0.05, momentum=0.9, nesterov=True)
    else:
        theirs = torch.optim.AdamW(groups, 0.05)
    for _ in range(4):
        set_lr(optimizer, 0.05)
        for mine, its in zip(model.parameters(), other.parameters(), strict=True):
            mine.grad = torch.randn_like(mine)
            its.grad = mine.grad.clone()
        optimizer.step()
        theirs.step()
    for ours, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)


def test_norms_and_biases_do_not_decay() -> None:
    model = tiny()
    before = copy.deepcopy(model)
    optimizer = make_optimizer(model, Recipe(weight_decay=0.5, momentum=0.0))
    set_lr(optimizer, 0.1)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for ours, old in zip(model.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(ours, old * (1 - 0.05) if old.ndim > 1 else old)


def test_clipping_limits_the_norm_and_zero_does_not() -> None:
    model = tiny()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    norm = lambda: torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm()  # noqa: E731
    whole = norm()
    make_clip(model, 0.0)()
    assert norm() == whole
    make_clip(model, 1.5)()
    assert norm() == pytest.approx(1.5, rel=1e-4)


def test_average_is_the_closed_form() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema = Ema(model, 0.5)
    expected = 0.0
    for step in range(1, 30):
        nn.init.constant_(model.weight, float(step))
        ema.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    assert float(ema.model.weight) == pytest.approx(expected, rel=1e-5)


def test_average_is_torchs_once_warm() -> None:
    model = tiny()
    ours = Ema(model, 0.9)
    theirs = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9), use_buffers=True
    )
    theirs.n_averaged += 1  # it would begin with a copy
    for step in range(100, 105):
        model.train()(torch.rand(4, 1, 8, 8)).sum().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * torch.randn_like(parameter)
        ours.update(step)
        theirs.update_parameters(model)
    for name, tensor in theirs.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(ours.model.state_dict()[name], tensor)
    assert int(ours.model[1].num_batches_tracked) == 5


def test_no_average_is_the_model_itself() -> None:
    model = tiny()
    ema = Ema(model, 0.0)
    ema.update(1)
    assert ema.model is model


def test_objective_is_torchs_with_hard_targets() -> None:
    logits, labels = torch.randn(9, 5), torch.arange(9) % 5
    targets = F.one_hot(labels, 5).float()
    expected = F.cross_entropy(logits, labels, label_smoothing=0.2)
    torch.testing.assert_close(Objective(0.2)(logits, targets), expected)
    weights = torch.rand(5)
    each = F.cross_entropy(logits, labels, weight=weights, reduction="none")
    torch.testing.assert_close(Objective(0.0, weights)(logits, targets), each.mean())


def test_objective_mixes_targets_and_adds_side_branches() -> None:
    logits, side = torch.randn(4, 3), torch.randn(4, 3)
    soft = torch.softmax(torch.randn(4, 3), 1)
    main = -(soft * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(Objective()(logits, soft), main)
    branch = -(soft * side.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(Objective()((logits, [(0.3, side)]), soft), main + 0.3 * branch)


def test_class_weights_let_each_class_count_alike() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [3])
    weights = balanced_weights(labels, 4).numpy()
    assert np.bincount(labels, minlength=4) * weights == pytest.approx([10 / 3, 10 / 3, 0, 10 / 3], rel=1e-6)


@settings(max_examples=40)
@given(count=st.integers(1, 500), batch=st.integers(1, 130), seed=st.integers(0, 99), epoch=st.integers(0, 99))
def test_every_epoch_has_every_image_once(count: int, batch: int, seed: int, epoch: int) -> None:
    index = np.arange(count, dtype=np.int64) * 3
    found = batches(index, batch, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(found).tolist()) == index.tolist()
    sizes = [len(one) for one in found]
    assert max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


def test_epochs_differ_and_repeat(images: Any) -> None:
    first, again, second = (np.concatenate(batches(np.arange(50), 8, seed=4, epoch=e)) for e in (0, 0, 1))
    assert (first == again).all()
    assert (first != second).any()


def test_feed_normalises_and_skips(images: Any) -> None:
    feed = Feed(Loader(images, CPU), np.arange(20), 8, Recipe().augment, seed=0)
    whole = list(feed.epoch(2))
    chosen = batches(np.arange(20), 8, seed=0, epoch=2)[1]
    pixels = images.pixels[chosen].astype(np.float32).transpose(0, 3, 1, 2) / 255
    expected = (pixels - images.preprocess.mean[0]) / images.preprocess.std[0]
    np.testing.assert_allclose(whole[1][0].numpy(), expected, rtol=1e-4, atol=1e-5)
    assert (whole[1][1].argmax(1).numpy() == images.labels[chosen]).all()
    for one, other in zip(whole[1:], feed.epoch(2, skip=1), strict=True):
        assert torch.equal(one[0], other[0])


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_a_step_is_near_the_plain_step(name: str) -> None:
    model, other = tiny(), tiny()
    images = torch.rand(8, 1, 8, 8)
    targets = F.one_hot(torch.arange(8) % 4, 4).float()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, fused=True)
    precision = Precision(name, CPU)
    with precision.autocast():
        outputs = model(images)
    precision.backward(Objective()(outputs, targets))
    precision.update(optimizer, make_clip(model, 100.0))
    plain = torch.optim.SGD(other.parameters(), 0.1)
    Objective()(other(images), targets).backward()
    plain.step()
    tolerance = 1e-6 if name == "float32" else 0.02
    for ours, expected in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, atol=tolerance, rtol=tolerance)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_precision_that_the_device_does_not_know_is_refused() -> None:
    with pytest.raises(DeepenoughError, match="tf32: only NVIDIA's GPUs know it, and this trains on cpu"):
        Precision("tf32", CPU)


def test_the_scaler_leaves_out_a_step_that_overflows() -> None:
    model = nn.Linear(2, 2)
    before = model.weight.detach().clone()
    precision = Precision("float16", CPU)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, fused=True)
    scale = precision.scaler.get_scale()
    precision.backward((model(torch.full((1, 2), 1e38)) * 1e38).sum())
    precision.update(optimizer)
    assert torch.equal(model.weight, before)
    assert precision.scaler.get_scale() == scale / 2
    assert precision.forgives


def test_a_step_that_broke_off_is_forgotten_and_the_scale_is_not() -> None:
    model = nn.Linear(2, 2)
    precision = Precision("float16", CPU)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, fused=True)
    precision.backward((model(torch.full((1, 2), 1e38)) * 1e38).sum())
    precision.update(optimizer)
    scale = precision.scaler.get_scale()

    def no_memory() -> None:
        raise MemoryError

    precision.backward(model(torch.ones(1, 2)).sum())
    with pytest.raises(MemoryError):
        precision.update(optimizer, clip=no_memory)
    precision.forget()
    optimizer.zero_grad()
    before = model.weight.detach().clone()
    precision.backward(model(torch.ones(1, 2)).sum())
    precision.update(optimizer)
    torch.testing.assert_close(model.weight, before - 0.1)
    assert precision.scaler.get_scale() == scale


def test_evaluation_counts_each_image_once_and_in_order(images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("deepenough.training.evaluate"), "LARGEST_BATCH", 7)
    model = tiny()
    index = np.random.default_rng(0).permutation(60).astype(np.int64)
    seen: list[int] = []
    model.register_forward_hook(lambda module, given, output: seen.append(len(given[0])))
    found = predict_probabilities(model.train(), images, index, images.preprocess, CPU)
    assert sum(seen) == 60
    assert model.training
    model.eval()
    for row, number in enumerate(index[:10]):
        alone = predict_probabilities(model, images, np.array([number]), images.preprocess, CPU)
        np.testing.assert_allclose(found[row], alone[0], rtol=1e-4, atol=1e-6)
    assert predict_probabilities(model, images, np.empty(0, np.int64), images.preprocess, CPU).shape == (0, 4)


def test_recipes_check_their_values() -> None:
    with pytest.raises(DeepenoughError, match="adamw"):
        Recipe(optimizer="adam")
    with pytest.raises(DeepenoughError, match="--epochs 0: expected at least 1"):
        Recipe(epochs=0)
    with pytest.raises(DeepenoughError, match="lr -1"):
        Recipe(lr=-1.0)
    recipe = default_recipe(2000, (1, 28, 28), mirror=True)
    assert Recipe.from_json(recipe.to_json()) == recipe
    with pytest.raises(DeepenoughError, match="momentum"):
        Recipe.from_json({**recipe.to_json(), "momentun": 0.8})


@settings(max_examples=30)
@given(few=st.integers(1, 10**6), more=st.integers(1, 10**6))
def test_more_images_want_no_more_epochs(few: int, more: int) -> None:
    few, more = sorted((few, more))
    shape = (3, 32, 32)
    assert default_recipe(few, shape, True).epochs >= default_recipe(more, shape, True).epochs >= 1


@settings(max_examples=30)
@given(count=st.integers(1, 10**6), side=st.integers(8, 64))
def test_muon_is_the_default_and_wants_no_more_epochs_than_others(count: int, side: int) -> None:
    shape = (3, side, side)
    chosen, other = default_recipe(count, shape, True), default_recipe(count, shape, True, optimizer="sgd")
    assert (chosen.optimizer, other.optimizer) == ("muon", "sgd")
    assert (chosen.initial_scale, other.initial_scale) == (0.7 if side >= 24 else 1.0, 1.0)
    as_other = replace(chosen, optimizer="sgd", epochs=other.epochs, lr=None, warmup=other.warmup, initial_scale=1.0)
    assert as_other == other
    assert other.epochs / 2 - 1 <= chosen.epochs <= other.epochs


@pytest.mark.parametrize(
    ("count", "batch", "lr", "warmup"), [(4_999, 64, 0.07, 0.25), (29_999, 128, 0.07, 0.25), (30_000, 128, 0.05, 0.1)]
)
def test_muon_takes_smaller_steps_where_they_are_many(count: int, batch: int, lr: float, warmup: float) -> None:
    recipe = default_recipe(count, (3, 32, 32), True)
    assert (recipe.batch, recipe.known_lr, recipe.warmup) == (batch, lr, warmup)
    other = default_recipe(count, (3, 32, 32), True, optimizer="sgd")
    assert (other.known_lr, other.warmup) == (None, 0.25)


@pytest.mark.parametrize(("optimizer", "lr"), [("sgd", None), ("adamw", None), ("muon", KNOWN_RATES["muon"])])
def test_only_a_rate_that_is_not_known_is_measured(optimizer: str, lr: float | None) -> None:
    recipe = Recipe(optimizer=optimizer)
    assert recipe.known_lr == lr
    assert (range_images(recipe) == 0) == (lr is not None)
    assert replace(recipe, lr=0.3).known_lr == 0.3
    assert range_images(replace(recipe, lr=0.3)) == 0


def test_a_device_that_is_not_there_is_an_error() -> None:
    assert choose_device("cpu") == CPU
    if not torch.cuda.is_available():
        with pytest.raises(DeepenoughError, match="cuda"):
            choose_device("cuda")


class Slow:
    """Pixels that take a while to be read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        time.sleep(0.05)
        return self.pixels[index]


def test_judging_tells_how_long_it_waited_for_images(images: Any) -> None:
    slow, clock = replace(images, pixels=Slow(images.pixels)), WaitTimer()
    found = predict_probabilities(tiny(), slow, np.arange(40), images.preprocess, CPU, clock)
    assert clock.seconds > 0.01
    np.testing.assert_array_equal(found, predict_probabilities(tiny(), images, np.arange(40), images.preprocess, CPU))


@pytest.mark.filterwarnings("ignore:.*which is a no-op")
def test_what_an_optimizer_remembers_lies_where_its_parameters_do(network: Any) -> None:
    """Fused kernels read the count of steps on the device; checkpoints are read on the CPU."""
    spec = TrainingSpec(network, Recipe(optimizer="adamw", lr=0.1), np.arange(4), np.arange(4), seed=0)
    saved, step = new_state(spec, Objective(), CPU, ALONE)
    sum(parameter.sum() for parameter in saved.model.parameters()).backward()
    step.optimizer.step()
    gpu = torch.device("meta")  # which stands for one
    elsewhere, _ = new_state(spec, Objective(), gpu, ALONE)
    elsewhere.restore(saved.tensors(), saved.facts())
    remembered = [value for state in elsewhere.optimizer.state.values() for value in state.values()]
    assert remembered
    assert {value.device.type for value in remembered} == {"meta"}


def test_norms_of_a_group_give_their_kernel_what_a_gpu_needs() -> None:
    """CUDA's refuses to go without mean and inverse deviation, which the CPU's does not look at."""
    seen: list[tuple[Any, ...]] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.ops.aten.native_batch_norm_backward.default:
                seen.append(args)
            return func(*args, **(kwargs or {}))

    model = nn.Sequential(nn.BatchNorm2d(3)).double()
    synchronize(model, ALONE)
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    with Watch():
        model(x).square().sum().backward()
    _, _, _, mean, variance, saved_mean, inverse, train, eps, _ = seen[0]
    assert not train
    torch.testing.assert_close(saved_mean, mean)
    torch.testing.assert_close(inverse, (variance + eps).rsqrt())
