"""The networks that a budget reaches, in words. English: the terminal's."""

from __future__ import annotations

from deepenough.language import listed
from deepenough.record import Plan


def reach_text(plan: Plan) -> str:
    """Of which networks an answer can speak, and what it can say of the larger ones; empty where all are trained.

    >>> rows = [dict(name=f"residual-{n}", depth=n, images=1, seconds=1, memory=0) for n in (3, 7, 11, 19)]
    >>> names = [row["name"] for row in rows]
    >>> some = Plan(architectures=rows, least=5, most=90, memory=0, within_reach=names, short_looks=names[2:])
    >>> reach_text(some)[:75]
    'the budget guarantees only a short look at residual-11, residual-19: what t'
    """
    missing = out_of_reach(plan)
    if missing or not plan.short_looks:
        return missing
    return (
        f"the budget guarantees only a short look at {listed(plan.short_looks)}: what that can't rule out is trained "
        'where the rest of the budget holds it, and otherwise the answer is "enough among" those that were trained; '
        "a larger --budget trains more of them"
    )


def out_of_reach(plan: Plan) -> str:
    """Of how many networks an answer can speak, where the budget is too small for all of them."""
    left = [row for row in plan.architectures if row.name not in plan.within_reach]
    if not plan.within_reach or not left:
        return ""
    return (
        f"the budget lets the search look at {len(plan.within_reach)} of {len(plan.architectures)} networks, so the "
        "answer can speak of these only: a larger --budget lets it look at all"
    )
