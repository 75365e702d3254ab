"""An estimate of the time and memory of a search: a few measured steps, times what is planned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepenough.autotuning.memory_estimate import fitting_micro_batch, step_bytes
from deepenough.record import Plan
from deepenough.record.schema import Planned
from deepenough.report.text import duration, estimated
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import CandidateTrainer
from deepenough.search.cut_search import cuts_within_reach
from deepenough.search.enough_search import AT_LEAST, within_reach
from deepenough.search.question import Question
from deepenough.training.device import choose_device
from deepenough.training.memory import available_memory, peak_memory

MEASURED_ARCHITECTURES = 3  # architectures: what others take follows from their multiply-accumulates


def estimate(
    question: Question, search_space: Sequence[Architecture], trainer: CandidateTrainer, time_limit: float | None
) -> Plan:
    """Estimate the time and memory of a search from a few steps of some architectures.

    The time lies between the fewest trainings that can answer (unless the first is right about nearly all images) and
    all that the budget allows.
    """
    device = choose_device(trainer.recipe.device).type
    # Before steps are measured, which take what trainings will take.
    already = peak_memory() or 0 if device == "cpu" else 0
    step = max((len(search_space) - 1) // (MEASURED_ARCHITECTURES - 1), 1)
    known = search_space[: step * MEASURED_ARCHITECTURES : step]
    macs = [architecture.macs for architecture in known]
    measured = [trainer.configuration(architecture) for architecture in known]
    batch, free = trainer.recipe.batch, available_memory() if device == "cpu" else None
    at_once = min((each.micro_batch for each in measured if each.micro_batch), default=batch)  # images, as was found

    def seconds(architecture: Architecture, images: float) -> float:
        """Of training steps on so many images, and the first one."""
        pace = _interpolated(architecture.macs, macs, [each.seconds for each in measured])
        return _interpolated(architecture.macs, macs, [each.first for each in measured]) + images * pace

    def planned(architecture: Architecture) -> Planned:
        images = trainer.steps_images(architecture)
        most = fitting_micro_batch(architecture.network, batch, free) or batch
        return Planned.of(
            architecture,
            images=images,
            seconds=seconds(architecture, images),
            memory=step_bytes(architecture.network, min(most, at_once)),
        )

    def again(architecture: Architecture) -> float:
        """Seconds of training it once more on all images, where folds make that necessary."""
        images = trainer.retraining(architecture) / (3 * architecture.macs)
        return seconds(architecture, images) if images else 0.0

    reach = cuts_within_reach if question.weights else within_reach
    rows = [planned(architecture) for architecture in search_space]
    whole = sum(row.seconds for row in rows)
    if question.target is None:
        least, most = sum(row.seconds for row in rows[:AT_LEAST]), question.budget * whole
    else:
        least, most = rows[0].seconds, whole
    least, most = least + again(search_space[0]), max(most, least) + again(search_space[-1])
    if time_limit is not None:
        least, most = min(least, time_limit), min(most, time_limit)
    return Plan(
        architectures=rows,
        least=least,
        most=most,
        memory=already + max(row.memory for row in rows),
        within_reach=[] if question.target else [each.name for each in reach(question, search_space, trainer)],
    )


def estimate_text(plan: Plan | None) -> str:
    """The estimate in a line."""
    if plan is None:
        return ""
    first = plan.architectures[0]
    return (
        f"estimate: {estimated(plan)} of training "
        f"(depth {first.depth}: {duration(first.seconds)}), {plan.memory / 1e9:.1f} GB of memory{_reach_text(plan)}"
    )


def _reach_text(plan: Plan) -> str:
    """Of which networks an answer can speak, where the budget is too small for all of them."""
    left = [row for row in plan.architectures if row.name not in plan.within_reach]
    if not plan.within_reach or not left:
        return ""
    return (
        f"; the budget lets the search look at {len(plan.within_reach)} of {len(plan.architectures)} networks, so the "
        "answer can speak of these only: a larger --budget lets it look at all"
    )


def _interpolated(macs: int, known: Sequence[int], paces: Sequence[float]) -> float:
    """Seconds, between measured networks by their multiply-accumulates, beyond them in proportion."""
    order = np.argsort(known)
    x, y = np.asarray(known, float)[order], np.asarray(paces)[order]
    if macs > x[-1]:
        return float(y[-1] * macs / x[-1])
    return float(np.interp(macs, x, y))
