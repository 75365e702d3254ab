"""Optimizers that leave torch's compiler unloaded."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, cast

import torch
from torch.optim import Optimizer

Kind = TypeVar("Kind", bound=Optimizer)


def without_compiler(kind: type[Kind]) -> type[Kind]:
    """The same optimizer, whose methods do not import `torch._dynamo`.

    Torch wraps them so that a compiler that is given a whole step leaves them alone. Ours is given the model only, and
    the wrappers import it at their first call, which takes as long as importing torch itself.
    """
    wrapped = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in wrapped}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))  # the wrapper turns gradients off as well
    return cast("type[Kind]", type(kind.__name__, (kind,), methods))
