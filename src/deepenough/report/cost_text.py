"""The cost of a search beside its estimate, as text."""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.record import Plan, Record
from deepenough.report import text as words


def cost(record: Record) -> str:
    """The cost of the search, with its two ratios."""
    jobs = int(record.environment.get("jobs", "1"))
    side_by_side = _(" (%(jobs)s trainings side by side, their times added up)", jobs=jobs) if jobs > 1 else ""
    if record.cost is None:
        seconds = sum(candidate.seconds for candidate in record.candidates)
        spent = sum(candidate.cost for candidate in record.candidates)
        return _(
            "so far %(spent)s multiply-accumulates in %(time)s of training%(jobs)s",
            spent=words.amount(spent),
            time=words.duration(seconds),
            jobs=side_by_side,
        )
    cost = record.cost
    text = _(
        "%(spent)s multiply-accumulates in %(time)s of training%(jobs)s: %(times)s times training "
        "%(networks)s%(reasons)s, %(share)s of training the whole search space",
        spent=words.amount(cost.spent),
        time=words.duration(cost.seconds),
        jobs=side_by_side,
        times=f"{cost.times_chosen:.{2 if cost.times_chosen < 10 else 0}f}",
        networks=_alone(record),
        reasons=_why_so_much(record),
        share=words.percent(cost.share_of_space, 0),
    )
    if cost.final:
        text += _(" (retraining on all images but test: %(cost)s)", cost=words.amount(cost.final))
    return text + _beside_the_estimate(record.plan, jobs)


def _alone(record: Record) -> str:
    """The trainings that the search's cost is compared with."""
    return _("its teacher and the chosen network alone") if words.teacher(record) else _("the chosen network alone")


def _beside_the_estimate(plan: Plan | None, jobs: int) -> str:
    """The estimate from before the first training, and the time that the networks trained were expected to take."""
    if plan is None or not plan.expected or not plan.seconds:
        return ""
    expected = words.duration(plan.expected)
    if plan.no_time:
        return _(
            "; by the estimate nothing more could be trained within the time limit, and the networks trained take "
            "%(expected)s",
            expected=expected,
        )
    if jobs > 1:  # the estimate is the time that passes
        return _(
            "; the estimate was %(estimate)s side by side, and %(expected)s added up for the networks trained",
            estimate=estimated(plan),
            expected=expected,
        )
    return _(
        "; the estimate was %(estimate)s, and %(expected)s for the networks trained",
        estimate=estimated(plan),
        expected=expected,
    )


def _why_so_much(record: Record) -> str:
    """The reasons why a search costs many trainings of its answer, in brackets."""
    images = record.decision_images
    reasons = [_("%(folds)s folds", folds=images.folds)] if images is not None and images.folds > 1 else []
    if record.decision is not None:
        chosen = record.candidate(record.decision.chosen)
        largest = max(record.candidates, key=lambda candidate: candidate.macs)
        if largest.macs >= 2 * chosen.macs:
            times = f"{largest.macs / chosen.macs:.0f}"
            reasons.append(_("%(network)s costs %(times)s times as much", network=largest.name, times=times))
    return _(" (%(reasons)s)", reasons=_("; ").join(reasons)) if reasons else ""


def estimated(plan: Plan) -> str:
    """The estimated time of the search, before anything was trained."""
    few, many = words.duration(plan.least), words.duration(plan.most)
    return few if few == many else _("%(low)s to %(high)s", low=few, high=many)
