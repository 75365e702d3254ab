"""Random erasing, mixup and cutmix."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepenough.data.geometry import symmetric
from deepenough.data.policy import Augment

ERASING = {"erase": 13, "erase_area": 14, "erase_ratio": 15, "erase_x": 16, "erase_y": 17}
MIXING = {"mix_kind": 18, "mix_share": 19, "cut_x": 20, "cut_y": 21}
STREAMS = {**ERASING, **MIXING}
ERASED = (0.02, 0.25)  # share of the area (Zhong et al. 2017, "Random Erasing", section 3, with a smaller largest)
ERASED_RATIO = 3.0


def draws(policy: Augment) -> Iterable[str]:
    """The choices that a policy makes, by their streams."""
    return (*(ERASING if policy.erase else ()), *(MIXING if policy.mixes else ()))


def erase(policy: Augment, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
    """Cover a rectangle of some `images` (N, C, H, W) with their mean colour."""
    if not policy.erase:
        return images
    low, high = ERASED
    area = low + (high - low) * drawn["erase_area"]
    ratio = torch.exp(symmetric(drawn["erase_ratio"]) * math.log(ERASED_RATIO))
    covered = box(images, (area * ratio).sqrt(), (area / ratio).sqrt(), drawn["erase_x"], drawn["erase_y"])
    covered &= (drawn["erase"] < policy.erase)[:, None, None, None]
    return torch.where(covered, images.mean(dim=(2, 3), keepdim=True), images)


def mix(policy: Augment, images: Tensor, targets: Tensor, drawn: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mix each image with the one before it in the batch, and their targets by the same share.

    mixup (Zhang et al. 2017) blends the two; cutmix (Yun et al. 2019) pastes a rectangle of the other, and the share
    is counted in pixels.
    """
    if not policy.mixes or len(images) < 2:
        return images, targets
    partners, partner_targets = images.roll(1, dims=0), targets.roll(1, dims=0)
    cuts = torch.full_like(drawn["mix_kind"], policy.cutmix > 0, dtype=torch.bool)
    if policy.mixup and policy.cutmix:
        cuts = drawn["mix_kind"] < 0.5
    own = torch.where(cuts, drawn["cutmix_share"], drawn["mixup_share"])
    side = (1 - own).sqrt()
    pasted = box(images, side, side, drawn["cut_x"], drawn["cut_y"])
    own = torch.where(cuts, 1 - pasted.to(images.dtype).mean(dim=(1, 2, 3)), own)
    weight = torch.where(cuts[:, None, None, None], (~pasted).to(images.dtype), own[:, None, None, None])
    images = torch.lerp(partners, images, weight)
    return images, torch.lerp(partner_targets, targets, own[:, None])


def shares(policy: Augment, numbers: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The share of itself that each image keeps in mixup and in cutmix, from numbers in [0, 1).

    Made in NumPy, before anything is on the device: fetching numbers back would wait for all that it has to do.
    """
    return {"mixup_share": share(policy.mixup, numbers), "cutmix_share": share(policy.cutmix, numbers)}


def share(alpha: float, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Numbers in [0, 1) to a share with the distribution Beta(alpha, alpha); 1 where alpha is 0."""
    if not alpha:
        return np.ones_like(numbers)
    from scipy.special import betaincinv  # its import costs 0.3 s, and most recipes mix nothing

    inverse: NDArray[np.float64] = betaincinv(alpha, alpha, numbers.astype(np.float64))
    return inverse.astype(np.float32)


def box(images: Tensor, width: Tensor, height: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Boolean (N, 1, H, W): rectangles of `width` and `height` (N,), shares of the sides, that lie wholly inside;
    `x` and `y` in [0, 1) place them."""
    rows, columns = images.shape[2:]

    def inside(count: int, length: Tensor, place: Tensor) -> Tensor:
        pixels = (length.clamp(0, 1) * count).round()
        start = torch.minimum((place * (count - pixels + 1)).floor(), count - pixels)  # float32 may round place to 1
        position = torch.arange(count, device=images.device)
        return (position >= start[:, None]) & (position < (start + pixels)[:, None])

    return (inside(rows, height, y)[:, :, None] & inside(columns, width, x)[:, None, :])[:, None]
