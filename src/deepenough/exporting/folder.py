"""The folder of an export, which takes the place of an earlier one whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepenough.errors import DeepenoughError
from deepenough.frameworks.target import Target
from deepenough.frameworks.targets import TARGETS

PROOF = "parity.json"
DRAFT = ".export.draft"
"""The folder inside an export where the next one is written before it takes its place."""


@contextmanager
def replacing(folder: Path, goal: Target) -> Iterator[Path]:
    """A draft whose files take the folder's place when all is done. Nothing but an earlier export is replaced.

    A folder that is there stays itself, since it may be the one that a shell is in, or another file system's root.
    """
    if folder.exists() and not folder.is_dir():
        raise DeepenoughError(f"--out {folder}: this is a file; name a folder")
    if folder.suffix and folder.suffix in {Path(file).suffix for each in TARGETS.values() for file in each.files}:
        raise DeepenoughError(
            f"--out {folder}: an export is a folder, with the model and what is needed to use it; "
            f"its model will be {folder.with_suffix('') / goal.files[0]} with --out {folder.with_suffix('')}"
        )
    place = folder.resolve()
    if place.is_dir() and {each.name for each in place.iterdir()} - {DRAFT} and not (place / PROOF).is_file():
        raise DeepenoughError(f"--out {folder}: this folder holds something else; name one that is new or empty")
    if place.is_dir() and place in Path.cwd().parents:
        raise DeepenoughError(
            f"--out {folder}: you are in a folder of this earlier export, which would be removed; go to {place} first"
        )
    draft = place / DRAFT if place.is_dir() else place.with_name(f".{place.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        if place.is_dir():
            _fill(place, draft)
        else:
            draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(folder: Path, draft: Path) -> None:
    """Move what a draft inside a folder holds to the folder itself, where nothing else remains.

    The proof, by which a folder is known as an export, is never missing: a killed export leaves what the next replaces.
    """
    (draft / PROOF).replace(folder / PROOF)
    for entry in list(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and entry != draft:
            shutil.rmtree(entry)
        elif entry.name not in (PROOF, DRAFT):
            entry.unlink()
    for entry in list(draft.iterdir()):
        entry.rename(folder / entry.name)
