"""Records on disk, and the folders beside them in a run."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from deepenough.errors import DeepenoughError
from deepenough.files import write_whole
from deepenough.record.migrate import migrate
from deepenough.record.schema import SCHEMA, Record

FILE = "record.json"
CANDIDATES = "candidates"
PICTURE_FOLDER = "pictures"


def fold_folder(candidate: Path, number: int) -> Path:
    """The folder of a candidate's training on one fold: `fold0`, ...; `part0`, ... where version 0.1.0 began it."""
    old = candidate / f"part{number}"
    return old if old.is_dir() else candidate / f"fold{number}"


def save(record: Record, run: Path) -> None:
    """Write `run/record.json`, whole or not at all."""
    write_whole(run / FILE, record.model_dump_json(indent=1))


def load(run: Path) -> Record:
    """Read the record of the run in the folder `run`; an older format is brought to the present one."""
    path = run / FILE
    if not run.is_dir():
        raise DeepenoughError(f"run {str(run)!r}: there is no such folder; give the RUN that `deepenough fit` named")
    if not path.is_file():
        raise DeepenoughError(f"run {str(run)!r}: it has no {FILE}; give the RUN that `deepenough fit` named")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DeepenoughError(f"{path}: not JSON ({error}); the file is damaged") from None
    given = content.get("format") if isinstance(content, dict) else None
    if given not in (1, SCHEMA):
        raise DeepenoughError(
            f"{path}: record format {given!r}; this version reads 1 and {SCHEMA}. "
            "Read it with the version of deepenough that wrote it"
        )
    try:
        return Record.model_validate(migrate(content) if given == 1 else content)
    except (ValidationError, LookupError, TypeError, AttributeError) as error:
        raise DeepenoughError(f"{path}: {_first(error)}; the file is damaged") from None


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__} {error}"
    first = error.errors()[0]
    return f"{'.'.join(str(key) for key in first['loc'])}: {first['msg']}"
