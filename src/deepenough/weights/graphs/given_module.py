"""A torch module with what a model of it needs: its network where it can be read, classes, and preprocessing."""

from __future__ import annotations

from collections.abc import ItemsView, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from types import NoneType
from typing import Any

from torch import nn

from deepenough.errors import DeepenoughError
from deepenough.nets.network import Network
from deepenough.preprocessing import Preprocessing
from deepenough.weights.graphs.described import Described
from deepenough.weights.graphs.graph import GraphError
from deepenough.weights.graphs.torch_module import (
    check_logits,
    check_module,
    check_preparation,
    in_float32,
    read_module,
)
from deepenough.weights.inputs import described_input, timm_configuration


@dataclass(frozen=True, eq=False)
class GivenModule:
    """A module of the user's: `described` is None where it can't be read as layers of ours, for the reason `unread`.

    `module` is the module itself, in float32.
    `placeholder` is a network with its name and input, and no layers.
    """

    module: nn.Module
    placeholder: Network
    classes: tuple[str, ...]
    preprocess: Preprocessing
    described: Described | None
    unread: str = ""

    @classmethod
    def of(
        cls,
        module: nn.Module,
        given: Iterable[Any],
        shape: tuple[int, int, int] | None,
        preprocess: Preprocessing | str | None,
    ) -> GivenModule:
        """Read a module, and check that it gives a logit for each of the classes that are `given`."""
        module = check_module(module, "Model.from_module(): it")
        classes, shape = _names(given), _sides(shape)
        if not isinstance(preprocess, (Preprocessing, str, NoneType)):
            raise DeepenoughError(
                f"Model.from_module(): preprocess={preprocess!r:.60}; expected a `deepenough.Preprocessing` or "
                'a name, as "torchvision"'
            )
        config = timm_configuration(module)
        module, _ = in_float32(module)
        known = preprocess if isinstance(preprocess, Preprocessing) else config
        sides = shape or (None if known is None else known.shape)
        if sides is None:
            raise DeepenoughError(
                "Model.from_module(): nothing says which images the module takes; give input=(channels, height, width)"
            )
        placeholder = Network(type(module).__name__, sides, ())
        count = check_logits(module, sides)
        if count != len(classes) or len(set(classes)) != count:
            raise DeepenoughError(
                f"Model.from_module(): the module gives {count} logits, and there are {len(set(classes))} different "
                f"classes in {len(classes)}; give the name of each, in their order"
            )
        found, why = None, ""
        try:
            found = read_module(module, sides)
        except GraphError as error:
            why = str(error)
        name = preprocess if isinstance(preprocess, str) else None
        stated = (found.input if found is not None else None) or known or Preprocessing.untrained(sides)
        if isinstance(preprocess, Preprocessing):
            stated = preprocess
        wanted = described_input(Path(placeholder.name), name, placeholder, stated)
        if found is not None:
            check_preparation(f"Model.from_module(): {placeholder.name}", found.input, wanted)
        if wanted.shape != sides:
            raise DeepenoughError(
                f"Model.from_module(): the preprocessing gives images of {wanted.shape}, and the module takes {sides}"
            )
        return cls(module, placeholder, classes, wanted, found, why)


def _names(classes: Any) -> tuple[str, ...]:
    """The names of classes that a user gives in a list, or in a dict with their indices; numbers as they are written.

    A set has no order, though views of dicts, which are sets to Python, do.
    """
    if isinstance(classes, Mapping) and sorted(map(str, classes.values())) == sorted(map(str, range(len(classes)))):
        classes = sorted(classes, key=lambda name: int(classes[name]))
    no_list = (str, bytes, Mapping, set, frozenset, ItemsView)
    if isinstance(classes, no_list) or not isinstance(classes, Iterable):
        raise DeepenoughError(
            f"Model.from_module(): classes={classes!r:.60}; expected a list of the names of the classes, in "
            'the order of the logits, as ["cat", "dog"], or their indices by name, as {"cat": 0, "dog": 1}'
        )
    return tuple(str(name) for name in classes)


def _sides(shape: Any) -> tuple[int, int, int] | None:
    """Channels, height and width that a user gives; None where nothing is given."""
    if shape is None:
        return None
    sides = list(shape) if isinstance(shape, Iterable) and not isinstance(shape, (str, bytes)) else []
    if len(sides) != 3 or not all(isinstance(side, Integral) and int(side) > 0 for side in sides):
        raise DeepenoughError(
            f"Model.from_module(): input={shape!r:.60}; expected (channels, height, width), as (3, 224, 224)"
        )
    channels, height, width = map(int, sides)
    return channels, height, width
