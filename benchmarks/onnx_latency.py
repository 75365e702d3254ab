"""Processor milliseconds of a single image by ONNX Runtime: our export of a network against timm's by `torch.onnx`.

    OMP_NUM_THREADS=1 python benchmarks/onnx_latency.py [NETWORK ...] [--rounds 15]

Both files have the same network with random weights, and run on one thread. Ours takes pixels and normalises them;
timm's takes normalised images, so it is measured twice: of those, and of the same pixels, normalised by NumPy as its
users do. They take turns; what is printed is the median over the rounds of each, and of the rounds' ratios, with their
quartiles.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
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
from deepenough.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from torchvision_stub import without_operators

NETWORKS = (
    "mobilenetv3_small_100",
    "mobilenetv3_large_100",
    "efficientnet_b0",
    "convnext_atto",
    "vit_tiny_patch16_224",
)
ROUND = 0.5  # seconds, at least, of a file


def write_ours(name: str, file: Path) -> None:
    """Our export, of pixels uint8 (N, C, H, W)."""
    network = choose_network(name, shape=(3, 224, 224))
    state = {key: value.numpy() for key, value in build(network).state_dict().items()}
    classes = tuple(map(str, range(network.classes)))
    write_whole(file, onnx_bytes(Export.of(network, state, Preprocessing((224, 224)), classes)))


def write_theirs(name: str, file: Path) -> None:
    """timm's module by `torch.onnx`, of images float32 (1, C, H, W) that are normalised."""
    import timm

    module = timm.create_model(timm_model(name), exportable=True).eval()
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(module, (torch.rand(1, 3, 224, 224),), str(file), dynamo=False)


def normalised(pixels: Any) -> Any:
    """Pixels uint8 (N, C, H, W) as timm's networks want them."""
    mean, std = (np.array(each, np.float32).reshape(1, -1, 1, 1) for each in (IMAGENET_MEAN, IMAGENET_STD))
    return (pixels.astype(np.float32) / 255 - mean) / std


def session_of(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def milliseconds(run: Callable[[], Any]) -> float:
    """The median time of one image in a round."""
    taken = []
    until = time.perf_counter() + ROUND
    while time.perf_counter() < until:
        began = time.process_time()
        run()
        taken.append(time.process_time() - began)
    return 1000 * statistics.median(taken)


def sides(name: str, folder: Path) -> tuple[Callable[[], Any], ...]:
    """Our file of pixels, timm's of the same pixels, and timm's of normalised images."""
    made = []
    for write in (write_ours, write_theirs):
        write(name, folder / "network.onnx")
        session = session_of(folder / "network.onnx")
        made.append((session, session.get_inputs()[0].name))
    (ours, images), (theirs, wanted) = made
    pixels = np.random.default_rng(0).integers(0, 256, (1, 3, 224, 224), dtype=np.uint8)
    before = normalised(pixels)
    return (
        lambda: ours.run(None, {images: pixels}),
        lambda: theirs.run(None, {wanted: normalised(pixels)}),
        lambda: theirs.run(None, {wanted: before}),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    without_operators()  # of torchvision, which timm imports
    print(
        "| network | ours | timm of pixels | timm of normalised images | ratio of pixels | the other |\n|---"
        + "|---" * 5
        + "|"
    )
    for name in given.networks:
        with tempfile.TemporaryDirectory() as folder:
            contenders = sides(name, Path(folder))
            turns = [[milliseconds(run) for run in contenders] for _ in range(given.rounds + 1)][1:]
        times = " | ".join(f"{statistics.median(each):.2f} ms" for each in zip(*turns, strict=True))
        ratios = [statistics.quantiles([turn[0] / turn[side] for turn in turns], n=4) for side in (1, 2)]
        print(
            f"| {name} | {times} | " + " | ".join(f"{m:.2f} ({a:.2f} to {b:.2f})" for a, m, b in ratios) + " |",
            flush=True,
        )
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
