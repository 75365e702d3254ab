"""For benchmarks of others that need torchvision: its Python alone, where its binary does not load."""

from __future__ import annotations

import torch

_KEPT: list[torch.library.Library] = []


def without_operators() -> None:
    """torchvision's binary may lack CUDA's libraries; its models only need these operators to exist."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)
