"""Checkpoints: the state dicts in whatever a training script saved, told by where tensors lie, not by names of keys."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.pickles import StandIn
from deepenough.weights.torch_file import AnyTensor, AnyTensors, StoredTensor, torch_content

DEEPEST_CONTAINER = 40
"""Containers and modules inside one another that are looked into."""

MOST_PLACES = 1_000_000
"""Entries of containers that are looked at; one container may be in many places."""

WRAPPERS = {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
"""Parts that `torch.compile`, FSDP and activation checkpointing put into names, at any place."""

AVERAGED = re.compile(r"(?<![a-z])(ema|swa|averaged?|shadow)(?![a-z])", re.IGNORECASE)
"""Parts of the names under which scripts keep averages of the weights."""


@dataclass(frozen=True, eq=False)
class SavedState:
    """Tensors by name that lie together in a file; `place` is the path of keys to them, empty for the outermost."""

    place: str
    tensors: AnyTensors


def checkpoint(path: Path) -> list[SavedState]:
    """The state dicts in a file that torch wrote. One that holds none is an error."""
    content, unknown = torch_content(path)
    found = list(state_dicts(content))
    if found:
        return found
    if unknown:
        raise DeepenoughError(
            f"{path} can't be read as tensors alone: it has none by name, but objects of {plain(unknown[0])}, which "
            "were not loaded, since that could run code. Save the state dict: torch.save(model.state_dict(), 'w.pth')"
        )
    raise DeepenoughError(
        f"{path} holds {_what(content)}; expected a state dict, tensors by name. Save one with "
        "torch.save(model.state_dict(), 'weights.pth')"
    )


def state_dicts(content: Any) -> Iterator[SavedState]:
    """The state dicts in what was saved, outermost first. A module is one with its children's tensors."""
    waiting: deque[tuple[str, Any, int]] = deque([("", content, 0)])
    places = 0
    empty: set[int] = set()  # what holds neither: a small file can name a large dict in many places
    while waiting:
        place, value, depth = waiting.popleft()
        same = id(value.content if isinstance(value, StandIn) else value)
        entries = _entries(value) if same not in empty else []
        places += 1 + len(entries)
        if places > MOST_PLACES or depth > DEEPEST_CONTAINER:
            raise DeepenoughError("the file has too many containers in one another; save the state dict alone")
        tensors = dict(_tensors(value, "")) if same not in empty else {}
        if not entries and not tensors:
            empty.add(same)
        if tensors:
            yield SavedState(place, normalised(tensors))
        if not (isinstance(value, StandIn) and tensors):
            waiting += [(f"{place}.{name}" if place else name, inner, depth + 1) for name, inner in entries]


def normalised(tensors: AnyTensors) -> dict[str, AnyTensor]:
    """The tensors by names without control characters, counters and the names of wrappers."""
    names = {name: ".".join(part for part in plain(name).split(".") if part not in WRAPPERS) for name in tensors}
    if len(set(names.values())) < len(names):
        names = {name: plain(name) for name in tensors}
    return {
        names[name]: tensor
        for name, tensor in tensors.items()
        if tensor.ndim  # none is `num_batches_tracked`, SWA's `n_averaged`, or what a metric has counted
    }


def plain(name: str) -> str:
    """The name without what would move a terminal's cursor, and no longer than a line."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in name[:200])


def is_average(place: str) -> bool:
    """Tell whether weights at a place are said to be an average over the training."""
    return AVERAGED.search(place) is not None


def _entries(value: Any) -> list[tuple[str, Any]]:
    """List the containers in a container, by their paths in it."""
    if isinstance(value, StandIn):
        value = value.content
    if isinstance(value, Mapping):
        items = [(str(name)[:200], inner) for name, inner in value.items() if isinstance(name, (str, int))]
    elif isinstance(value, (list, tuple)):
        items = [(str(number), inner) for number, inner in enumerate(value)]
    else:
        return []
    return [(plain(name), inner) for name, inner in items if isinstance(inner, (Mapping, StandIn, list, tuple))]


def _tensors(value: Any, prefix: str, depth: int = 0) -> Iterator[tuple[str, AnyTensor]]:
    """The tensors of a state dict, or of a module with its children, whose attributes are called like torch's."""
    content: Any = value.content if isinstance(value, StandIn) else value
    if not isinstance(content, Mapping) or depth > DEEPEST_CONTAINER:
        return
    inner = isinstance(value, StandIn)
    if inner and isinstance(content.get("_modules"), Mapping):  # a module of Python's, with tables of all it has
        tables = (content.get(table) for table in ("_parameters", "_buffers", "_modules"))
        content = {key: part for table in tables if isinstance(table, Mapping) for key, part in table.items()}
    for name, part in content.items():
        if isinstance(part, (Tensor, StoredTensor)) and isinstance(name, str):
            yield prefix + name[:200], part
        elif inner and isinstance(part, StandIn):
            yield from _tensors(part, f"{prefix}{name}.", depth + 1)


def _what(content: object) -> str:
    if isinstance(content, Mapping):
        return f"a {type(content).__name__} of {', '.join(plain(str(key)) for key in list(content)[:5]) or 'nothing'}"
    return f"a {type(content).__name__}"
