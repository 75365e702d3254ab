"""Exports are written by a process of their own: frameworks do not bear each other, nor change their backend.

`run_writer` starts it; it is `python -m deepenough.frameworks.writer`, which reads a job a line.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from deepenough.errors import DeepenoughError
from deepenough.frameworks.export import Export
from deepenough.frameworks.folder import write_folder
from deepenough.frameworks.target import Target
from deepenough.frameworks.targets import check_layers, target_named
from deepenough.full_disk import full_disk
from deepenough.nets.serialization import dumps, loads
from deepenough.preprocessing import Preprocessing

MISTAKE = "deepenough: "
"""The start of a line of stderr that holds an error of ours."""


class WriteFailedError(DeepenoughError):
    """The framework could not write the network."""

    exit_status = 1


def run_writer(
    exports: Sequence[Export], to: Target, folders: Sequence[Path], *, trained: bool, reading_side: Sequence[int]
) -> None:
    """Write exports to their folders, as `write_folder` does. An error in the other process is one here."""
    for export in exports:
        check_layers(to, export.network)
    with tempfile.TemporaryDirectory() as temporary:
        jobs = []
        for number, (export, folder, side) in enumerate(zip(exports, folders, reading_side, strict=True)):
            staged = Path(temporary) / str(number)
            _stage(export, staged)
            job = {"target": to.name, "staged": str(staged), "folder": str(folder), "trained": trained, "side": side}
            jobs.append(json.dumps(job))
        done = subprocess.run(
            [sys.executable, "-P", "-m", "deepenough.frameworks.writer"],
            input="\n".join(jobs),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            for line in lines:
                if line.startswith(MISTAKE):
                    raise DeepenoughError(json.loads(line.removeprefix(MISTAKE)))
            words = "\n".join(lines[-12:])
            raise WriteFailedError(f"{to.title} could not write this network (exit status {done.returncode}):\n{words}")


def _stage(export: Export, folder: Path) -> None:
    """Everything about an export in a folder that `_staged` reads."""
    folder.mkdir()
    (folder / "network.json").write_text(dumps(export.network), encoding="utf-8")
    save_file(dict(export.state), folder / "state.safetensors")
    about = {
        "input": export.input.to_json(),
        "classes": export.classes,
        "precision": export.precision,
        "source": export.source,
    }
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    if export.calibration is not None:
        np.save(folder / "calibration.npy", export.calibration)


def _staged(folder: Path) -> Export:
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    calibration = folder / "calibration.npy"
    return Export(
        loads((folder / "network.json").read_text(encoding="utf-8")),
        load_file(folder / "state.safetensors"),
        Preprocessing.from_json(about["input"]),
        tuple(about["classes"]),
        about["precision"],
        np.load(calibration) if calibration.is_file() else None,
        about["source"],
    )


def do_jobs() -> int:
    """Do the jobs of stdin."""
    for line in sys.stdin:
        job = json.loads(line)
        try:
            export = _staged(Path(job["staged"]))
            write_folder(
                export,
                target_named(job["target"]),
                Path(job["folder"]),
                trained=job["trained"],
                reading_side=job["side"],
            )
        except DeepenoughError as error:
            sys.stderr.write(f"\n{MISTAKE}{json.dumps(str(error))}\n")
            return error.exit_status
        except Exception as error:
            full = full_disk(error, Path(job["folder"]))
            if full is None:
                raise
            sys.stderr.write(f"\n{MISTAKE}{json.dumps(f'{full}; make room there, and export again')}\n")
            return DeepenoughError.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(do_jobs())
