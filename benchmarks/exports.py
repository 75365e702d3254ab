"""Networks at full size in every framework: the largest difference of logits, relative to the largest logit.

    python benchmarks/exports.py [NETWORK ...] [--to onnx,keras,...] [--images 7]

Weights are random; images too. Prints a Markdown table, a row as it is done; a difference of 1e-4 or more, or another
top-1 answer, is a failure.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import torch
from torch import nn

from deepenough.errors import DeepenoughError, first_line
from deepenough.exporting import export as exporting
from deepenough.frameworks.targets import TARGETS
from deepenough.model import Model
from deepenough.nets import NETWORKS
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing

EIGHT = ("alexnet", "vgg16", "vgg19", "googlenet", "resnet34", "resnet50", "resnet101", "resnet152")
VARIANTS = (
    "alexnet_bvlc", "alexnet_torchvision", "vgg16_bn", "vgg19_bn", "googlenet_bn", "resnet34_torchvision",
    "resnet50_v1_5", "resnet101_v1_5", "resnet152_v1_5", "squeezenet1_1",
)  # fmt: skip


def model(name: str) -> Model:
    """The network with random weights, and running statistics that keep the scale of its activations."""
    network = NETWORKS[name]()
    module = build(network)
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.uniform_(0.4, 0.8)
            part.running_var.uniform_(0.5, 1.5)
            part.running_mean.normal_(0, 0.1)
    size = (network.input[1], network.input[2])
    prepared = Preprocessing(size)
    return Model(network, module.state_dict(), prepared, [str(number) for number in range(network.classes)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=[*EIGHT, *VARIANTS])
    parser.add_argument("--to", default=",".join(TARGETS))
    parser.add_argument("--images", type=int, default=7)
    given = parser.parse_args()
    exporting.PARITY_IMAGES = given.images
    targets = given.to.split(",")
    print("| network | " + " | ".join(targets) + " | seconds |")
    print("|---" * (len(targets) + 2) + "|", flush=True)
    for name in given.networks:
        net, cells, begun = model(name), [], time.perf_counter()
        for target in targets:
            with tempfile.TemporaryDirectory() as folder:
                try:
                    done = exporting.export(net, target, out=f"{folder}/{target}")
                    largest = max((check.difference for check in done.checks), default=None)
                    seen = "not run here" if largest is None else f"{largest:.1e}"
                    cells.append(seen if done.passed else f"**{seen}**")
                except DeepenoughError as error:
                    cells.append(f"**{first_line(error):.80}**")
        print(f"| {name} | " + " | ".join(cells) + f" | {time.perf_counter() - begun:.0f} |", flush=True)


if __name__ == "__main__":
    main()
