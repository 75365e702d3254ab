"""Anyone's network: a torch module as layers of ours, by the graph that `torch.export` takes of it."""

from __future__ import annotations

import copy
import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from deepenough.errors import DeepenoughError, first_line
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.weights.graphs.described import TOLERANCE, Described
from deepenough.weights.graphs.graph import GraphError, plain_name
from deepenough.weights.graphs.onnx import described_content
from deepenough.weights.graphs.torch_blocks import block_paths
from deepenough.weights.graphs.torch_moves import MOVE_REASONS
from deepenough.weights.graphs.torch_operators import TORCH_REASONS
from deepenough.weights.graphs.torch_program import program_content

BATCH = 3
"""Images that a graph is traced with: what depends on their number then shows."""


def read_module(module: nn.Module, shape: tuple[int, int, int]) -> Described:
    """The network of a torch module that gives logits (N, classes) of images (N, C, H, W), `shape` being (C, H, W).

    It is read as it is in evaluation; its mode is put back. What our layers give is compared with what it gives, of
    random images. A module whose graph can't be taken, or has operators that no layer here has, is an error.
    """
    name = type(module).__name__
    file = f"{name} (torch module)"
    module, notes = in_float32(module)
    images = torch.randn(BATCH, *shape, generator=torch.Generator().manual_seed(0))
    with _evaluated(module):
        given = _logits(module, file, images)
        try:
            with _quiet():
                program = torch.export.export(module, (images.to(_device(module)),))
        except Exception as error:  # whatever the module's own code raises
            raise GraphError(
                f"{file}: torch.export can't take its graph: {plain_name(first_line(error))}; which layers are "
                "computed must not depend on the values of the images"
            ) from None
        content = program_content(program, module, file, BATCH)
        found = described_content(content, file, name, TORCH_REASONS | MOVE_REASONS, block_paths(module))
    found = replace(found, notes=(*notes, *found.notes, *_shared(module, found)))
    _check_same(found, file, images, given)
    return found


def check_logits(module: nn.Module, shape: tuple[int, int, int]) -> int:
    """The number of logits that a module gives of images (C, H, W). A module that gives none is an error."""
    with _evaluated(module):
        return _logits(module, f"{type(module).__name__} (torch module)", torch.zeros(BATCH, *shape)).shape[1]


def in_float32(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    """The module itself where its weights are float32, else a copy with such weights; and a line that says so."""
    values = [each for each in [*module.parameters(), *module.buffers()] if each.is_floating_point()]
    others = dict.fromkeys(str(each.dtype).removeprefix("torch.") for each in values if each.dtype != torch.float32)
    if not others:
        return module, ()
    try:
        taken = copy.deepcopy(module).float()
    except Exception as error:  # whatever the module's own code raises
        raise GraphError(
            f"{type(module).__name__} (torch module): its weights are {' and '.join(others)}, and can't be copied to "
            f"be taken as float32 ({plain_name(first_line(error))}); give module.float()"
        ) from None
    return taken, (f"its weights are {' and '.join(others)}; they are taken as float32",)


def _logits(module: nn.Module, file: str, images: Tensor) -> Tensor:
    """The logits of a module, one row for each image. Anything else that it gives is an error that says so."""
    sides = " x ".join(map(str, images.shape[1:]))
    try:
        with torch.no_grad():
            given = module(images.to(_device(module)))
    except Exception as error:  # whatever the module's own code raises
        raise GraphError(f"{file}: it can't take images of {sides}: {plain_name(first_line(error))}") from None
    leaves = torch.utils._pytree.tree_leaves(given)
    first = leaves[0] if leaves else None
    if not isinstance(first, Tensor):
        raise GraphError(f"{file}: it gives {type(given).__name__}; expected logits (N, classes)")
    if first.dim() not in (2, 4) or len(first) != len(images) or first.shape[2:] not in ((), (1, 1)):
        raise GraphError(
            f"{file}: of {len(images)} images of {sides} it gives {' x '.join(map(str, first.shape))}; expected "
            f"logits, {len(images)} x classes"
        )
    logits = first.detach().cpu().float().flatten(1)
    if not logits.isfinite().all():
        raise GraphError(
            f"{file}: of {len(images)} images of {sides} it gives NaN or infinite values; expected finite logits: look "
            "for weights that are not finite, and for divisions by zero and roots or logarithms of negative values"
        )
    return logits


def _check_same(found: Described, file: str, images: Tensor, given: Tensor) -> None:
    """Raise where our layers give other logits than the module."""
    network = build(found.network)
    network.load_state_dict(dict(found.state), strict=False)
    with torch.no_grad():
        several = [network.eval()(each) for each in _prepared(found.input, images)]
    # A softmax or sigmoid at the end is left out.
    forms = [form for ours in several for form in (ours, ours.softmax(1), ours.log_softmax(1), ours.sigmoid())]
    largest = given.abs().max().clamp_min(1e-12)
    apart = min(float((form - given).abs().max() / largest) for form in forms)
    if not apart <= TOLERANCE:
        raise GraphError(
            f"{file}: as layers of ours it gives logits that differ from its own by {apart:.2g} of the largest; it is "
            "not the same network, which is a fault here that is worth a report"
        )


def _prepared(done: Preprocessing | None, images: Tensor) -> Iterator[Tensor]:
    """The images as a network takes them that leaves out what is `done` to them first, to values in 0..1 or 0..255."""
    if done is None:
        yield images
        return
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (done.mean, done.std))
    for top in (1, 255):
        yield ((images.flip(1) if done.order == "BGR" else images) / top - mean) / std


