"""Everything that a training has to remember, as one object."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deepenough.training.curve import Epoch
from deepenough.training.ema import Ema
from deepenough.training.precision import Precision
from deepenough.training.process_group import ProcessGroup

Tensors = dict[str, torch.Tensor]


class NotFiniteError(Exception):
    """The loss or a weight became NaN or infinite."""


IS_SAVED = {"saved": True}  # the metadata of fields that checkpoints keep as plain values


@dataclass
class State:
    """Weights, their average, optimizer, scaler, position and curve.

    The position in the schedule and in the data is `step` and the length of `curve`; random draws are functions of
    them, so there is no random state. `tally` is the running epoch's loss sum, hits and images.
    """

    model: nn.Module
    ema: Ema
    optimizer: torch.optim.Optimizer
    precision: Precision
    tally: torch.Tensor
    micro_batch: int = field(default=0, metadata=IS_SAVED)
    lr: float = field(default=0.0, metadata=IS_SAVED)
    step: int = field(default=0, metadata=IS_SAVED)
    curve: list[Epoch] = field(default_factory=list, metadata=IS_SAVED)
    images: int = field(default=0, metadata=IS_SAVED)
    range_images: int = field(default=0, metadata=IS_SAVED)
    evaluated_images: int = field(default=0, metadata=IS_SAVED)
    seconds: float = field(default=0.0, metadata=IS_SAVED)
    waited: float = field(default=0.0, metadata=IS_SAVED)
    epoch_seconds: float = field(default=0.0, metadata=IS_SAVED)
    judged: npt.NDArray[np.float32] | None = None  # of the last epoch; not saved, since it can be made again

    @torch.no_grad()
    def advance(self, tally: torch.Tensor, images: int) -> None:
        """Count a step that was done, with its loss sum, hits and images."""
        self.step += 1
        self.images += images
        self.ema.update(self.step)
        self.tally += tally.to(self.tally.dtype)

    def tick(self, since: float) -> float:
        """Count the time from `since` to now; now."""
        now = time.perf_counter()
        self.seconds += now - since
        self.epoch_seconds += now - since
        return now

    def tensors(self) -> Tensors:
        """All tensors by name."""
        found = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.ema.model is not self.model:
            found |= {f"ema/{name}": tensor for name, tensor in self.ema.model.state_dict().items()}
        for number, parameter in enumerate(self._parameters()):
            for key, value in self.optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    found[f"optimizer/{number}/{key}"] = value
        return found | {"tally": self.tally}

    def facts(self) -> dict[str, Any]:
        """All that is not a tensor, as plain values."""
        return {
            **{name: getattr(self, name) for name in SAVED},
            "curve": [epoch.to_json() for epoch in self.curve],
            "threads": torch.get_num_threads(),
            "scaler": self.precision.scaler.state_dict(),
        }

    def restore(self, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
        """Put a saved state into this one, in place.

        The order matters: 1. weights, 2. their average, 3. the optimizer's memory, laid out like its parameter,
        since fused kernels walk both as flat memory, 4. the scaler, 5. position and curve.
        """
        self.model.load_state_dict(_under("model/", tensors))
        if self.ema.model is not self.model:
            self.ema.model.load_state_dict(_under("ema/", tensors))
        self.optimizer.state.clear()
        parameters = self._parameters()
        for name, tensor in _under("optimizer/", tensors).items():
            number, key = name.split("/")
            parameter = parameters[int(number)]
            same = tensor.shape == parameter.shape  # else a count of steps, which fused kernels read on their device
            like = torch.empty_like(parameter if same else tensor, device=parameter.device)
            self.optimizer.state[parameter][key] = like.detach().copy_(tensor)
        if facts["scaler"]:
            self.precision.scaler.load_state_dict(dict(facts["scaler"]))
        self.tally.copy_(tensors["tally"])
        self.judged = None
        for name in SAVED:
            setattr(self, name, facts[name])
        self.curve = [Epoch.from_json(epoch) for epoch in facts["curve"]]

    def share(self, group: ProcessGroup) -> None:
        """Put the leader's state into that of every process of a group."""
        if group.size == 1:
            return
        facts, kinds = group.broadcast_object(
            (self.facts(), {name: (tensor.shape, tensor.dtype) for name, tensor in self.tensors().items()})
        )
        mine = self.tensors()
        if not group.is_leader:
            mine = {
                name: torch.empty(shape, dtype=dtype, device=self.tally.device)
                for name, (shape, dtype) in kinds.items()
            }
        group.broadcast(list(mine.values()))
        if not group.is_leader:
            self.restore(mine, facts)

    def finite(self) -> bool:
        """True if the weights are numbers, and the epoch's loss so far is one or is forgiven."""
        weights = (tensor for tensor in self.model.state_dict().values() if tensor.is_floating_point())
        return self.finite_loss() and all(bool(weight.isfinite().all()) for weight in weights)

    def finite_loss(self) -> bool:
        """True if the epoch's loss so far is a number, or may be none: float16's scaler left that step out, whose loss
        stays in the epoch's sum."""
        return self.precision.forgives or bool(self.tally.isfinite().all())

    def kept(self) -> Tensors:
        """Copies on the CPU of the weights that count: the average, or the last where there is none."""
        return {
            name: tensor.detach().to("cpu", copy=True).contiguous()
            for name, tensor in self.ema.model.state_dict().items()
        }

    def _parameters(self) -> list[torch.Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


SAVED = tuple(entry.name for entry in fields(State) if "saved" in entry.metadata)
"""The fields of a state that checkpoints keep as plain values."""


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
