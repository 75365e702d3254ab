"""The advice to export the network as a limit of the run took it to be stored."""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.record import Record
from deepenough.search.limits import StoredAs
from deepenough.units import size_text


def export_advice(record: Record) -> list[str]:
    """Name the command that writes weights as the limit counts them; nothing where that is float32, as `model/` is."""
    limits = record.limits
    if limits is None or limits.size is None or limits.size_as == StoredAs.FLOAT32:
        return []
    return [
        _(
            "the limit of %(size)s is for weights as %(stored)s, those in model/ are float32: "
            "`deepenough export RUN --to onnx --%(stored)s` writes them so",
            size=size_text(limits.size), stored=limits.size_as,
        )
    ]  # fmt: skip
