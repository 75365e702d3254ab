"""One process of several that train the tests' small network; run by test_processes.py.

    python lockstep.py FOLDER '{"precision": "float64", ...}' [SECONDS_A_STEP]

The recipe is `RECIPE` with what is given. A process that does not lead says so, and trains in lockstep.
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

sys.path.insert(0, str(Path(__file__).parent))
from small import make_images, make_network

from deepenough.data.augment import Augment
from deepenough.train import Recipe, train
from deepenough.train.group import Group
from deepenough.train.perform import Task, perform
from deepenough.train.processes import joined

CPU = torch.device("cpu")
TRAIN, HELD_OUT = np.arange(75), np.arange(75, 96)
RECIPE = Recipe(
    epochs=10, batch=16, lr=0.05, label_smoothing=0.1, clip=1.0, device="cpu",
    augment=Augment(rotation=10, shift=0.1, flip=True, mixup=0.2, cutmix=1.0, erase=0.2),
)  # fmt: skip


def lead(folder: Path, given: dict[str, Any], group: Group | None = None, pause: float = 0.0) -> Any:
    """The training itself, by one process or the leader of several."""
    more = {"group": group} if group else {}
    return train(
        make_network(), replace(RECIPE, **given), make_images(), TRAIN, HELD_OUT, folder, seed=3,
        progress=lambda *_: time.sleep(pause), checkpoint_steps=4, **more,
    )  # fmt: skip


def main() -> None:
    folder, given, pause = Path(sys.argv[1]), json.loads(sys.argv[2]), float((*sys.argv[3:], 0)[0])
    torch.set_num_threads(1)
    with joined(CPU) as group:
        if group.leads:
            lead(folder, given, group, pause)
            group.order("done")
            return
        while isinstance(task := group.order(None), Task):
            perform(task, make_images(), CPU, group, None, lambda: False)


if __name__ == "__main__":
    main()
