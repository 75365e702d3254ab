"""The comparison: the same network with the same weights in every framework."""

from __future__ import annotations

import ast
import platform
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from deepenough.compare.frameworks import FRAMEWORKS, Framework
from deepenough.compare.results import FrameworkComparison, FrameworkResult, Timing
from deepenough.compare.session import Session
from deepenough.errors import DeepenoughError, unknown
from deepenough.frameworks.export import Export
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import run_writer
from deepenough.machine import cores, processor
from deepenough.nets import Dropout, Network, Stack, depth, macs, parameters
from deepenough.nets.build import build
from deepenough.nets.walk import rewritten
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.runtimes.worker import random_batch

WEIGHT_FILES = {
    "torch": "weights.safetensors",
    "keras": "model.keras",
    "paddle": "model.pdiparams",
    "onnx": "model.onnx",
    "caffe": "model.caffemodel",
}
"""The file of an export whose size counts."""


def compare_frameworks(
    network: Network,
    timing: Timing | None = None,
    *,
    only: Sequence[str] = (),
    seed: int = 0,
    reporter: Reporter | None = None,
) -> FrameworkComparison:
    """Measure `network` (without dropout, which no two frameworks draw alike) in every framework that is installed.

    In each round every framework and mode has a turn; figures are medians over the steps of all rounds. `only` names
    the frameworks that take part.
    """
    timing, reporter = timing or Timing(), reporter or Reporter()
    names = [framework.name for framework in FRAMEWORKS]
    for name in only:
        if name not in names:
            raise unknown("framework", name, names)
    network = replace(network, stack=rewritten(network.stack, _without_dropout))
    chosen = [framework for framework in FRAMEWORKS if framework.name in (only or names)]
    results = {framework.name: FrameworkResult(framework.name) for framework in chosen}
    for framework in chosen:
        if framework.missing:
            results[framework.name].problem = f"not installed: pip install 'deepenough[{framework.extra}]'"
    ready = [framework for framework in chosen if not framework.missing]
    if not ready:
        raise DeepenoughError("none of these frameworks is installed; `pip install 'deepenough[frameworks]'`")
    with tempfile.TemporaryDirectory() as temporary, closing(Session(results, Path(temporary), reporter)) as session:
        write_exports(network, ready, session.folder, results, seed, reporter)
        batch = random_batch(network, timing.batch, seed, session.folder / "batch.npz")
        session.start(ready)
        session.check_gradients(network, timing.batch, seed)
        session.measure_speed(timing, batch)
    return FrameworkComparison(
        network=network.name,
        depth=depth(network),
        parameters=parameters(network),
        macs=macs(network),
        input=network.input,
        **asdict(timing),
        machine=_machine(),
        date=datetime.now().astimezone().isoformat(timespec="minutes"),
        results=tuple(results.values()),
    )


def _without_dropout(stack: Stack, path: str) -> Stack:
    return tuple(layer for layer in stack if not isinstance(layer, Dropout))


def write_exports(
    network: Network,
    frameworks: Sequence[Framework],
    folder: Path,
    results: dict[str, FrameworkResult],
    seed: int,
    reporter: Reporter,
) -> None:
    """Write the exports that the frameworks take; fill in their sizes, and the lines of code of the network in each."""
    state = {key: value.numpy() for key, value in build(network, seed).state_dict().items()}
    names = tuple(str(number) for number in range(network.classes))
    export = Export.of(network, state, Preprocessing.untrained(network.input), names)
    for name in dict.fromkeys(framework.target for framework in frameworks):
        target = TARGETS[name]
        with reporter.task(f"writing for {target.title}"):
            run_writer([export], target, [folder / name], trained=False, reading_side=[2 * max(network.input[1:])])
        if name == "keras":
            np.savez(folder / name / "weights.npz", **dict(export.state))  # type: ignore[arg-type]
        source = folder / name / {"caffe": "model.prototxt"}.get(name, "network.py")
        for result in (results[framework.name] for framework in frameworks if framework.target == name):
            result.disk = (folder / name / WEIGHT_FILES[name]).stat().st_size
            if source.is_file():
                result.lines = network_lines(source)


def network_lines(file: Path) -> int:
    """Lines of code that define the network: of a Python file those of its function `network`, without what it uses."""
    source = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        (found,) = (
            node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "network"
        )
        source = ast.get_source_segment(source, found) or ""
    return code_lines(source)


def code_lines(source: str) -> int:
    """Lines of code: no blank lines, comments or docstrings."""
    count, inside = 0, False
    for line in map(str.strip, source.splitlines()):
        quotes = line.count('"""')
        if inside or quotes:
            inside ^= quotes % 2 == 1
            continue
        count += bool(line) and not line.startswith("#")
    return count


def _machine() -> str:
    return f"{processor()}, {cores()} cores, {platform.system()}, Python {platform.python_version()}"
