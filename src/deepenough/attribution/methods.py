"""The evidence for a class in an image, by three methods of Captum's."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepenough.attribution import METHODS
from deepenough.errors import DeepenoughError, unknown
from deepenough.model import Model
from deepenough.nets import Network
from deepenough.nets.shapes import visits

ATTRIBUTION_BATCH = 32  # images that go through the network at once, covered ones too: on a CPU more are no faster
STEPS, MOST_STEPS = 32, 1024  # of integrated gradients
COMPLETE = 0.01  # of the difference of logits: what the sum of integrated gradients may be off by
WINDOWS = 8  # occluding windows along the shorter side; they overlap by half


def heat(
    model: Model,
    pixels: npt.NDArray[np.uint8],
    targets: Sequence[int] | npt.NDArray[np.int64],
    method: str = "gradcam",
    layer: str | None = None,
) -> npt.NDArray[np.float32]:
    """Compute how much every pixel speaks for a class: float32 (N, H, W), of preprocessed `pixels` uint8 (N, H, W, C).

    `targets` are the numbers of the classes, one for each image. The methods:

    - "gradcam": the maps of `layer` weighted by the mean gradient of the logit, what is positive of their sum, enlarged
      (Selvaraju et al. 2017, arXiv 1610.02391, eq. 1 and 2). `layer` is by default the last that has a map.
    - "integrated-gradients": from an image of the mean colour to this one (Sundararajan et al. 2017, arXiv 1703.01365,
      eq. 1), summed over the channels. All together they are the difference of the two logits, within 1% or as near as
      1,024 steps come; `shortfall` says how near. What speaks against the class is negative.
    - "occlusion": by how much the logit falls where a square of the mean colour covers the image (Zeiler and Fergus
      2014, section 4.2), the mean over the squares that cover the pixel.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    if layer is not None and method != "gradcam":
        raise DeepenoughError(f"--layer {layer}: only gradcam looks at a layer; leave it out for {method}")
    if not has_captum():
        raise DeepenoughError("explanations need Captum: pip install 'deepenough[explain]'")
    layer = map_layer(model.network, layer) if method == "gradcam" else None
    wanted = torch.as_tensor(np.asarray(targets, np.int64), device=model.device)
    found = [np.empty((0, *pixels.shape[1:3]), np.float32)]
    for start in range(0, len(pixels), ATTRIBUTION_BATCH):
        images = model.inputs(pixels[start : start + ATTRIBUTION_BATCH])
        target = wanted[start : start + ATTRIBUTION_BATCH]
        if method == "gradcam":
            values = gradcam(model, images, target, str(layer))
        elif method == "integrated-gradients":
            values = integrated_gradients(model, images, target)
        else:
            values = occlusion(model, images, target)
        found.append(values.detach().float().cpu().numpy())
    return np.concatenate(found)


def shortfall(
    model: Model,
    pixels: npt.NDArray[np.uint8],
    targets: Sequence[int] | npt.NDArray[np.int64],
    found: npt.NDArray[np.float32],
) -> npt.NDArray[np.float64]:
    """By what share of the difference of logits the sums of integrated gradients miss it: float64 (N,).

    `found` are the maps that `heat` gave for the same pixels and targets. More than `COMPLETE` is inexact; without any
    difference of logits it is infinite, or 0 where the sum is 0 too.
    """
    wanted = torch.as_tensor(np.asarray(targets, np.int64), device=model.device)
    differences = [np.empty(0)]
    for start in range(0, len(pixels), ATTRIBUTION_BATCH):
        images = model.inputs(pixels[start : start + ATTRIBUTION_BATCH])
        target = wanted[start : start + ATTRIBUTION_BATCH]
        differences.append(logit_difference(model, images, target).double().cpu().numpy())
    wholes = np.concatenate(differences)
    off = np.abs(found.sum(axis=(1, 2), dtype=np.float64) - wholes)
    shares = np.where(off > 0, np.inf, 0.0)
    np.divide(off, np.abs(wholes), out=shares, where=wholes != 0)
    return shares


def has_captum() -> bool:
    """True where Captum is installed, which computes the methods."""
    return find_spec("captum") is not None


def map_layer(network: Network, path: str | None = None) -> str:
    """The layer that is meant, by its path in `deepenough nets`; by default the last one that gives a map."""
    maps = {visit.path: visit.output for visit in visits(network) if len(visit.output) == 3}
    if path is None:
        return next((name for name, shape in reversed(maps.items()) if shape[1] * shape[2] > 1), list(maps)[-1])
    if path not in maps:
        raise unknown("layer", path, maps)
    return path


def gradcam(model: Model, images: torch.Tensor, target: torch.Tensor, layer: str) -> torch.Tensor:
    """(N, H, W), nowhere negative."""
    from captum.attr import LayerAttribution, LayerGradCam

    found: Any = LayerGradCam(model.module, model.module.get_submodule(layer))
    maps = found.attribute(images, target=target, relu_attributions=True)
    enlarged: torch.Tensor = LayerAttribution.interpolate(maps, tuple(images.shape[2:]), "bilinear")
    return enlarged[:, 0]


@torch.no_grad()
def logit_difference(model: Model, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(N,): the logits of images less those of an image of the mean colour, which is zero for the network."""
    difference: torch.Tensor = model.module(images) - model.module(torch.zeros_like(images[:1]))
    return difference.gather(1, target[:, None])[:, 0]


def integrated_gradients(model: Model, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(N, H, W), with twice as many steps where they do not yet add up to the difference of logits."""
    from captum.attr import IntegratedGradients

    found: Any = IntegratedGradients(model.module)
    whole = logit_difference(model, images, target)
    values = torch.zeros_like(images)
    open_ = torch.arange(len(images), device=images.device)
    steps = STEPS
    while len(open_):
        values[open_] = found.attribute(
            images[open_], target=target[open_], n_steps=steps, internal_batch_size=max(ATTRIBUTION_BATCH, len(open_))
        ).to(values.dtype)
        off = (values[open_].sum((1, 2, 3)) - whole[open_]).abs()
        open_ = open_[off > COMPLETE * whole[open_].abs()]
        steps *= 2
        if steps > MOST_STEPS:
            break
    return values.sum(1)


def occlusion(model: Model, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(N, H, W)."""
    from captum.attr import Occlusion

    channels, height, width = images.shape[1:]
    side = max(min(height, width) // WINDOWS, 1)
    step = max(side // 2, 1)
    found: Any = Occlusion(model.module)
    with torch.no_grad():
        values: torch.Tensor = found.attribute(
            images,
            target=target,
            sliding_window_shapes=(channels, side, side),
            strides=(channels, step, step),
            perturbations_per_eval=max(ATTRIBUTION_BATCH // len(images), 1),
        )
    return values[:, 0]  # a square covers all channels: the fall is one, and Captum repeats it on each of them
