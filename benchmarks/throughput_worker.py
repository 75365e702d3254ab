"""One contender of `throughput.py`: it answers commands as the workers of `deepenough compare` do.

    python throughput_worker.py ours|plain|torchvision|timm '["resnet50", "network.json", 16]'

`ours` is a training as `deepenough fit` computes it: the package's own step, memory kept as the command line keeps it,
with the moving average of the weights that the others go without. The others are plain loops, `plain` over the same
module as ours, torchvision and timm over theirs: SGD with momentum, in the default memory format and channels-last,
eager and compiled.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORKERS = Path(importlib.import_module("deepenough.runtimes").__file__ or "").with_name("workers")
sys.path.insert(0, str(WORKERS))

kind, given = sys.argv[1], json.loads(sys.argv[2])
name, stored, batch_size = given
if kind == "ours":
    from deepenough.training.memory import keep_freed_memory

    keep_freed_memory()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from loop import serve  # type: ignore[import-not-found]  # noqa: E402
from torch import nn  # noqa: E402

from torchvision_stub import without_operators  # noqa: E402

Run = Callable[[Any, Any], float]


def images_of(pixels: Any, memory_format: torch.memory_format) -> torch.Tensor:
    """Pixels uint8 (N, H, W, C) as the input of a network."""
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255 - 0.5
    return images.contiguous(memory_format=memory_format)


def ours() -> dict[tuple[str, str], Run]:
    from deepenough.nets.serialization import loads
    from deepenough.training.feed import Batch
    from deepenough.training.loss import Objective
    from deepenough.training.optimizer import set_lr
    from deepenough.training.perform import new_state
    from deepenough.training.process_group import ALONE
    from deepenough.training.recipe import Recipe
    from deepenough.training.spec import TrainingSpec

    found: dict[tuple[str, str], Run] = {}
    network = loads(Path(stored).read_text())
    for memory_format in ("channels_last", "contiguous"):
        for compiled in (False, True):
            recipe = Recipe(batch=batch_size, lr=0.01, device="cpu", memory_format=memory_format, compiled=compiled)
            made: list[Any] = []

            def run(pixels: Any, labels: Any, made: list[Any] = made, recipe: Recipe = recipe) -> float:
                if not made:
                    spec = TrainingSpec(network, recipe, np.empty(0, np.int64), np.empty(0, np.int64), seed=0)
                    made[:] = new_state(spec, Objective(), torch.device("cpu"), ALONE)
                    set_lr(made[0].optimizer, 0.01)
                state, step = made
                wanted = nn.functional.one_hot(torch.from_numpy(labels), network.classes).float()
                batch = Batch(images_of(pixels, torch.channels_last), wanted, 0, len(labels))
                tally = step(batch)
                state.advance(tally[:3], len(labels))
                return float(tally[0])

            found["train", mode(memory_format, compiled)] = run
    return found


def theirs(make: Callable[[], nn.Module]) -> dict[tuple[str, str], Run]:
    found: dict[tuple[str, str], Run] = {}
    for memory_format in ("contiguous", "channels_last"):
        for compiled in (False, True):
            made: list[Any] = []
            layout = torch.channels_last if memory_format == "channels_last" else torch.contiguous_format

            def run(
                pixels: Any, labels: Any, made: list[Any] = made, layout: Any = layout, compiled: bool = compiled
            ) -> float:
                if not made:
                    model = make().train().to(memory_format=layout)
                    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
                    made[:] = [torch.compile(model) if compiled else model, optimizer]
                model, optimizer = made
                outputs = model(images_of(pixels, layout))
                targets = torch.from_numpy(labels)
                heads = [outputs] if isinstance(outputs, torch.Tensor) else heads_of(outputs)
                loss = sum(
                    share * nn.functional.cross_entropy(head, targets)
                    for share, head in zip((1, 0.3, 0.3), heads, strict=False)
                )
                loss.backward()  # type: ignore[union-attr]
                optimizer.step()
                optimizer.zero_grad()
                return float(loss)

            found["train", mode(memory_format, compiled)] = run
    return found


def heads_of(outputs: Any) -> list[torch.Tensor]:
    """The logits, and those of auxiliary heads; ours come with their weights."""
    main, *others = outputs
    return [main, *(logits for _, logits in others[0])] if others and isinstance(others[0], list) else [main, *others]


def mode(memory_format: str, compiled: bool) -> str:
    return memory_format.replace("_", " ") + (", compiled" if compiled else "")


def quietly(name: str) -> Any:
    """A module, without what it prints as it is imported: answers go to the standard output."""
    with contextlib.redirect_stdout(sys.stderr):
        return importlib.import_module(name)


def main() -> None:
    if kind == "ours":
        serve("deepenough", ours())
        return
    if kind == "plain":
        from deepenough.nets.build import build
        from deepenough.nets.serialization import loads

        serve("PyTorch", theirs(lambda: build(loads(Path(stored).read_text()))))
        return
    without_operators()
    library = quietly(kind)
    if kind == "torchvision":
        extra = {"init_weights": False} if name == "googlenet" else {}
        serve(f"torchvision {library.__version__}", theirs(lambda: library.models.get_model(name, **extra)))
    else:
        serve(f"timm {library.__version__}", theirs(lambda: library.create_model(name)))


main()
