"""The proof that what was written predicts the same: it is run by its own runtime, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.errors import DeepenoughError
from deepenough.frameworks.target import Runtime, absent

BATCHES = (1, 7)
SINGLES = 7
"""The number of images that are run one by one."""

RUNNER = r"""
import importlib.util, json, sys
import numpy as np

for line in sys.stdin:
    job = json.loads(line)
    for name in ("network", "predict"):
        sys.modules.pop(name, None)
    sys.path.insert(0, job["folder"])
    spec = importlib.util.spec_from_file_location("predict", job["folder"] + "/predict.py")
    predict = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(predict)
    logits = predict.load(**job["arguments"])
    pixels = np.load(job["images"])
    answers = {}
    for batch in job["batches"]:
        count = len(pixels) if batch > 1 else min(len(pixels), job["singles"])
        parts = [pixels[start : start + batch] for start in range(0, count, batch)]
        answers[str(batch)] = np.concatenate([np.asarray(logits(part), np.float32) for part in parts])
    assert "deepenough" not in sys.modules
    np.savez(job["answers"], **answers)
    print("ran " + predict.RUNTIME, flush=True)
    sys.path.pop(0)
"""


@dataclass(frozen=True)
class Check:
    """The logits of one runtime at one batch size, compared with deepenough's own.

    `difference` is the largest, relative to the largest logit. `same_top1` counts images with the same answer.
    """

    runtime: str
    batch: int
    images: int
    difference: float
    same_top1: int

    def to_json(self) -> dict[str, Any]:
        """Return the entry of `parity.json`."""
        return {
            "runtime": self.runtime,
            "batch": self.batch,
            "images": self.images,
            "largest_relative_difference": self.difference,
            "same_top1": self.same_top1,
        }


def run_exports(
    folders: Sequence[Path], pixels: Sequence[npt.NDArray[np.uint8]], runtime: Runtime
) -> list[tuple[str, dict[int, npt.NDArray[np.float32]]]]:
    """Run each export on its pixels uint8 (N, H, W, C): the runtime with its version, logits by batch size.

    One process runs them all. It does not import deepenough; where it fails, the error has its last words.
    """
    missing = absent(runtime.packages)
    if missing:
        raise DeepenoughError(f"{runtime.name} needs {', '.join(missing)}, which is not installed here")
    with tempfile.TemporaryDirectory() as temporary:
        jobs = []
        for number, (folder, given) in enumerate(zip(folders, pixels, strict=True)):
            images, answers = (str(Path(temporary) / f"{number}.{end}") for end in ("npy", "npz"))
            np.save(images, np.ascontiguousarray(given))
            jobs.append(
                {
                    "folder": str(folder.resolve()),
                    "arguments": dict(runtime.arguments),
                    "images": images,
                    "answers": answers,
                    "batches": BATCHES,
                    "singles": SINGLES,
                }
            )
        done = subprocess.run(
            [sys.executable, "-P", "-B", "-c", RUNNER],
            input="".join(json.dumps(job) + "\n" for job in jobs),
            env={**os.environ, **runtime.environment},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        versions = [line.removeprefix("ran ") for line in done.stdout.splitlines() if line.startswith("ran ")]
        if done.returncode or len(versions) != len(jobs):
            words = "\n".join(done.stderr.strip().splitlines()[-12:])
            at = folders[min(len(versions), len(folders) - 1)]
            raise RuntimeFailedError(f"{runtime.name} could not run {at} (exit status {done.returncode}):\n{words}")
        return [
            (version, {int(batch): values for batch, values in np.load(str(job["answers"])).items()})
            for version, job in zip(versions, jobs, strict=True)
        ]


class RuntimeFailedError(DeepenoughError):
    """The native runtime did not run what was written."""

    exit_status = 1


def compare_logits(
    version: str, answers: dict[int, npt.NDArray[np.float32]], wanted: npt.NDArray[np.float32]
) -> list[Check]:
    """The checks of one runtime against our logits (N, classes)."""
    checks = []
    for batch, logits in answers.items():
        ours = wanted[: len(logits)]
        if logits.shape != ours.shape:
            raise RuntimeFailedError(f"{version} gave logits of shape {logits.shape}; expected are {ours.shape}")
        scale = float(np.abs(ours).max()) or 1.0
        difference = float(np.abs(logits - ours).max()) / scale
        same = int((logits.argmax(1) == ours.argmax(1)).sum())
        checks.append(Check(version, batch, len(ours), difference if np.isfinite(difference) else float("inf"), same))
    return checks
