"""The same training on a CUDA device, where there is one, and on the CPU, which shows that the tests can pass."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import train

from deepenough.data.augment import STRENGTHS
from deepenough.distribution.synchronized_layers import synchronize
from deepenough.training import cuda_graphs as graphs
from deepenough.training import step as steps
from deepenough.training.interrupt import Interrupted
from deepenough.training.loss import Objective
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe

CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
RECIPE = Recipe(epochs=24, batch=16, lr=0.3, augment=STRENGTHS["none"])


ON_CUDA = [pytest.param("cuda", marks=CUDA)]


@pytest.fixture(params=["cpu", *ON_CUDA])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_it_learns_in_every_precision(images: Any, network: Any, tmp_path: Path, precision: str, device: str) -> None:
    recipe = replace(RECIPE, precision=precision, device=device)
    trained = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path, seed=0)
    assert trained.curve[-1].top1 > 0.9


def test_augmentation_stays_on_the_device(images: Any, network: Any, tmp_path: Path, device: str) -> None:
    recipe = replace(RECIPE, epochs=2, device=device, augment=STRENGTHS["strong"])
    trained = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path, seed=0)
    assert trained.ended == "finished"


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_resumed_run_ends_with_nearly_the_same_weights(
    images: Any, network: Any, tmp_path: Path, optimizer: str, device: str
) -> None:
    """Bit for bit only with deterministic kernels, which torch has to be asked for; here within rounding."""
    lr = {"sgd": 0.3, "adamw": 1e-3, "muon": 0.1}[optimizer]
    recipe = replace(RECIPE, epochs=12, optimizer=optimizer, lr=lr, device=device)
    unbroken = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path / "a", seed=0)
    calls = iter(range(1000))
    with pytest.raises(Interrupted):
        train(
            network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path / "b", seed=0,
            stop=lambda: next(calls) >= 17,
        )  # fmt: skip
    resumed = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path / "b", seed=0)
    for name, values in unbroken.state.items():
        assert torch.allclose(values.float(), resumed.state[name].float(), atol=1e-3), name


@pytest.mark.parametrize("device", ON_CUDA)
@pytest.mark.parametrize(
    "given",
    [
        {"precision": "float32"},
        {"precision": "bfloat16", "micro_batch": 7},
        {"precision": "float16", "clip": 1.0},
        {"precision": "bfloat16", "compiled": True},
        {"optimizer": "adamw", "lr": 1e-3, "augment": STRENGTHS["strong"]},
    ],
    ids=str,
)
def test_recorded_steps_are_the_same(
    images: Any, network: Any, tmp_path: Path, given: Any, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """Dropout included. Not bit for bit, since some of cuDNN's kernels add in any order."""
    recipe, rows = replace(RECIPE, epochs=6, device=device, **given), np.arange(62)  # batches of 16 and of 15

    def go(folder: str) -> Any:
        return train(network, recipe, images, rows, np.arange(64, 96), tmp_path / folder, seed=0)

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "steps are slower")
        replays: list[int] = []
        plain = graphs.capture

        def counted(*given: Any) -> Any:
            replay, *others = plain(*given)
            return lambda: (replays.append(1), replay()), *others

        monkeypatch.setattr(graphs, "capture", counted)
        found = go("recorded")
    assert len(replays) == 6 * 4 - 2 * graphs.EAGER_BATCHES
    monkeypatch.setattr(steps, "uses_cuda_graphs", lambda device, group: False)
    expected = go("eager")
    for name, tensor in expected.state.items():
        torch.testing.assert_close(
            found.state[name], tensor, rtol=1e-3, atol=1e-3, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("device", ON_CUDA)
def test_where_steps_can_not_be_recorded_training_goes_on(
    images: Any, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """Dropout, too, which draws from what a recording that fails leaves behind."""
    plain = Objective.__call__

    def waits(objective: Objective, *given: Any) -> torch.Tensor:
        loss = plain(objective, *given)
        if torch.cuda.is_current_stream_capturing():
            loss.item()
        return loss

    monkeypatch.setattr(Objective, "__call__", waits)
    with pytest.warns(UserWarning, match="CUDA can't record them"):
        trained = train(
            network, replace(RECIPE, device=device), images, np.arange(62), np.arange(64, 96), tmp_path, seed=0
        )
    assert trained.curve[-1].top1 > 0.9


def test_norms_of_a_group_work_on_the_device(device: str) -> None:
    """A group of one, synchronized as one of several is: forward and backward as torch's own batch norm."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(8, 6, 5, 5, generator=draw).to(device).contiguous(memory_format=torch.channels_last)
    own, wide = torch.nn.BatchNorm2d(6).to(device), torch.nn.BatchNorm2d(6).to(device)
    synchronize(wide, ALONE)
    gradients = []
    for norm in (own, wide):
        given = x.clone().requires_grad_()
        norm(given).pow(3).sum().backward()
        gradients.append([given.grad, norm.weight.grad, norm.bias.grad])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(theirs, mine, rtol=1e-4, atol=1e-4)
