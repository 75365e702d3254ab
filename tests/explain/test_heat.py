"""Do the maps show what decides?"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch
from patched import PATCH, patched
from torch import nn

from deepenough import DeepenoughError
from deepenough.attribution.methods import ATTRIBUTION_BATCH, COMPLETE, map_layer, shortfall
from deepenough.explain import METHODS, heat
from deepenough.model import Model
from deepenough.nets import NETWORKS
from deepenough.nets.shapes import visits

pytestmark = pytest.mark.seconds(15)


@pytest.mark.parametrize("method", METHODS)
def test_the_hottest_place_is_the_patch_that_alone_decides(method: str, patches_model: Model) -> None:
    pixels, labels, corners = patched(60, 1)
    assert (patches_model.logits(pixels).argmax(axis=1) == labels).mean() >= 0.95
    found = heat(patches_model, pixels, labels, method)
    inside = 0
    for one, (y, x) in zip(found, corners, strict=True):
        at_y, at_x = np.unravel_index(one.argmax(), one.shape)
        inside += bool(y <= at_y < y + PATCH and x <= at_x < x + PATCH)
    assert inside / len(found) >= 0.9


def test_integrated_gradients_are_the_difference_of_logits(patches_model: Model) -> None:
    pixels, labels, _ = patched(40, 2)
    found = heat(patches_model, pixels, labels, "integrated-gradients").sum(axis=(1, 2))
    rows = np.arange(len(labels))
    with torch.no_grad():
        mean = patches_model.module(torch.zeros(1, 3, *pixels.shape[1:3])).numpy()[0]
    span = patches_model.logits(pixels)[rows, labels] - mean[labels]
    np.testing.assert_allclose(found, span, rtol=0.01, atol=1e-4)


def test_too_few_steps_do_not_go_unnoticed(patches_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels, _ = patched(40, 2)
    whole = shortfall(patches_model, pixels, labels, heat(patches_model, pixels, labels, "integrated-gradients"))
    assert whole.max() <= COMPLETE * 1.01
    monkeypatch.setattr("deepenough.attribution.methods.STEPS", 1)
    monkeypatch.setattr("deepenough.attribution.methods.MOST_STEPS", 1)
    found = heat(patches_model, pixels, labels, "integrated-gradients")
    off = shortfall(patches_model, pixels, labels, found)
    with torch.no_grad():
        mean = patches_model.module(torch.zeros(1, 3, *pixels.shape[1:3])).numpy()[0]
    span = patches_model.logits(pixels)[np.arange(len(labels)), labels] - mean[labels]
    np.testing.assert_allclose(off, np.abs(found.sum(axis=(1, 2)) - span) / np.abs(span), rtol=1e-3, atol=1e-5)
    assert (off > COMPLETE).any()


def test_occlusion_is_the_fall_of_the_logit_under_a_square(patches_model: Model) -> None:
    """Against squares of 4 x 4 pixels, every 2, laid by hand; where several cover a pixel, their mean."""
    pixels, labels, _ = patched(3, 6)
    images, rows = patches_model.inputs(pixels), np.arange(len(labels))
    logits = patches_model.logits(pixels)[rows, labels]
    falls, covers = np.zeros(pixels.shape[:3]), np.zeros(pixels.shape[:3])
    for y in range(0, 29, 2):
        for x in range(0, 29, 2):
            covered = images.clone()
            covered[:, :, y : y + 4, x : x + 4] = 0
            with torch.no_grad():
                fall = logits - patches_model.module(covered).numpy()[rows, labels]
            falls[:, y : y + 4, x : x + 4] += fall[:, None, None]
            covers[:, y : y + 4, x : x + 4] += 1
    found = heat(patches_model, pixels, labels, "occlusion")
    np.testing.assert_allclose(found, falls / covers, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("images", [1, 3, 40])
def test_occlusion_takes_batches(images: int, patches_model: Model) -> None:
    """As few as there may be, however few images there are, and none larger than a batch may be."""
    model, sizes = deepcopy(patches_model), []
    model.module.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    pixels, labels, _ = patched(images, 6)
    heat(model, pixels, labels, "occlusion")
    assert max(sizes) <= ATTRIBUTION_BATCH
    assert len(sizes) <= images * 15 * 15 / ATTRIBUTION_BATCH * 1.4 + 2


@pytest.mark.parametrize("method", METHODS)
def test_random_weights_give_another_map(method: str, patches_model: Model) -> None:
    """Layer by layer from the logits down, as Adebayo et al. 2018 (arXiv 1810.03292, section 3) do."""
    pixels, labels, _ = patched(12, 3)
    before = heat(patches_model, pixels, labels, method)
    model = deepcopy(patches_model)
    layers = [m for m in model.module.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    alike = []
    generator = torch.Generator().manual_seed(0)
    for layer in reversed(layers):
        with torch.no_grad():
            layer.weight.copy_(layer.weight[torch.randperm(len(layer.weight), generator=generator)])
            layer.weight.copy_(layer.weight.std() * torch.randn(layer.weight.shape, generator=generator))
        after = heat(model, pixels, labels, method)
        assert not np.allclose(after, before)
        alike.append(np.mean([_alike(a, b) for a, b in zip(before, after, strict=True)]))
    assert alike[-1] < 0.5, alike


def _alike(one: Any, other: Any) -> float:
    """Correlation of the ranks of two maps; a flat map is like none."""
    ranks = [np.argsort(np.argsort(each.ravel())) for each in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1]) if one.std() and other.std() else 0.0


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet50", "vgg16"])
def test_published_networks_have_a_last_map(name: str) -> None:
    network = NETWORKS[name]()
    path = map_layer(network)
    shapes = {visit.path: visit.output for visit in visits(network)}
    assert len(shapes[path]) == 3
    assert shapes[path][1] == {"alexnet": 6}.get(name, 7)


def test_gradcam_is_that_of_its_paper(patches_model: Model) -> None:
    """Against the two equations written out with hooks."""
    pixels, labels, _ = patched(4, 4)
    layer = map_layer(patches_model.network)
    kept: dict[str, torch.Tensor] = {}
    module = patches_model.module.get_submodule(layer)
    handle = module.register_forward_hook(lambda _, __, out: kept.update(maps=out) or out.retain_grad())
    images = patches_model.inputs(pixels).requires_grad_()
    logits = patches_model.module(images)
    handle.remove()
    logits.gather(1, torch.from_numpy(labels)[:, None]).sum().backward()
    maps = kept["maps"]
    assert maps.grad is not None
    weights = maps.grad.mean(dim=(2, 3), keepdim=True)  # eq. 1
    expected = nn.functional.relu((weights * maps).sum(dim=1, keepdim=True))  # eq. 2
    expected = nn.functional.interpolate(expected, pixels.shape[1:3], mode="bilinear")[:, 0]
    np.testing.assert_allclose(heat(patches_model, pixels, labels), expected.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_what_is_wrong_is_said(patches_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels, _ = patched(1, 5)
    with pytest.raises(DeepenoughError, match="nearest is gradcam"):
        heat(patches_model, pixels, labels, "grad-cam")
    with pytest.raises(DeepenoughError, match="layer 'block9' is not known"):
        heat(patches_model, pixels, labels, layer="block9")
    with pytest.raises(DeepenoughError, match="only gradcam looks at a layer"):
        heat(patches_model, pixels, labels, "occlusion", layer="stem.conv")
    monkeypatch.setattr("deepenough.attribution.methods.find_spec", lambda name: None)
    with pytest.raises(DeepenoughError, match=r"pip install 'deepenough\[explain\]'"):
        heat(patches_model, pixels, labels)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_a_gpu_gives_the_same_map(method: str, patches_model: Model) -> None:
    pixels, labels, _ = patched(8, 3)
    state = patches_model.module.state_dict()
    there = Model(patches_model.network, state, patches_model.preprocess, patches_model.classes, "cuda")
    expected = heat(patches_model, pixels, labels, method)
    np.testing.assert_allclose(heat(there, pixels, labels, method), expected, atol=0.02 * np.abs(expected).max())
