"""The choice of the engine for a model: what was asked for, or one that is installed and proven equal to torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path

from deepenough.engines import AUTO, ENGINES, GRAPH_ENGINES, TORCH
from deepenough.engines.engine import Engine
from deepenough.engines.graph_cache import CachedGraph
from deepenough.engines.proof import largest_difference
from deepenough.engines.speed import measured_speeds, preferred
from deepenough.engines.torch import TorchEngine
from deepenough.errors import DeepenoughError, first_line, unknown
from deepenough.frameworks.target import DIFFERENCE, absent

PACKAGES = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino")}
EXTRAS = {"onnx": "onnx", "openvino": "onnx,openvino"}


class UnfitEngineError(DeepenoughError):
    """An engine that can't compute this model, or not as torch does."""


@dataclass(frozen=True)
class EngineChoice:
    """The engine that computes, and in `notes` what there is to say of it: the times that were measured, the reason
    why another one does not. `batch` is the most pictures that had better go through together; None where that was not
    measured, or the more the better."""

    engine: Engine
    notes: tuple[str, ...] = ()
    batch: int | None = None


class Subject:
    """A model that needs an engine: as torch computes it, its classes, and the SHA-256 that it is known by."""

    def __init__(self, torch: TorchEngine, classes: tuple[str, ...], digest: str) -> None:
        self.torch, self.classes = torch, classes
        self.cached = CachedGraph(digest)

    @cached_property
    def graph(self) -> bytes:
        """Its ONNX file, from the cache or made now. Raises UnfitEngineError."""
        return self.cached.read() or self._made()

    def _made(self) -> bytes:
        from deepenough.frameworks.export import Export
        from deepenough.frameworks.targets import target_named

        target, wanted = target_named("onnx"), self.torch.preprocess
        network = self.torch.network.with_input(wanted.shape)
        if reason := target.refusal(network):
            raise UnfitEngineError(reason)
        state = {key: value.cpu().float().numpy() for key, value in self.torch.module.state_dict().items()}
        export = Export.of(network, state, wanted, self.classes)

        def make(folder: Path) -> None:
            target.write(export, folder)

        return self.cached.write(make)


def choose(wanted: str, subject: Subject, *, measured: bool) -> EngineChoice:
    """The engine called `wanted`; with "auto" the first that will do, in the order of `GRAPH_ENGINES`, before torch.

    `measured`: take the fastest instead, where that is clearly ahead, and say which batches suit it. One that is not
    installed is an error if it was asked for; one that can't compute the model as torch does is replaced by torch, with
    a note.
    """
    if wanted not in ENGINES:
        raise unknown("engine", wanted, ENGINES)
    if not subject.torch.on_cpu and wanted in (AUTO, TORCH):
        return EngineChoice(subject.torch)
    if not subject.torch.on_cpu:
        raise DeepenoughError(f"--engine {wanted} computes on the CPU; leave out --device, or take --engine torch")
    if wanted in GRAPH_ENGINES and (lacking := absent(PACKAGES[wanted])):
        raise DeepenoughError(
            f"--engine {wanted} needs {', '.join(lacking)}, not installed here: "
            f"pip install 'deepenough[{EXTRAS[wanted]}]'"
        )
    found: list[Engine] = []
    notes = []
    for name in GRAPH_ENGINES if wanted == AUTO else {wanted} & {*GRAPH_ENGINES}:
        if absent(PACKAGES[name]) or (found and not measured):
            continue
        try:
            found.append(_proven(name, subject, anew=measured))
        except UnfitEngineError as error:
            notes.append(f"{name} is not used: {error}")
    if wanted == AUTO or not found:
        found.append(subject.torch)
    if not measured:
        return EngineChoice(found[0], tuple(notes))
    speeds = measured_speeds(found, subject.torch.preprocess)
    place = preferred([speed.image for speed in speeds])
    if len(found) > 1:
        told = ", ".join(f"{each.name} {speed.image:.3g}" for each, speed in zip(found, speeds, strict=True))
        notes.append(f"measured milliseconds an image: {told}")
    return EngineChoice(found[place], tuple(notes), speeds[place].best_batch)


def _proven(name: str, subject: Subject, *, anew: bool) -> Engine:
    """An engine that gives torch's logits, as is seen now or was seen before. Raises UnfitEngineError."""
    made: Callable[[bytes], Engine] = getattr(import_module(f"deepenough.engines.{name}"), f"{name.capitalize()}Engine")
    try:
        graph = subject.graph
        engine = made(graph)
        if not anew and subject.cached.is_proven(engine):
            return engine
        difference = largest_difference(engine, subject.torch, subject.torch.preprocess)
    except DeepenoughError:
        raise
    except Exception as error:  # each library has its own, of what it can't load or compute
        raise UnfitEngineError(first_line(error)) from None
    if not difference < DIFFERENCE:
        raise UnfitEngineError(
            f"{engine.title} differs from torch by {difference:.1g} of the largest logit, above {DIFFERENCE:g}"
        )
    subject.cached.keep_proof(engine, difference)
    return engine
