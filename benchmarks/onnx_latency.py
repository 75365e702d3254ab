"""Processor milliseconds of a single image by ONNX Runtime: our export of a network against timm's by `torch.onnx`.

    OMP_NUM_THREADS=1 python benchmarks/onnx_latency.py [NETWORK ...] [--rounds 15]

Both files have the same network with random weights, and run on one thread. They take turns; what is printed is the
median over the rounds of each, and of the rounds' ratios, with their quartiles.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from deepenough.files import write_whole
from deepenough.frameworks.export import Export
from deepenough.frameworks.onnx import onnx_bytes
from deepenough.nets.build import build
from deepenough.nets.choose import choose_network
from deepenough.nets.zoo.timm_models import timm_model
from deepenough.preprocessing import Preprocessing
from torchvision_stub import without_operators

NETWORKS = (
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "efficientnet_b0",
    "convnext_atto",
    "vit_tiny_patch16_224",
)
ROUND = 0.5  # seconds, at least, of a file


def write_ours(name: str, folder: Path) -> tuple[Path, Any]:
    """Our export, and an image for it: pixels uint8 (1, C, H, W), since normalisation is in the file."""
    network = choose_network(name, shape=(3, 224, 224))
    state = {key: value.numpy() for key, value in build(network).state_dict().items()}
    classes = tuple(map(str, range(network.classes)))
    write_whole(folder / "ours.onnx", onnx_bytes(Export.of(network, state, Preprocessing((224, 224)), classes)))
    return folder / "ours.onnx", np.random.default_rng(0).integers(0, 256, (1, 3, 224, 224), dtype=np.uint8)


def write_theirs(name: str, folder: Path) -> tuple[Path, Any]:
    """timm's module by `torch.onnx`, and an image for it: float32 (1, C, H, W)."""
    import timm

    module = timm.create_model(timm_model(name), exportable=True).eval()
    images = torch.rand(1, 3, 224, 224)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(module, (images,), str(folder / "timm.onnx"), dynamo=False)
    return folder / "timm.onnx", images.numpy()


def session_of(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def milliseconds(session: onnxruntime.InferenceSession, image: Any) -> float:
    """The median time of one image in a round."""
    fed, taken = {session.get_inputs()[0].name: image}, []
    until = time.perf_counter() + ROUND
    while time.perf_counter() < until:
        began = time.process_time()
        session.run(None, fed)
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    without_operators()  # of torchvision, which timm imports
    print("| network | ours | timm by torch.onnx | ratio (quartiles) |\n|---|---|---|---|")
    for name in given.networks:
        with tempfile.TemporaryDirectory() as folder:
            files = [write(name, Path(folder)) for write in (write_ours, write_theirs)]
            sides = [(session_of(file), image) for file, image in files]
            turns = [[milliseconds(*side) for side in sides] for _ in range(given.rounds + 1)][1:]
        ours, theirs = (statistics.median(times) for times in zip(*turns, strict=True))
        low, middle, high = statistics.quantiles([a / b for a, b in turns], n=4)
        print(f"| {name} | {ours:.2f} ms | {theirs:.2f} ms | {middle:.2f} ({low:.2f} to {high:.2f}) |", flush=True)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
