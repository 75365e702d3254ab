"""A finished run made into one that was killed before its end, for tests."""

from __future__ import annotations

import shutil
from pathlib import Path

from deepenough.files import read_checked_json, write_checked_json


def make_unfinished(run: Path) -> Path:
    """Leave a finished run as it is after a kill between its last training and its end."""
    shutil.rmtree(run / "model")
    content = read_checked_json(run / "record.json")
    content.update(status="running", decision=None, test=None, train=None, cost=None, network=None)
    write_checked_json(run / "record.json", content)
    return run
