"""The device that a model is trained on. Device and memory format are applied here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from deepenough.errors import DeepenoughError


def available_devices() -> dict[str, bool]:
    """Kinds of device, best first, and whether this machine has them."""
    return {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; "auto" takes the best that there is."""
    found = available_devices()
    if name == "auto":
        return torch.device(next(kind for kind, there in found.items() if there))
    if not found.get(name, False):
        raise absent_device(name)
    return torch.device(name)


def absent_device(name: object) -> DeepenoughError:
    """Return the error for a device that this machine has not, with those that it has."""
    there = ", ".join(kind for kind, found in available_devices().items() if found)
    return DeepenoughError(f"device {name!r}: torch finds none on this machine; it has {there}")


def place(model: nn.Module, device: torch.device, memory_format: str = "channels_last") -> nn.Module:
    """The model on its device, its 4-dimensional weights in the memory format."""
    if memory_format == "channels_last":
        return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return model.to(device)


def training_mode(model: nn.Module, freeze_norms: bool, frozen: Iterable[str] = ()) -> nn.Module:
    """The model in training mode, but the layers at the `frozen` module paths as in prediction; with `freeze_norms` all
    its batch norms go on using the statistics that they have."""
    model.train()
    for path in frozen:
        model.get_submodule(path).eval()
    if freeze_norms:
        for part in model.modules():
            if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.eval()
    return model