def _shared(module: nn.Module, found: Described) -> Iterator[str]:
    """Say that weights which are used in several places are several here."""
    own = sum(each.numel() for each in [*module.parameters(), *module.buffers()])
    used = sum(_used(name, tensor) for name, tensor in found.state.items())
    if used > own:
        yield "weights that it uses in several places are separate ones here, which fine-tuning trains apart"


def _used(name: str, tensor: Tensor) -> int:
    """Count the numbers of a tensor, without the zeros that a class token has for a position where it has none."""
    absent = name.endswith(".position") and not bool(tensor[:, 0].any())
    return tensor.numel() - absent * tensor.shape[-1]


def check_preparation(module: str, own: Preprocessing | None, wanted: Preprocessing) -> None:
    """Raise where images would be normalised otherwise than a module does itself, whose network leaves that out."""
    if own is None or (own.order == wanted.order and _close(own.mean, wanted.mean) and _close(own.std, wanted.std)):
        return
    raise GraphError(
        f"{module}: it normalises its images itself, by mean {own.mean} and std {own.std} of values in 0..1 "
        f"({own.colours}); the preprocessing that was given has mean {wanted.mean} and std {wanted.std} "
        f"({wanted.colours}). Leave it out, or give the module's own"
    )


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) and all(abs(a - b) <= 1e-6 for a, b in zip(one, other, strict=True))


def _device(module: nn.Module) -> torch.device:
    return next((each.device for each in [*module.parameters(), *module.buffers()]), torch.device("cpu"))


@contextmanager
def _evaluated(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation, and afterwards each part of it back into the mode that it was in.

    That of a program of `torch.export` has no modes: it stays as it was exported.
    """
    training = {part: part.training for part in module.modules()}
    with suppress(NotImplementedError):
        module.eval()
    try:
        yield
    finally:
        for part, mode in training.items():
            part.training = mode


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings of `torch.export` to itself, and the graph that it prints; its error says the same."""
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch._dynamo", "torch.fx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def check_module(module: object, given: str) -> nn.Module:
    """The module itself, or that of a program of `torch.export`; anything else is an error."""
    if isinstance(module, torch.export.ExportedProgram):
        return module.module()
    if not isinstance(module, nn.Module):
        raise DeepenoughError(f"{given} is of the type {type(module).__name__}; expected a torch.nn.Module")
    return module
