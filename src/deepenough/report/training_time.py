"""The time that the trainings of a search take by its estimate, in words. English: the terminal's."""

from __future__ import annotations

from deepenough.record import Plan
from deepenough.report.cost_text import estimated


def training_time(plan: Plan) -> str:
    """The time of all trainings, or that the time limit leaves none for them.

    >>> training_time(Plan(architectures=[], least=5, most=90, memory=0))
    '5.0 s to 90 s of training'
    """
    if plan.no_time:
        return "nothing more can be trained within the time limit"
    return f"{estimated(plan)} of training"
