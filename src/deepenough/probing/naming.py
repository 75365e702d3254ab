"""Names that tell pretrained networks of one kind apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from deepenough.errors import DeepenoughError
from deepenough.hub import HUB_PREFIX
from deepenough.weights import Weights

LONGEST = 40  # characters of a label: it is a part of the names of folders


def named_apart(
    weights: Sequence[Weights], given: Sequence[str], kept: Mapping[str, str] | None = None
) -> tuple[Weights, ...]:
    """The weights with another name for each network: several of one name have labels of what was `given` behind it.

    `squeezenet1_1-flowers` is the SqueezeNet 1.1 of flowers.pth. A run that goes on passes the names that it `kept`,
    by the SHA-256 of the weights.
    """
    first: dict[str, Weights] = {}
    for each in weights:
        if (same := first.setdefault(each.sha256, each)) is not each:
            raise DeepenoughError(f"--weights {each.name}: the same weights as {same.name}; give each only once")
    found: list[Weights] = []
    for each, label in zip(weights, _labels(weights, given), strict=True):
        names, base = {other.network.name for other in found}, each.network.name
        name = labelled = f"{base}-{label}" if label else base
        number = 1
        while name in names:  # as where a file's network is called like another one with its label
            number += 1
            name = f"{labelled}-{number}"
        name = (kept or {}).get(each.sha256, name)
        found.append(replace(each, network=replace(each.network, name=name)))
    return tuple(found)


def _labels(weights: Sequence[Weights], given: Sequence[str]) -> list[str]:
    """The label of each network behind its name; empty where the name tells it from all others."""
    found = [""] * len(weights)
    for name in {each.network.name for each in weights}:
        alike = [number for number, each in enumerate(weights) if each.network.name == name]
        if len(alike) > 1:
            parts = [_parts(given[number], weights[number]) for number in alike]
            choices = (labels for labels in _choices(parts, name) if len({*map(str.casefold, labels)}) == len(labels))
            for number, label in zip(alike, next(choices, []), strict=False):
                found[number] = label
    return found


def _choices(parts: Sequence[Sequence[str]], network: str) -> Iterator[list[str]]:
    """Labels for files of one network, the shortest first: their names, the folders that they lie in, or both."""
    yield [_label(each[0], network) for each in parts]
    for number in range(1, min(map(len, parts))):
        yield [_label(each[number], network) for each in parts]
    for count in range(2, max(map(len, parts)) + 1):
        yield [_label("-".join(reversed(each[:count])), network) for each in parts]


def _parts(given: str, weights: Weights) -> list[str]:
    """The name of the weights, and of the folders that they lie in, inside out."""
    path = Path(given).expanduser()
    if given.startswith(HUB_PREFIX):
        return given.removeprefix(HUB_PREFIX).split("/")[::-1]
    if not path.exists():
        return [weights.name]
    return [path.stem if path.is_file() else path.name, *(folder.name for folder in path.absolute().parents[:-1])]


def _label(text: str, network: str) -> str:
    """A text as a part of a name, without the network's name at its beginning: of letters, digits and `_.-`."""
    label = re.sub(r"[^\w.-]+", "-", text).strip("-._")
    own = re.match(rf"{re.escape(network)}(?![^\W_])", label, re.IGNORECASE)
    return label[own.end() if own else 0 :].strip("-._")[-LONGEST:].strip("-._")
