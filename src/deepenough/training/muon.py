"""Muon: convolutions follow their momentum made orthogonal, on a sphere; all else follows Nesterov momentum.

A convolution's gradient is dominated by a few directions. Made orthogonal, all of them move alike, so that fewer steps
are needed (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

NESTEROV_RATE = 1.5  # times a convolution's rate: that of the parameters which follow Nesterov momentum
ITERATIONS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # Jordan's: small singular values grow fast
SMALLEST_NORM = 1e-12  # by which is divided, so that zeros stay zeros


class Muon(torch.optim.Optimizer):
    """Muon for the parameters of groups with `turns`, SGD with Nesterov momentum for those of the others.

    A parameter that turns keeps its norm, and a step moves it by `lr` times that norm. So one rate fits layers of all
    sizes and scales and networks of all depths, and weight decay has nothing to do. One that is zero stays zero.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, momentum: float) -> None:
        super().__init__(groups, {"lr": 0.0, "momentum": momentum, "weight_decay": 0.0, "turns": False})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient, which may be written over."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            directions = self._nesterov(parameters, group)
            if group["turns"]:
                turn(parameters, directions, group["lr"])
            else:
                torch._foreach_add_(parameters, directions, alpha=-group["lr"])

    def _nesterov(self, parameters: list[torch.Tensor], group: dict[str, Any]) -> list[torch.Tensor]:
        """The directions of torch's SGD with `nesterov`."""
        directions = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if group["weight_decay"]:
            torch._foreach_add_(directions, parameters, alpha=group["weight_decay"])
        if not group["momentum"]:
            return directions
        states = [self.state[parameter] for parameter in parameters]
        for parameter, state in zip(parameters, states, strict=True):
            if not state:
                state["momentum_buffer"] = torch.zeros_like(parameter)
        buffers = [state["momentum_buffer"] for state in states]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, directions)
        torch._foreach_add_(directions, buffers, alpha=group["momentum"])
        return directions


def turning_parameters(model: nn.Module) -> set[torch.Tensor]:
    """The weights that Muon turns: those of convolutions over all channels.

    A depthwise convolution has no matrix whose directions could be evened out, a classifier's rows are to differ in
    size, and a wide dense layer's products would cost more than the training step.
    """
    convolutions = (part for part in model.modules() if isinstance(part, nn.Conv2d) and part.groups == 1)
    return {convolution.weight for convolution in convolutions}


def turn(parameters: Sequence[torch.Tensor], directions: Sequence[torch.Tensor], angle: float) -> None:
    """Move `parameters` against the orthogonal part of `directions` by `angle` times their norm, which they keep.

    Those of one shape go through the matrix products together.
    """
    shapes: dict[torch.Size, list[int]] = {}
    for number, parameter in enumerate(parameters):
        shapes.setdefault(parameter.shape, []).append(number)
    for numbers in shapes.values():
        weights = torch.stack([parameters[number].flatten(1) for number in numbers])
        norms = _norms(weights)
        orthogonal = orthogonalize(torch.stack([directions[number].flatten(1) for number in numbers]))
        moved = weights - orthogonal * (angle * norms / _norms(orthogonal).clamp(min=SMALLEST_NORM))
        moved *= norms / _norms(moved).clamp(min=SMALLEST_NORM)
        for number, weight in zip(numbers, moved, strict=True):
            parameters[number].copy_(weight.view(parameters[number].shape))


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """About U V^T of each of `matrices` = U S V^T (N, rows, columns), by five Newton-Schulz iterations.

    Singular values from 1% of the Frobenius norm on come to lie between 0.68 and 1.14, which is near enough to 1 for a
    direction; smaller ones grow, too, and end below 1.21. It takes matrix products alone. A matrix of zeros stays one.
    """
    wide = matrices.mT if matrices.shape[1] > matrices.shape[2] else matrices
    x = wide / _norms(wide).clamp(min=SMALLEST_NORM)
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=third, alpha=fifth), x, beta=first)
    return x.mT if wide is not matrices else x


def _norms(matrices: torch.Tensor) -> torch.Tensor:
    """The Frobenius norm of each matrix, (N, 1, 1)."""
    norms: torch.Tensor = torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True)
    return norms
