"""Torch as an engine. It is imported, and the weights are read, when something is first computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from deepenough.engines import TORCH
from deepenough.nets import Network
from deepenough.preprocessing import Preprocessing

if TYPE_CHECKING:
    import torch
    from torch import nn

    State = Mapping[str, torch.Tensor]


class TorchEngine:
    """A network with the weights that `read_state` gives when they are first needed, on a device."""

    name = TORCH

    def __init__(
        self,
        network: Network,
        read_state: Callable[[], State],
        preprocess: Preprocessing,
        device: str | torch.device = "cpu",
    ) -> None:
        self.network = network
        self.preprocess = preprocess
        self._read_state = read_state
        self._device = device
        self._building = Lock()

    @classmethod
    def of_module(cls, module: nn.Module, network: Network, preprocess: Preprocessing, device: str) -> TorchEngine:
        """A torch module as it is, which `network` has only name and input of."""
        from deepenough.training.device import place

        engine = cls(network, dict, preprocess, device)
        engine._module = place(module, engine.device).eval()
        return engine

    @property
    def title(self) -> str:
        import torch

        return f"PyTorch {torch.__version__.partition('+')[0]}"

    @cached_property
    def device(self) -> torch.device:
        """The device that computes."""
        import torch

        from deepenough.training.device import absent_device, available_devices

        device: torch.device | None = None
        with suppress(RuntimeError, TypeError):  # it is no name of a device
            device = torch.device(self._device)
        if device is None or not available_devices().get(device.type, False):
            raise absent_device(self._device)
        return device

    @property
    def on_cpu(self) -> bool:
        """True if the processor computes; no need for torch to tell."""
        return str(self._device) == "cpu"

    @property
    def module(self) -> nn.Module:
        """The network with its weights, in evaluation mode."""
        with self._building:  # by the first of several threads
            return self._module

    @cached_property
    def _module(self) -> nn.Module:
        import torch

        from deepenough.nets.build import build
        from deepenough.training.device import place

        with torch.inference_mode(False):  # a first use in a prediction would bar gradients, which explanations need
            module = build(self.network)
            module.load_state_dict(dict(self._read_state()))
            del self._read_state  # with what it holds
            return place(module, self.device).eval()

    def prepare(self) -> None:
        """Read the weights now."""
        _ = self.module

    def inputs(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Preprocessed pixels uint8 (N, H, W, C) -> what the module takes: float32 (N, C, H, W), normalised."""
        import torch

        from deepenough.training.feed import normalise

        block = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(self.device)
        images = normalise(block.permute(0, 3, 1, 2).to(torch.float32).div_(255.0), self.preprocess)
        return images.contiguous(memory_format=torch.channels_last)

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C) -> logits float32 (N, classes)."""
        import torch

        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self.module(self.inputs(pixels)).float().cpu().numpy()
        return found
