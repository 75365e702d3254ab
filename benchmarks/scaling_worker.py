"""One process of `scaling.py`: it trains its share of a residual network, and the leader prints images a second.

    python scaling_worker.py ours|ddp '{"data": "digits", "depth": 19, ...}' FOLDER

RANK and WORLD_SIZE are as torchrun sets them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from deepenough.data.images import Images, prepare
from deepenough.data.sources import open_source
from deepenough.distribution.torchrun import join_group, launched
from deepenough.nets import FAMILIES, Network
from deepenough.nets.build import build
from deepenough.training.memory import keep_freed_memory
from deepenough.training.perform import perform
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.recipe import Recipe
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

RANK, SIZE = (int(os.environ.get(name, default)) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1")))


def ours(network: Network, images: Images, given: dict[str, Any], folder: Path) -> None:
    """The package's training: batch norm over the whole batch, the same weights from any number of processes."""
    recipe = Recipe(epochs=given["epochs"], batch=given["batch"], lr=0.1, device="cpu")
    rows = images.split.train[: given["limit"]]

    def lead(group: ProcessGroup) -> None:
        spec = TrainingSpec(network, recipe, rows, np.empty(0, np.int64), seed=0)
        made = train(spec, images, folder, group=group)
        print(json.dumps(made.epochs * len(rows) / made.seconds))

    if not launched():
        lead(ALONE)
        return
    with join_group(torch.device("cpu")) as group:
        if group.is_leader:
            lead(group)
        else:
            perform(group.broadcast_task(None), images, group)


def ddp(network: Network, images: Images, given: dict[str, Any], folder: Path) -> None:
    """The same module in torch's DistributedDataParallel and a plain loop, batch norm over each process' own share.

    torch's SyncBatchNorm refuses images that are not on a GPU, so there is no other batch norm to train by there.
    """
    torch.manual_seed(0)
    module: torch.nn.Module = build(network).to(memory_format=torch.channels_last)
    if SIZE > 1:
        torch.distributed.init_process_group("gloo", rank=RANK, world_size=SIZE)
        module = torch.nn.parallel.DistributedDataParallel(module)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    rows = images.split.train[: given["limit"]]
    pixels = torch.from_numpy(images.pixels[rows]).permute(0, 3, 1, 2).float().div(255)
    labels = torch.from_numpy(images.labels[rows].astype(np.int64))
    share = given["batch"] // SIZE
    began, seen = time.perf_counter(), 0
    for _ in range(given["epochs"]):
        for start in range(0, len(rows) - given["batch"] + 1, given["batch"]):
            mine = slice(start + RANK * share, start + (RANK + 1) * share)
            batch = pixels[mine].contiguous(memory_format=torch.channels_last)
            loss = cross_entropy(module(batch), labels[mine])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            seen += given["batch"]
    if RANK == 0:
        print(json.dumps(seen / (time.perf_counter() - began)))


def main() -> None:
    kind, words, folder = sys.argv[1:]
    given = json.loads(words)
    keep_freed_memory()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[RANK % len(cores)]})
    images = prepare(open_source(given["data"]))
    network = FAMILIES["residual"].network(
        input=images.preprocess.shape, classes=len(images.classes), depth=given["depth"], width=given["width"]
    )
    {"ours": ours, "ddp": ddp}[kind](network, images, given, Path(folder))


if __name__ == "__main__":
    main()
