"""Batches of images on the training device, in an order that only the seed and the epoch decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from deepenough.data.augment import Augment, apply
from deepenough.data.device import constant, pinned, sent
from deepenough.data.images import Images
from deepenough.data.sources.base import WINDOW
from deepenough.data.split import Index
from deepenough.preprocessing import Preprocessing
from deepenough.training.prefetch import WaitTimer, prefetch
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.resizing import Size, resized


def batches(index: Index, batch: int, *, seed: int, epoch: int, blocks: Index | None = None) -> list[Index]:
    """The epoch's batches: every image once, in shares that differ by one image at most.

    Equal shares leave no small last batch, whose batch norms would be noise. Where images lie in `blocks` that are
    cheap to read together, blocks are shuffled, and their images among a window of some blocks.
    """
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
    order = random.permutation(index)
    if blocks is not None:
        there, which = np.unique(blocks[order], return_inverse=True)
        window = random.permutation(len(there)) // WINDOW
        order = order[np.argsort(window[which], kind="stable")]
    return np.array_split(order, steps_per_epoch(len(index), batch))


def steps_per_epoch(images: int, batch: int) -> int:
    """The number of batches in an epoch."""
    return max(-(-images // batch), 1)


@dataclass(frozen=True)
class Loader:
    """Brings images to the device: (N, C, H, W), in channels-last memory; `dtype` is what they are computed with."""

    images: Images
    device: torch.device
    dtype: torch.dtype = torch.float32

    def raw(self, index: Index) -> torch.Tensor:
        """The pixels in 0..1."""
        return self.scaled(self.read(index))

    def read(self, index: Index) -> torch.Tensor:
        """The pixels uint8 (N, H, W, C), in memory that a GPU can read while it computes."""
        return pinned(self.images.pixels[index], self.device)

    def labels(self, index: Index) -> torch.Tensor:
        """The numbers of the classes, int64 (N,), on the device."""
        return sent(self.images.labels[index], self.device)

    def scaled(self, pixels: torch.Tensor) -> torch.Tensor:
        """The result of `read` on the device and in 0..1."""
        there = pixels.to(self.device, non_blocking=True)
        return there.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """(pixels - mean) / std, as prediction does it."""
        return normalise(pixels, self.images.preprocess).to(self.dtype)


def normalise(pixels: torch.Tensor, preprocess: Preprocessing) -> torch.Tensor:
    """(pixels - mean) / std of `pixels` float32 (N, C, H, W), RGB or grey in 0..1, in the network's channel order."""
    if preprocess.order == "BGR":
        pixels = pixels.flip(1)
    mean, std = (constant(values, pixels.device).view(1, -1, 1, 1) for values in (preprocess.mean, preprocess.std))
    return (pixels - mean) / std


class Batch(NamedTuple):
    """This process' share of a batch: `images` (N, C, H, W), augmented and normalised, `targets` (N, classes), and
    where they lie in the batch of all processes: from row `first` on, of `total`."""

    images: torch.Tensor
    targets: torch.Tensor
    first: int
    total: int


@dataclass(frozen=True)
class Feed:
    """The training images of one training, in its first epochs at `first_sizes` (H, W)."""

    loader: Loader
    index: Index
    batch: int
    augment: Augment
    seed: int
    group: ProcessGroup = ALONE
    first_sizes: Sequence[Size] = ()
    waited: WaitTimer = field(default_factory=WaitTimer)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, which counts from 0; the first `skip` are left out."""
        classes = len(self.loader.images.classes)
        for read, chosen, mine, total in prefetch(self._read(epoch, skip), self.waited):
            targets = torch.nn.functional.one_hot(self.loader.labels(chosen), classes).to(torch.float32)
            pixels, targets = apply(
                self.augment, self.loader.scaled(read), targets, seed=self.seed, epoch=epoch, index=chosen
            )
            own = slice(len(chosen) - (mine.stop - mine.start), None)
            if epoch < len(self.first_sizes):
                pixels = resized(pixels, self.first_sizes[epoch])
            pixels = self.loader.normalise(pixels[own]).contiguous(memory_format=torch.channels_last)
            yield Batch(pixels, targets[own].to(pixels.dtype), mine.start, total)

    def _read(self, epoch: int, skip: int) -> Iterator[tuple[torch.Tensor, Index, slice, int]]:
        """For each batch the pixels of this process' share, their rows, where they lie in the batch, and its size."""
        images = self.loader.images
        blocks = images.blocks if images.in_blocks else None
        for whole in batches(self.index, self.batch, seed=self.seed, epoch=epoch, blocks=blocks)[skip:]:
            mine = self.group.shard(len(whole))
            # Mixing takes the image before, of the whole batch: it comes along, and goes again.
            partner = self.augment.mixes and self.group.size > 1
            chosen = whole[mine]
            if partner:
                chosen = np.concatenate([whole[mine.start - 1 : mine.start or None], chosen])
            yield self.loader.read(chosen), chosen, mine, len(whole)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return steps_per_epoch(len(self.index), self.batch)
