"""A torch module with what a model of it needs: its network where it can be read, classes, and preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
        classes: tuple[str, ...],
        shape: tuple[int, int, int] | None,
        preprocess: Preprocessing | str | None,
    ) -> GivenModule:
        """Read a module, and check that it gives a logit for each of the classes."""
        module = check_module(module, "Model.from_module(): it")
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
