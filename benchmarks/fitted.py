"""The record of a `deepenough fit` in a process of its own; other benchmarks take it from here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def fitted(*words: str) -> dict[str, Any]:
    """What `deepenough fit WORDS` left; where that is nothing, the benchmark ends with what it said."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "deepenough", "fit", *words, "--out", str(run)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not (run / "record.json").is_file():
            sys.exit(f"deepenough fit {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
        record: dict[str, Any] = json.loads((run / "record.json").read_text())
    return record
