"""The runtimes that latency can be measured in, by name. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError
from deepenough.frameworks.target import absent
from deepenough.frameworks.targets import TARGETS

if TYPE_CHECKING:
    from deepenough.nets.network import Network

ROUNDS = 20
"""In which each network has a turn."""


@dataclass(frozen=True)
class LatencyRuntime:
    """A runtime that latency can be measured in: the export that it takes, and the packages and extras for both."""

    title: str
    target: str
    packages: tuple[str, ...]
    extras: str = ""


RUNTIMES = {
    "onnx": LatencyRuntime("ONNX Runtime", "onnx", ("onnx", "onnxruntime"), "onnx"),
    "torch": LatencyRuntime("PyTorch", "torch", ("torch",)),
    "litert": LatencyRuntime("LiteRT", "litert", ("keras", "tensorflow", "ai_edge_litert"), "litert"),
    "openvino": LatencyRuntime("OpenVINO", "onnx", ("onnx", "openvino"), "onnx,openvino"),
}


@dataclass(frozen=True)
class Conditions:
    """A runtime by its name, the images that are predicted at once, and the processor threads of a prediction."""

    runtime: str
    batch: int = 1
    threads: int = 1


def check_runtime(name: str, networks: Sequence[Network] = ()) -> None:
    """Raise the error for a runtime that is not installed, or that one of the networks can't be written for."""
    runtime = RUNTIMES[name]
    if missing := absent(runtime.packages):
        raise DeepenoughError(
            f"--runtime {name} needs {', '.join(missing)}, not installed here: "
            f"pip install 'deepenough[{runtime.extras}]', or give another --runtime"
        )
    for network in networks:
        if reason := TARGETS[runtime.target].refusal(network):
            others = [other for other, each in RUNTIMES.items() if not TARGETS[each.target].refusal(network)]
            raise DeepenoughError(
                f"--runtime {name}: {network.name} can't be written for {runtime.title}: {reason}; "
                f"give --runtime {' or '.join(others)}"
            )
