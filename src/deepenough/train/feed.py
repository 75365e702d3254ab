"""Batches of images on the training device, in an order that only the seed and the epoch decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from deepenough.data import Images, Preprocess
from deepenough.data.augment import Augment, apply

Index = npt.NDArray[np.int64]


def batches(index: Index, batch: int, *, seed: int, epoch: int) -> list[Index]:
    """The epoch's batches: every image once, in shares that differ by one image at most.

    Equal shares leave no small last batch, whose batch norms would be noise.
    """
    order = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch]))).permutation(index)
    return np.array_split(order, steps_per_epoch(len(index), batch))


def steps_per_epoch(images: int, batch: int) -> int:
    """How many batches an epoch has."""
    return max(-(-images // batch), 1)


@dataclass(frozen=True)
class Loader:
    """Brings images to the device: float32 (N, C, H, W), in channels-last memory."""

    images: Images
    device: torch.device

    def raw(self, index: Index) -> torch.Tensor:
        """The pixels in 0..1."""
        pixels = torch.from_numpy(np.ascontiguousarray(self.images.pixels[index])).to(self.device)
        return pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """(pixels - mean) / std, as prediction does it."""
        return normalise(pixels, self.images.preprocess)


def normalise(pixels: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """(pixels - mean) / std of `pixels` float32 (N, C, H, W), RGB or grey in 0..1, in the network's channel order."""
    if preprocess.order == "BGR":
        pixels = pixels.flip(1)
    mean = torch.tensor(preprocess.mean, dtype=torch.float32, device=pixels.device).view(1, -1, 1, 1)
    std = torch.tensor(preprocess.std, dtype=torch.float32, device=pixels.device).view(1, -1, 1, 1)
    return (pixels - mean) / std


@dataclass(frozen=True)
class Feed:
    """The training images of one training."""

    loader: Loader
    index: Index
    batch: int
    augment: Augment
    seed: int

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Images float32 (N, C, H, W), augmented and normalised, and targets float32 (N, classes).

        `epoch` counts from 0; the first `skip` batches are left out.
        """
        images = self.loader.images
        classes = len(images.classes)
        for chosen in batches(self.index, self.batch, seed=self.seed, epoch=epoch)[skip:]:
            labels = torch.from_numpy(np.asarray(images.labels[chosen])).to(self.loader.device)
            targets = torch.nn.functional.one_hot(labels, classes).to(torch.float32)
            pixels, targets = apply(
                self.augment, self.loader.raw(chosen), targets, seed=self.seed, epoch=epoch, index=chosen
            )
            yield self.loader.normalise(pixels).contiguous(memory_format=torch.channels_last), targets

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return steps_per_epoch(len(self.index), self.batch)
