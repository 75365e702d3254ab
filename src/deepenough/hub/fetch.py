"""`hf:user/name`: a model of ours on the Hugging Face hub."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from deepenough.errors import DamagedError, DeepenoughError
from deepenough.files import SUMS, check_sums
from deepenough.hub import HUB_PREFIX
from deepenough.hub.refusals import check_name, in_sentences, library


def fetch_from_hub(given: str, files: tuple[str, ...]) -> Path:
    """The folder of the model `hf:user/name` or `hf:user/name@revision`, fetched unless the hub's cache has it.

    Only `files` and their SHA256SUMS are fetched: whatever else is there, pickles above all, stays there. A damaged
    copy in the cache is fetched anew.
    """
    name, _, revision = given.removeprefix(HUB_PREFIX).partition("@")
    check_name(name)
    wanted = [*files, SUMS]
    folder = _snapshot(given, name, revision, wanted)
    missing = [each for each in wanted if not (folder / each).is_file()]
    if missing:
        raise DeepenoughError(
            f"model {given!r}: that repository is not a model of deepenough (no {', '.join(missing)} in it), or "
            "fetching it broke off; name one that `deepenough push` wrote, or try again with a network"
        )
    try:
        check_sums(folder, files)
    except DamagedError:  # the cache takes files as they are; what still differs then is an error of the model
        with suppress(DeepenoughError):  # without a network the error about the damage says more
            folder = _snapshot(given, name, revision, wanted, anew=True)
    return folder


def _snapshot(given: str, name: str, revision: str, wanted: list[str], anew: bool = False) -> Path:
    hub = library(given)
    with in_sentences(f"model {given!r}", writing=False):
        api = hub.HfApi(library_name="deepenough")
        return Path(api.snapshot_download(name, revision=revision or None, allow_patterns=wanted, force_download=anew))
