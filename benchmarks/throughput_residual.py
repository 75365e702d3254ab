"""How much of the machine's matrix-product rate does eager training reach?

    python benchmarks/throughput_residual.py [--width 32] [--blocks 4] [--batch 128] [--threads 2] [--rounds 12]

Trains a residual network whose feature maps are all 28x28 (channels-last, float32, eager, the package's own step with
its moving average and optimizer) and multiplies two square float32 matrices, one after the other in the same run, so
that both see the same machine. Prints the medians. The work of a step is 6 floating-point operations a
multiply-accumulate and image: 2 forward, 4 backward. Batch norms, activations and the optimizer count as nothing, so
the share says how much of the time they and the memory take.
"""

from __future__ import annotations

import argparse
import statistics
import time

from deepenough.training.memory import keep_freed_memory

KEPT = keep_freed_memory()

import numpy as np  # noqa: E402
import torch  # noqa: E402 - memory is set up before the first tensor

from deepenough.nets import (  # noqa: E402
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    Network,
    Relu,
    Stack,
    Sum,
    macs,
)
from deepenough.training.device import choose_device  # noqa: E402
from deepenough.training.feed import Batch  # noqa: E402
from deepenough.training.loss import Objective  # noqa: E402
from deepenough.training.optimizer import set_lr  # noqa: E402
from deepenough.training.perform import new_state  # noqa: E402
from deepenough.training.process_group import ALONE  # noqa: E402
from deepenough.training.recipe import Recipe  # noqa: E402
from deepenough.training.spec import TrainingSpec  # noqa: E402
from deepenough.training.state import State  # noqa: E402
from deepenough.training.step import Step  # noqa: E402
from product import product  # noqa: E402


def conv_bn(width: int) -> Stack:
    return Conv(width, bias=False), BatchNorm()


def network(width: int, blocks: int) -> Network:
    """A stem and `blocks` residual blocks, all at 28x28."""
    block = (Sum(((*conv_bn(width), Relu(), *conv_bn(width)), ())), Relu())
    return Network(
        f"residual-{width}x28x28",
        (1, 28, 28),
        (*conv_bn(width), Relu(), *(block * blocks), GlobalAvgPool(), Dense(10)),
    )


def seconds_of(step: Step, state: State, batch: Batch) -> float:
    """The seconds of one training step."""
    clock = time.perf_counter()
    state.advance(step(batch)[:3], batch.total)
    return time.perf_counter() - clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=4)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--side", type=int, default=2048, help="rows and columns of the matrices")
    parser.add_argument("--profile", action="store_true", help="print where the time of three steps goes")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipe = Recipe(batch=given.batch, lr=0.05, device="cpu")
    net = network(given.width, given.blocks)
    nothing = np.empty(0, np.int64)
    spec = TrainingSpec(net, recipe, nothing, nothing, seed=0)
    state, step = new_state(spec, Objective(recipe.label_smoothing), choose_device("cpu"), ALONE)
    set_lr(state.optimizer, 0.05)
    images = torch.rand(given.batch, 1, 28, 28).contiguous(memory_format=torch.channels_last)
    targets = torch.nn.functional.one_hot(torch.arange(given.batch) % 10, 10).float()
    batch = Batch(images, targets, 0, given.batch)
    for _ in range(3):
        seconds_of(step, state, batch)
        product(given.side)
    steps, products = [], []
    for _ in range(given.rounds):
        steps.append(seconds_of(step, state, batch))
        products.append(product(given.side))
    work = 6 * macs(net) * given.batch
    training = work / statistics.median(steps) / 1e9
    matrices = statistics.median(products) / 1e9
    print(f"{net.name}, {given.blocks} blocks, batch {given.batch}, {given.threads} threads, torch {torch.__version__}")
    print(f"freed memory kept (glibc): {'yes' if KEPT else 'no'}")
    print(f"step {1e3 * statistics.median(steps):8.1f} ms   {training:7.1f} GFLOP/s")
    print(f"matrix product           {matrices:7.1f} GFLOP/s")
    print(f"share                    {100 * training / matrices:7.1f} %")
    if given.profile:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            for _ in range(3):
                seconds_of(step, state, batch)
        print(seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))


if __name__ == "__main__":
    main()
