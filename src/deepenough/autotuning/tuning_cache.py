"""The speed of configurations as measured before on this machine, kept in the cache."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.step_timing import StepTrial
from deepenough.data.cache import cache_folder
from deepenough.errors import DamagedError
from deepenough.files import read_checked_json, write_checked_json
from deepenough.machine import processor
from deepenough.training.device import choose_device
from deepenough.training.process_group import ALONE
from deepenough.training.step import uses_cuda_graphs


class TuningCache:
    """Speeds relative to the recipe's own configuration, for one network, recipe and shape: a file of the cache."""

    def __init__(self, folder: str | Path | None, trial: StepTrial) -> None:
        recipe, device = trial.spec.recipe, choose_device(trial.spec.recipe.device)
        own = replace(recipe, epochs=1, lr=None)  # neither changes what a step costs
        words = [repr(trial.spec.network), own.to_json(), machine(device)]
        words += [type(trial.images.read_as(trial.spec.preprocess).pixels).__name__]  # streamed ones come late
        words += ["recorded"] if uses_cuda_graphs(device, ALONE) else []
        name: str = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:32]
        self.path = cache_folder(folder).with_name("measured") / f"{name}.json"

    def read(self, configuration: StepConfiguration, base: StepConfiguration) -> StepConfiguration | None:
        """The configuration as fast against `base` as it was then."""
        for entry in self._entries():
            if StepConfiguration(**entry["way"]) == configuration and entry["times"] < math.inf:
                return replace(configuration, seconds=entry["times"] * base.seconds, first=entry["first"])
        return None

    def write(self, measured: StepConfiguration, base: StepConfiguration) -> None:
        plain = replace(measured, seconds=0.0, first=0.0)
        entry = {"way": plain.to_json(), "times": measured.seconds / base.seconds, "first": measured.first}
        with suppress(OSError):  # a cache that cannot be written only costs time
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_checked_json(self.path, {"entries": [*self._entries(), entry]})

    def _entries(self) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = read_checked_json(self.path)["entries"]
        except (OSError, DamagedError, KeyError):
            return []
        return entries


def machine(device: torch.device) -> dict[str, str]:
    """The facts on which the speed of a step depends, beside the step."""
    return {
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "torch": torch.__version__,
    }
