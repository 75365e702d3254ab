"""The predictions of a model for images, each counted exactly once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.training.device import place
from deepenough.training.feed import Loader, normalise
from deepenough.training.prefetch import WaitTimer, prefetch

BATCH_VALUES = 4_000_000  # of the first layer's input and output in a batch: enough to be fast, few enough to fit
LARGEST_BATCH = 512


def evaluation_batch(height: int, width: int) -> int:
    """Images a batch: many small ones or few large ones."""
    return int(min(max(BATCH_VALUES // (height * width * 32), 16), LARGEST_BATCH))


@torch.inference_mode()
def predict_probabilities(
    model: nn.Module,
    images: Images,
    index: Index,
    preprocess: Preprocessing,
    device: torch.device,
    waited: WaitTimer | None = None,
) -> npt.NDArray[np.float32]:
    """Class probabilities float32 (n, classes) of the images `index`, in that order.

    The model is put into evaluation mode meanwhile; it stays on its device, which `device` names. `waited` counts the
    seconds that were waited for images.
    """
    loader = Loader(images, device)
    found = np.empty((len(index), len(images.classes)), np.float32)
    size = evaluation_batch(*preprocess.size)
    training, dtype = model.training, next(model.parameters()).dtype
    model.eval()
    starts = range(0, len(index), size)
    pieces = (loader.read(index[start : start + size]) for start in starts)
    for start, read in zip(starts, prefetch(pieces, waited or WaitTimer()), strict=True):
        pixels = normalise(loader.scaled(read), preprocess).to(dtype)
        logits = model(pixels.contiguous(memory_format=torch.channels_last))
        found[start : start + size] = torch.softmax(logits.float(), dim=1).cpu().numpy()
    model.train(training)
    return found


def accuracy_on(
    images: Images,
    index: Index,
    network: Network,
    state: Mapping[str, torch.Tensor],
    device: torch.device,
    memory_format: str,
) -> float:
    """The share of the images `index` that a network with the weights `state` is right about."""
    model = build(network)
    model.load_state_dict(dict(state))
    model = place(model, device, memory_format)
    probabilities = predict_probabilities(model, images, index, images.preprocess, device)
    return float((probabilities.argmax(axis=1) == images.labels[index]).mean())
