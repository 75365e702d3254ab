"""Torch's own random numbers (dropout), as a function of seed and step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_step(seed: int, step: int, device: torch.device) -> None:
    """Seed torch for one step on a device, so that a resumed run needs no saved random state."""
    number = int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)
    # Its own generator's: torch.manual_seed goes round all kinds of devices, which takes 0.4 ms.
    if device.type == "cuda":
        torch.cuda.default_generators[torch.cuda.current_device()].manual_seed(number)
    elif device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


@contextmanager
def forked_rng(device: torch.device) -> Iterator[None]:
    """Leaves the random state of the caller as it was."""
    devices = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Computes with that many threads: sums come out the same, bit for bit, only with the same number."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
