"""An estimate of the memory of a training step, and the number of images whose step fits."""

from __future__ import annotations

from deepenough.nets import Network, activations, parameters

USABLE_MEMORY = 0.8  # the share of what is free that a step may take
PROCESS_BYTES = 500 * 2**20  # of a process that trains, without its images and a step's memory


def fitting_micro_batch(network: Network, batch: int, memory: int | None) -> int:
    """The most images, an equal share of a batch, whose training step fits into `memory` bytes; 0 for all of it."""
    pieces = 1
    while memory is not None and pieces < batch and step_bytes(network, -(-batch // pieces)) > USABLE_MEMORY * memory:
        pieces += 1
    return 0 if pieces == 1 else -(-batch // pieces)


def step_bytes(network: Network, batch: int) -> int:
    """About how much memory a training step takes in float32: what the backward pass needs of every layer, once more
    for the largest gradients; weights, their gradient, momentum and average."""
    return 4 * (round(1.3 * batch * activations(network)) + 4 * parameters(network, training=True))
