"""Pretrained weights by a name of the table, from the Hugging Face hub, or from a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deepenough.errors import DeepenoughError, nearest_in_words, unknown
from deepenough.files import sha256
from deepenough.hub import HUB_PREFIX
from deepenough.nets.zoo import NETWORKS
from deepenough.progress import Reporter
from deepenough.weights.fetch import fetch
from deepenough.weights.imagenet import class_names
from deepenough.weights.names import ALIASES, GROUPS, NAMED, Named, of_hash
from deepenough.weights.preset_names import PRESETS
from deepenough.weights.read import read_weights
from deepenough.weights.saved_model import is_saved_model
from deepenough.weights.weights import Weights

WEIGHT_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".h5", ".hdf5", ".keras", ".caffemodel", ".pdparams",
                   ".onnx")  # fmt: skip

OUR_FILES = ("weights.safetensors", "network.json", "preprocess.json")
"""The files of a model folder, the weights first."""


def load_weights(
    given: str | Path,
    *,
    network: str | None = None,
    preprocess: str | None = None,
    needs_head: bool = True,
    reporter: Reporter | None = None,
) -> Weights:
    """The weights called `given`: a file or SavedModel where there is one, else a name of the table, fetched if need
    be; or those of a repository of the Hugging Face hub, `hf:user/name`, of timm, transformers or deepenough.

    A file of the table needs no `network`, whatever it is called: its SHA-256 tells. `preprocess`, one of `PRESETS`,
    goes before what is known of the weights. Class names are ImageNet's for the table's weights. What `needs_head` asks
    for says `read_weights`; what was chosen there is told to `reporter`.
    """
    if preprocess is not None and preprocess not in PRESETS:
        raise unknown("preprocessing", preprocess, PRESETS)
    if (repository := Path(given).as_posix()).startswith(HUB_PREFIX):
        return _of_hub(repository, network, preprocess, reporter, needs_head=needs_head)
    path = Path(given)
    name = _whole_name(str(given))
    if is_saved_model(path):
        known: Named | None = None
    elif path.is_file():
        known = of_hash(sha256(path))
    elif name in NAMED:
        known = NAMED[name]
        _check(known, network)
        path = fetch(known, reporter)
    elif path.exists() or _is_path(str(given)):
        return read_weights(path, network=network, preprocess=preprocess)  # which says what is wrong with it
    else:
        raise _nowhere(str(given))
    if known is None:
        weights = read_weights(given, network=network, preprocess=preprocess, needs_head=needs_head)
        _say_notes(weights, reporter)
        return weights
    _check(known, network)
    weights = read_weights(path, network=known.network, preprocess=preprocess)
    classes = class_names() if weights.network.classes == len(class_names()) else None
    wanted = known.input if preprocess is None else weights.input
    fitted = weights.network.with_input((weights.network.input[0], *wanted.size))
    return replace(weights, name=known.name, source=known.publisher, network=fitted, input=wanted, classes=classes)


def _of_hub(
    given: str, network: str | None, preprocess: str | None, reporter: Reporter | None, *, needs_head: bool
) -> Weights:
    """The weights of a repository of the hub. What is unknown here is told before they are fetched."""
    from deepenough.hub.fetch import commit_of, fetch_weights_from_hub
    from deepenough.weights.published import CONFIG, published_as
    from deepenough.weights.transformers_config import PROCESSOR

    def check(path: Path) -> None:
        if network is not None and network not in NETWORKS:
            raise unknown("network", network, NETWORKS)
        if published_as(path, network) is None and network is None:
            raise DeepenoughError(
                f"weights {given!r}: nothing in that repository says which network it is ({CONFIG} of timm or of "
                "transformers does); fetch its file and give that, with --network where it is asked for"
            )

    path = fetch_weights_from_hub(given, (CONFIG, PROCESSOR), OUR_FILES, check)
    found = read_weights(path, network=network, preprocess=preprocess, needs_head=needs_head)
    commit = commit_of(path)
    name, _, revision = given.partition("@")
    notes = [f"it is of commit {commit}; {name}@{commit} stays this one"] if commit and revision != commit else []
    found = replace(found, name=given, notes=(*found.notes, *notes))
    _say_notes(found, reporter)
    return found


def _say_notes(weights: Weights, reporter: Reporter | None) -> None:
    if reporter is not None:
        for note in weights.notes:
            reporter.say(f"{weights.name}: {note}")


def _whole_name(given: str) -> str:
    """The name of the table, for torchvision's name, and for one without its recipe where only one begins so."""
    of_network = [name for name in NAMED if given and name.startswith(f"{given}.")]
    return of_network[0] if len(of_network) == 1 else ALIASES.get(given, given)


def _check(known: Named, network: str | None) -> None:
    if network not in (None, known.network):
        raise DeepenoughError(
            f"{known.name} is of the network {known.network}, not {network}; leave the network out, "
            "or choose other weights"
        )


def _is_path(given: str) -> bool:
    """Tell whether a file was meant: it has a folder, or a file's ending."""
    return "/" in given or "\\" in given or Path(given).suffix.lower() in WEIGHT_SUFFIXES


def _nowhere(given: str) -> DeepenoughError:
    """The error for what is neither a name nor a file, with near matches among both."""
    if given in GROUPS:
        names = ", ".join(name for name, entry in NAMED.items() if entry.publisher == given)
        return DeepenoughError(f"weights {given!r} are many; give one of them: {names}")
    of_network = [name for name in NAMED if name.startswith(f"{given}.")]
    if of_network:
        return DeepenoughError(f"weights {given!r}: there are several; give one of them: {', '.join(of_network)}")
    files = [entry.name for entry in Path().iterdir() if entry.is_file()]
    near = nearest_in_words(given, [*NAMED, *ALIASES, *files])
    hint = f"{near}; " if near else ""
    return DeepenoughError(
        f"weights {given!r}: neither a file nor a name of the table; {hint}`deepenough weights list` shows the names"
    )
