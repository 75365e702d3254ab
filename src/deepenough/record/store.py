"""Records on disk, and the folders beside them in a run."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from deepenough.errors import DamagedError, DeepenoughError
from deepenough.files import CHECKSUM, SUMS, check_sums, read_json, verified, write_checked_json
from deepenough.record.migrate import migrate
from deepenough.record.schema import SCHEMA, Record

FILE = "record.json"
CANDIDATES = "candidates"
PICTURE_FOLDER = "pictures"
_HINT = "Put back the file as it was; to ask another question, begin a new run with `deepenough fit`"


def fold_folder(candidate: Path, number: int) -> Path:
    """The folder of a candidate's training on one fold: `fold0`, ...; `part0`, ... where version 0.1.0 began it."""
    old = candidate / f"part{number}"
    return old if old.is_dir() else candidate / f"fold{number}"


def save(record: Record, run: Path) -> None:
    """Write `run/record.json`, whole or not at all, with the checksum of its content."""
    write_checked_json(run / FILE, json.loads(record.model_dump_json(exclude={CHECKSUM})))


def load(run: Path) -> Record:
    """Read the record of the run in the folder `run`; an older format is brought to the present one.

    One that was changed since it was written is refused: nothing can make it anew, and a run that went on with another
    question would answer neither.
    """
    path = run / FILE
    if not run.is_dir():
        raise DeepenoughError(f"run {str(run)!r}: there is no such folder; give the RUN that `deepenough fit` named")
    if not path.is_file():
        raise DeepenoughError(f"run {str(run)!r}: it has no {FILE}; give the RUN that `deepenough fit` named")
    try:
        content = read_json(path)
    except DamagedError as error:
        raise DamagedError(f"{error}. {_HINT}") from None
    given = content.get("format")
    if given not in (1, SCHEMA):
        raise DeepenoughError(
            f"{path}: record format {given!r}; this version reads 1 and {SCHEMA}. "
            "Read it with the version of deepenough that wrote it"
        )
    try:
        content = verified(path, content)
    except DamagedError as error:
        raise DamagedError(f"{error}. {_HINT}") from None
    try:
        return Record.model_validate(migrate(content) if given == 1 else content)
    except (ValidationError, LookupError, TypeError, AttributeError) as error:
        raise DeepenoughError(f"{path}: {_first(error)}; the file is damaged. {_HINT}") from None


def check_pictures(run: Path) -> None:
    """Raise DamagedError for a picture of the run that is not as it was written; runs of before have no checksums."""
    if (run / PICTURE_FOLDER / SUMS).is_file():
        check_sums(run / PICTURE_FOLDER)


def _first(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__} {error}"
    first = error.errors()[0]
    return f"{'.'.join(str(key) for key in first['loc'])}: {first['msg']}"
