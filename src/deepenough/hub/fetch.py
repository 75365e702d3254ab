"""`hf:user/name`: a model of ours on the Hugging Face hub, or the weights of somebody's network there."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deepenough.errors import DamagedError, DeepenoughError
from deepenough.files import SUMS, check_sums, sha256
from deepenough.hub import HUB_PREFIX
from deepenough.hub.refusals import check_name, in_sentences, library

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
"""The files that publishers of networks keep their weights in, best first."""


class NotOurModelError(DeepenoughError):
    """A repository of the hub that is not a model of deepenough."""


def fetch_from_hub(given: str, files: tuple[str, ...]) -> Path:
    """The folder of the model `hf:user/name` or `hf:user/name@revision`, fetched unless the hub's cache has it.

    Only `files` and their SHA256SUMS are fetched: whatever else is there, pickles above all, stays there. A damaged
    copy in the cache is fetched anew.
    """
    wanted = [*files, SUMS]
    folder = _snapshot(given, wanted)
    missing = [each for each in wanted if not (folder / each).is_file()]
    if missing:
        raise NotOurModelError(
            f"model {given!r}: that repository is not a model of deepenough (no {', '.join(missing)} in it), or "
            "fetching it broke off; name one that `deepenough push` wrote, or try again with a network. Of timm's and "
            f"transformers' networks `deepenough weights get {given} --out FOLDER` makes a model"
        )
    try:
        check_sums(folder, files)
    except DamagedError:  # the cache takes files as they are; what still differs then is an error of the model
        with suppress(DeepenoughError):  # without a network the error about the damage says more
            folder = _snapshot(given, wanted, anew=True)
    return folder


def fetch_weights_from_hub(
    given: str, beside: tuple[str, ...], ours: tuple[str, ...], check: Callable[[Path], None]
) -> Path:
    """The file of weights of `hf:user/name` or `hf:user/name@revision`, fetched unless the hub's cache has it.

    Args:
        given: the repository: one of timm's or transformers' networks, or a model of ours.
        beside: files that say what the weights are; they are fetched first.
        ours: the files of a model of ours, the weights first, which are fetched where all of them are there.
        check: is given the path of the weights before they are fetched, and raises where they can't be read.
    """
    folder = _snapshot(given, [*beside, *ours[1:], SUMS])
    if commit := commit_of(folder / SUMS):  # the weights are of the same one, whatever is pushed meanwhile
        given = f"{given.partition('@')[0]}@{commit}"
    if all((folder / each).is_file() for each in (*ours[1:], SUMS)):
        folder = fetch_from_hub(given, ours)
        check_sums(folder, ours)
        return folder / ours[0]
    check(folder / WEIGHT_FILES[0])
    for file in WEIGHT_FILES:
        path = _snapshot(given, [file]) / file
        if path.is_file():
            return path if _is_whole(path) else _snapshot(given, [file], anew=True) / file
    raise DeepenoughError(
        f"weights {given!r}: that repository has no {' and no '.join(WEIGHT_FILES)}, or fetching it broke off; name "
        "one with a whole network in one file, or try again with a network"
    )


def commit_of(path: Path) -> str:
    """The commit that a file of the hub's cache is of; empty where its place does not tell."""
    return path.parent.name if re.fullmatch(r"[0-9a-f]{40}", path.parent.name) else ""


def _is_whole(path: Path) -> bool:
    """Tell whether a file of the hub's cache is the one that was fetched, whose SHA-256 large ones are named by."""
    name = path.resolve().name
    return not re.fullmatch(r"[0-9a-f]{64}", name) or sha256(path) == name


def _snapshot(given: str, wanted: list[str], anew: bool = False) -> Path:
    name, _, revision = given.removeprefix(HUB_PREFIX).partition("@")
    check_name(name)
    hub = library(given)
    with in_sentences(f"model {given!r}", writing=False):
        api = hub.HfApi(library_name="deepenough")
        return Path(api.snapshot_download(name, revision=revision or None, allow_patterns=wanted, force_download=anew))
