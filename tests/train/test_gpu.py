"""The same training on a CUDA device; these run where there is one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepenough.data.augment import STRENGTHS
from deepenough.train import Recipe, train
from deepenough.train.stop import Interrupted

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]
RECIPE = Recipe(epochs=12, batch=16, lr=0.1, augment=STRENGTHS["none"], device="cuda")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_it_learns_in_every_precision(images: Any, network: Any, tmp_path: Path, precision: str) -> None:
    recipe = replace(RECIPE, precision=precision)
    trained = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path, seed=0)
    assert trained.curve[-1].top1 > 0.9


def test_augmentation_stays_on_the_device(images: Any, network: Any, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=2, augment=STRENGTHS["strong"])
    trained = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path, seed=0)
    assert trained.ended == "finished"


def test_a_resumed_run_ends_with_nearly_the_same_weights(images: Any, network: Any, tmp_path: Path) -> None:
    """Bit for bit only with deterministic kernels, which torch has to be asked for; here within rounding."""
    unbroken = train(network, RECIPE, images, np.arange(64), np.arange(64, 96), tmp_path / "a", seed=0)
    calls = iter(range(1000))
    with pytest.raises(Interrupted):
        train(
            network, RECIPE, images, np.arange(64), np.arange(64, 96), tmp_path / "b", seed=0,
            stop=lambda: next(calls) >= 17,
        )  # fmt: skip
    resumed = train(network, RECIPE, images, np.arange(64), np.arange(64, 96), tmp_path / "b", seed=0)
    for name, values in unbroken.state.items():
        assert torch.allclose(values.float(), resumed.state[name].float(), atol=1e-3), name
