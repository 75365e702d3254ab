"""PyTorch in int8: a `torch.export` program with weights in int8 and activations rounded to 7 bits, by torchao.

The program computes in float32 between its roundings wherever it is run as it is. `torch.compile` puts oneDNN's integer
kernels in their place on x86 processors, once its weights are frozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepenough.frameworks.export import Export

if TYPE_CHECKING:
    import torch

QUANTISER = "torchao"
"""The package that quantises; what it gives runs without it."""
TOGETHER = 16
"""The number of calibration images that are run at once."""


def quantised(program: torch.export.ExportedProgram, export: Export) -> torch.nn.Module:
    """Return the program's module in int8: weights by output channel, activations by their ranges on images.

    Batch norms are folded into the convolutions before them. Inputs of convolutions and dense layers are rounded, and
    what lies between two of them where it can be, such as pools and sums.
    """
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    quantiser = x86.X86InductorQuantizer()
    # In 7 bits, sums of two products fit into 16, in which processors without VNNI saturate.
    quantiser.set_global(x86.get_default_x86_inductor_quantization_config(reduce_range=True))
    watched = prepare_pt2e(program.module(), quantiser)
    pixels = export.calibration
    assert pixels is not None
    for start in range(0, len(pixels), TOGETHER):
        images = np.ascontiguousarray(pixels[start : start + TOGETHER].transpose(0, 3, 1, 2))
        watched(torch.from_numpy(images))
    module = convert_pt2e(watched)
    _forget_unused(module)
    return module  # type: ignore[no-any-return]


def _forget_unused(module: Any) -> None:
    """Drop the tensors that the graph does not take: weights in float32 and norms that were folded."""
    used = {node.target for node in module.graph.nodes if node.op == "get_attr"}
    for name in [name for name, _ in (*module.named_parameters(), *module.named_buffers()) if name not in used]:
        owner, _, leaf = name.rpartition(".")
        delattr(module.get_submodule(owner), leaf)
