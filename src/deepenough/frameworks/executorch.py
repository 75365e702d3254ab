"""ExecuTorch: a program for phones and small devices, whose layers XNNPACK computes where it has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from deepenough.files import write_whole
from deepenough.frameworks.export import Export
from deepenough.frameworks.metadata import ModelMetadata
from deepenough.frameworks.source import imported
from deepenough.frameworks.target import Runtime, Target
from deepenough.frameworks.torch import torch_source

if TYPE_CHECKING:
    import torch

LARGEST_BATCH = 64
"""A program plans its memory for a largest batch."""
DESCRIPTION = "description"
"""The program's method that gives the description as JSON in UTF-8."""


def _module(export: Export) -> torch.nn.Module:
    """The network in plain torch, of operators that ExecuTorch has."""
    import torch

    with TemporaryDirectory() as temporary:
        source = Path(temporary) / "network.py"
        write_whole(source, torch_source(export))
        written: Any = imported(source)
    module = written.Classifier(written.network())
    state = {key: torch.from_numpy(value) for key, value in export.state.items()}
    module.network.load_state_dict(state, strict=False)  # the counters of batch norms are left out
    for path, layer in list(module.named_modules()):
        if isinstance(layer, torch.nn.LocalResponseNorm):
            module.set_submodule(path, _response_norm(layer))
        elif isinstance(layer, torch.nn.AdaptiveMaxPool2d):
            module.set_submodule(path, _global_maximum())
    classifier: torch.nn.Module = module.eval()
    return classifier


def _global_maximum() -> torch.nn.Module:
    """The maximum of each map (N, C, 1, 1), without adaptive windows, which ExecuTorch has none of."""
    import torch

    class GlobalMaximum(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.amax((2, 3), keepdim=True)

    return GlobalMaximum()


def _response_norm(layer: torch.nn.LocalResponseNorm) -> torch.nn.Module:
    """The same function as a pool over planes, where torch's is one over volumes, which ExecuTorch has none of."""
    import torch
    from torch.nn import functional

    size = layer.size

    class ResponseNorm(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            squares = functional.pad((images * images).flatten(2).unsqueeze(1), (0, 0, size // 2, (size - 1) // 2))
            means = functional.avg_pool2d(squares, (size, 1), 1).reshape(images.shape)
            return images / (layer.k + layer.alpha * means) ** layer.beta

    return ResponseNorm()


class ExecutorchTarget(Target):
    """A program of ExecuTorch."""

    name = "executorch"
    title = "ExecuTorch"
    extra = "executorch"
    packages = ("torch", "executorch")
    files = ("model.pte",)
    needed_files = ("model.pte",)
    needs = "executorch, torch"
    runtimes = (Runtime("ExecuTorch", ("executorch",)),)
    refused: ClassVar[Mapping[str, str]] = {
        "float16": "programs are written in float32 only; take --to litert",
        "int8": "programs are written in float32 only; take --to litert",
    }
    largest_batch = LARGEST_BATCH
    notes = (
        f"`model.pte` runs on phones and small devices with ExecuTorch's XNNPACK backend, for up to {LARGEST_BATCH} "
        "images at once. "
        f"Its method `forward` gives the logits, `{DESCRIPTION}` class names and preprocessing as JSON in UTF-8.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The program."""
        import torch
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        images = torch.zeros((2, *export.network.input), dtype=torch.uint8)
        batch = torch.export.Dim("batch", min=1, max=LARGEST_BATCH)
        with torch.no_grad():
            program = torch.export.export(_module(export), (images,), dynamic_shapes=({0: batch},))
        # As numbers, since text may end as a pointer to what Python has let go of.
        description = torch.frombuffer(bytearray(ModelMetadata.of(export).dumps().encode()), dtype=torch.uint8)
        lowered = to_edge_transform_and_lower(
            program, partitioner=[XnnpackPartitioner()], constant_methods={DESCRIPTION: description}
        )
        write_whole(folder / self.files[0], bytes(lowered.to_executorch().buffer))
