"""One process of several that train the tests' small network; run by test_processes.py.

    python lockstep.py FOLDER '{"precision": "float64", ...}' [SECONDS_A_STEP [RANK_WITHOUT_MEMORY]]

The recipe is `RECIPE` with what is given. A process that does not lead says so, and trains in lockstep. The process
without memory runs out of it in its tenth step, as long as its share of a batch is to go through at once.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from small import make_images, make_network, make_teacher, train

from deepenough.data.augment import Augment
from deepenough.distribution.torchrun import join_group
from deepenough.training.perform import Assignment, perform
from deepenough.training.process_group import ProcessGroup
from deepenough.training.recipe import Recipe
from deepenough.training.step import Step

CPU = torch.device("cpu")
TRAIN, HELD_OUT = np.arange(75), np.arange(75, 96)
RECIPE = Recipe(
    epochs=10, batch=16, lr=0.05, label_smoothing=0.1, clip=1.0, device="cpu",
    augment=Augment(rotation=10, shift=0.1, flip=True, mixup=0.2, cutmix=1.0, erase=0.2),
)  # fmt: skip


def lead(folder: Path, given: dict[str, Any], group: ProcessGroup | None = None, pause: float = 0.0) -> Any:
    """The training itself, by one process or the leader of several; without dropout where norms are frozen, with a
    teacher where a weight of it is given."""
    more: dict[str, Any] = {"group": group} if group else {}
    more |= {"teacher": make_teacher(TRAIN)} if "distill_weight" in given else {}
    network = make_network(dropout=0.0 if given.get("freeze_norms") else 0.2)
    return train(
        network, replace(RECIPE, **given), make_images(), TRAIN, HELD_OUT, folder, seed=3,
        progress=lambda *_: time.sleep(pause), checkpoint_steps=4, **more,
    )  # fmt: skip


def forget_memory() -> None:
    """Have the tenth step of this process run out of memory."""
    step, done = Step.__call__, iter(range(10**6))

    def short(self: Step, batch: Any, micro_batch: int = 0, stop: bool = False) -> torch.Tensor:
        if micro_batch == 0 and next(done) == 9:
            raise torch.OutOfMemoryError("simulated")
        return step(self, batch, micro_batch, stop)

    Step.__call__ = short  # type: ignore[method-assign]


def main() -> None:
    folder, given, pause = Path(sys.argv[1]), json.loads(sys.argv[2]), float((*sys.argv[3:], 0)[0])
    torch.set_num_threads(1)
    with join_group(CPU) as group:
        if sys.argv[4:] == [str(group.rank)]:
            forget_memory()
        if group.is_leader:
            lead(folder, given, group, pause)
            group.broadcast_task("done")
            return
        while isinstance(job := group.broadcast_task(None), Assignment):
            perform(job, make_images(), group)


if __name__ == "__main__":
    main()
