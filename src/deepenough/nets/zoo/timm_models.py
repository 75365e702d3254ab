"""timm's models that are networks of the zoo."""

from __future__ import annotations

from collections.abc import Mapping

from deepenough.nets.zoo.families import ZOO

TIMM_MODELS: Mapping[str, str] = {theirs: ours for family in ZOO for theirs, ours in family.timm.items()}
"""Networks of the zoo by what timm calls its models."""

_MODELS = {ours: theirs for theirs, ours in TIMM_MODELS.items()}


def timm_model(network: str) -> str | None:
    """The name of timm's model that is a network of the zoo; None where timm has none. Of two names the last one."""
    return _MODELS.get(network)
