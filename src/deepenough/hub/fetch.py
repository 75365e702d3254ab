"""`hf:user/name`: a model of ours on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from deepenough.errors import DeepenoughError
from deepenough.files import SUMS
from deepenough.hub import HUB_PREFIX
from deepenough.hub.refusals import check_name, in_sentences, library


def fetch_from_hub(given: str, files: tuple[str, ...]) -> Path:
    """The folder of the model `hf:user/name` or `hf:user/name@revision`, fetched unless the hub's cache has it.

    Only `files` and their SHA256SUMS are fetched: whatever else is there, pickles above all, stays there.
    """
    name, _, revision = given.removeprefix(HUB_PREFIX).partition("@")
    check_name(name)
    hub = library(given)
    wanted = [*files, SUMS]
    with in_sentences(f"model {given!r}", writing=False):
        folder = Path(
            hub.HfApi(library_name="deepenough").snapshot_download(
                name, revision=revision or None, allow_patterns=wanted
            )
        )
    missing = [each for each in wanted if not (folder / each).is_file()]
    if missing:
        raise DeepenoughError(
            f"model {given!r}: that repository is not a model of deepenough (no {', '.join(missing)} in it); name one "
            "that `deepenough push` wrote"
        )
    return folder
