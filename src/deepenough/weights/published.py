"""The network that a publisher's `config.json` beside a file of weights states: timm's, or transformers'."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.nets.network import Network
from deepenough.preprocessing import Preprocessing

CONFIG = "config.json"


class UnknownNetworkError(DeepenoughError):
    """A configuration of a network that is not known here."""


@dataclass(frozen=True, eq=False)
class Published:
    """A network of the zoo, as a publisher's configuration states it.

    `source` is the publisher; `input` the images, None where nothing says so; `classes` their names where they are
    known; `notes` say what is otherwise here, a line each.
    """

    source: str
    network: Network
    input: Preprocessing | None
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def published(path: Path) -> Published | None:
    """The network that the configuration beside a file of weights states; None where there is none of a publisher.

    A network that is not known here is an error by its name: another one may have the same tensors and compute
    something else with them.
    """
    from deepenough.weights.inputs import json_beside
    from deepenough.weights.timm_config import is_timms, timms_network
    from deepenough.weights.transformers_config import PROCESSOR, is_transformers, transformers_network

    document, file = json_beside(path, CONFIG), path.with_name(CONFIG)
    if is_timms(document):
        return timms_network(document, file)
    if is_transformers(document):
        return transformers_network(document, json_beside(path, PROCESSOR), file)
    return None


def published_as(path: Path, network: str | None) -> Published | None:
    """As `published`, where the user may have said which `network` it is: one that is not known here is then no error,
    and another one is."""
    try:
        stated = published(path)
    except UnknownNetworkError:
        if network is None:
            raise
        return None
    if stated is not None and network not in (None, stated.network.name):
        raise DeepenoughError(
            f"{path} is of the network {stated.network.name}, as {path.with_name(CONFIG)} says, not of {network}"
        )
    return stated


def distinct(names: Mapping[int, Any]) -> tuple[str, ...] | None:
    """The names of classes by their numbers, those that occur again with the number; None where one is missing."""
    if sorted(names) != list(range(len(names))) or not names:
        return None
    ordered = [str(names[number]) for number in range(len(names))]
    first: dict[str, int] = {}
    for number, name in enumerate(ordered):
        first.setdefault(name, number)
    found = tuple(f"{name} ({n})" if first[name] < n else name for n, name in enumerate(ordered))
    return found if len(set(found)) == len(found) else None
