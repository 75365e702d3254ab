"""The layers of the chosen network that kept their pretrained weights, in a sentence."""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.record import Record


def frozen(record: Record) -> str | None:
    """Say how many of its layers were not trained, or that the share of `--freeze` held none; nothing without it."""
    if record.decision is None:
        return None
    chosen, share = record.candidate(record.decision.chosen), record.recipe.get("freeze")
    if chosen.frozen is None or not share:
        return None
    share = f"{share:g}"
    if not chosen.frozen:
        return _(
            "All layers were trained: no whole block fits in the share to freeze (--freeze %(share)s)", share=share
        )
    return _(
        "Weighted layers that kept their pretrained weights: the first %(frozen)s of %(layers)s (--freeze %(share)s)",
        frozen=chosen.frozen,
        layers=len(chosen.layers),
        share=share,
    )
