"""The candidates of a record as the figures join them by lines."""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.record import Record
from deepenough.record.schema import CandidateRecord
from deepenough.report import text as words
from deepenough.report.plotting import safe


def candidate_groups(record: Record) -> list[tuple[str, list[CandidateRecord]]]:
    """Measured candidates by family and width, shallow first."""
    groups: dict[tuple[str, float], list[CandidateRecord]] = {}
    for candidate in record.candidates:
        if words.value(record, candidate) is not None:
            groups.setdefault((candidate.family, candidate.width), []).append(candidate)
    several = len({width for family, width in groups}) > 1
    return [
        (
            safe(_("%(family)s, width %(width)s", family=family, width=f"{width:g}") if several else family),
            sorted(group, key=lambda c: (c.depth, c.seed)),
        )
        for (family, width), group in groups.items()
    ]


def comparable_groups(record: Record) -> list[tuple[str, list[CandidateRecord]]]:
    """As `candidate_groups`, those that a line may join: alike in seed, start, length of training and images judged."""
    groups = [(name, [c for c in group if words.comparable(c)]) for name, group in candidate_groups(record)]
    return [(name, group) for name, group in groups if group]
