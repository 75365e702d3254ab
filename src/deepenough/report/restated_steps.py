"""The steps of a search and the ends of trainings, made anew from the record's figures for a page in another language.

Each function gives None where the figures don't tell enough: the page then shows the record's own sentence.
"""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.language import listed, translation
from deepenough.record import Record
from deepenough.record.schema import CandidateRecord, EventRecord
from deepenough.report.text import percent, signed_points, unsigned_points, value


def step_title(record: Record, step: EventRecord) -> str | None:
    """A step of the search: its deed and the network."""
    figures = step.figures
    if "chosen" in figures:
        return _("%(chosen)s against %(whole)s", chosen=figures["chosen"], whole=figures["whole"])
    if "networks" in figures:
        return _("left out %(networks)s", networks=listed(_names(step, "networks")))
    names = {each.name for each in (*record.candidates, *record.search_space)}
    deed, _space, name = step.what.rpartition(" ")
    if deed == "skipped depth":
        return _("skipped depth %(depth)s", depth=name)
    if name not in names and deed not in ("skipped", "trying"):
        return translation(step.what)
    return {
        "trained": _("trained %(network)s", network=name),
        "skipped": _("skipped %(network)s", network=name),
        "finishing": _("finishing %(network)s", network=name),
        "trying": _("trying %(network)s", network=name),
        "beginning with": _("beginning with %(network)s", network=name),
        "looked at": _("looked at %(network)s", network=name),
        "looked ahead at": _("looked ahead at %(network)s", network=name),
        "no look at": _("no look at %(network)s", network=name),
        "another seed for": _("another seed for %(network)s", network=name),
    }.get(deed)


def step_reason(record: Record, step: EventRecord) -> str | None:
    """The reason of a step, or for a training its accuracy and how it ended."""
    figures = step.figures
    if "trained" in figures:
        said = _("%(accuracy)s on the decision images", accuracy=percent(_number(step, "trained")))
        ended = _ending(record, str(figures["ended"]), round(_number(step, "folds")))
        return None if ended is None else _(", ").join(filter(None, [said, ended]))
    trained = next((each for each in record.candidates if step.what == f"trained {each.name}"), None)
    measured = None if trained is None else value(record, trained)
    if measured is not None and step.why == f"{percent(measured)} on the decision images":
        return _("%(accuracy)s on the decision images", accuracy=percent(measured))
    return _by_figures(record, step) or translation(step.why)


def _by_figures(record: Record, step: EventRecord) -> str | None:
    figures = step.figures
    if "gain" in figures or "highest" in figures:
        return _short_training(step)
    if "share" in figures:
        share, budget = percent(_number(step, "share"), 0), percent(record.question.budget, 0)
        return (
            _(
                "the search would then cost %(share)s of training the whole search space, students taken in, over its "
                "budget of %(budget)s",
                share=share, budget=budget,
            )
            if figures.get("students")
            else _(
                "the search would then cost %(share)s of training the whole search space, over its budget of "
                "%(budget)s",
                share=share, budget=budget,
            )
        )  # fmt: skip
    if "accuracy" in figures:
        return _(
            "%(accuracy)s (at least %(lower)s) leaves less than the margin of %(margin)s points to gain",
            accuracy=percent(_number(step, "accuracy")),
            lower=percent(_number(step, "lower")),
            margin=unsigned_points(record.question.margin),
        )
    if "mistakes" in figures:
        return _(
            "%(network)s is wrong on %(share)s, below the margin of %(margin)s points: no larger network is likely to "
            "change the answer, and a short look could not show that",
            network=figures["network"],
            share=percent(_number(step, "mistakes")),
            margin=unsigned_points(record.question.margin),
        )
    if "too_dear" in figures:
        return _end_of_climb(step)
    if "begin" in figures:
        return _beginning(record, str(figures["begin"]))
    if "teacher" in figures:
        return _("it learns from the logits of %(teacher)s, too", teacher=figures["teacher"])
    if reason := _not_distilled(step):
        return reason
    if "gained" in figures:
        pairs = zip(_names(step, "families"), _names(step, "gained"), strict=True)
        gained = [_("%(points)s points of %(network)s", points=points, network=family) for family, points in pairs]
        return _(
            "as much as fine-tuning has gained over a probe so far (%(gained)s) would not make them the answer",
            gained=listed(gained),
        )
    return _saved(record, step) if "loss" in figures else None


def _not_distilled(step: EventRecord) -> str | None:
    """The reason why no network learned from another one, where it names networks."""
    figures = step.figures
    if "smallest" in figures:
        return _(
            "of the networks trained in full, none smaller than %(network)s can learn from %(teacher)s, the most "
            "accurate",
            network=figures["smallest"],
            teacher=figures["most_accurate"],
        )
    if "other_images" in figures:
        return _(
            "%(network)s takes other images than %(teacher)s, the most accurate, and can't learn from it",
            network=figures["other_images"],
            teacher=figures["most_accurate"],
        )
    return _("%(network)s is enough without a teacher", network=figures["enough"]) if "enough" in figures else None


def _short_training(step: EventRecord) -> str:
    """The result of a scout, which was grown from a parent."""
    grown = _(
        "grown from %(parent)s and trained for %(epochs)s epochs",
        parent=step.figures["parent"],
        epochs=f"{_number(step, 'epochs'):g}",
    )
    if "gain" in step.figures:
        gain = _number(step, "gain")
        figures = {"grown": grown, "points": unsigned_points(abs(gain))}
        if gain >= 0:
            return _("%(grown)s, it is %(points)s points above the best", **figures)
        return _("%(grown)s, it is %(points)s points below the best", **figures)
    figures = {"grown": grown, "highest": percent(_number(step, "highest"))}
    if step.figures["ruled_out"]:
        return _("%(grown)s, it may reach at most %(highest)s in full: deeper networks are ruled out", **figures)
    return _("%(grown)s, it may reach at most %(highest)s in full: going deeper may help", **figures)


def _end_of_climb(step: EventRecord) -> str:
    out, dear = _names(step, "ruled_out"), _names(step, "too_dear")
    parts = [_("%(networks)s can't be expected to reach the target", networks=listed(out))] if out else []
    if dear:
        parts.append(_("training %(networks)s in full would exceed the budget", networks=listed(dear)))
    return _("; ").join(parts)


def _beginning(record: Record, reason: str) -> str:
    """The reason for the cut that a search for a target begins with, where no probe of the search space reaches it."""
    target = percent(record.question.target or 0.0)
    return {
        "usual": _(
            "no probe of the search space reaches %(target)s; it is the smallest that would if fine-tuning corrected a "
            "quarter of its mistakes",
            target=target,
        ),
        "most": _(
            "no probe of the search space reaches %(target)s; of the best cuts of each network it is the smallest "
            "that would if fine-tuning corrected half of its mistakes",
            target=target,
        ),
        "best": _("no probe of the search space reaches %(target)s; its probe is the most accurate", target=target),
    }[reason]


def _saved(record: Record, step: EventRecord) -> str | None:
    """The comparison of the cut that was chosen with the whole network."""
    known = {each.name: each for each in record.candidates}
    chosen, whole = (known.get(str(step.figures[name])) for name in ("chosen", "whole"))
    if chosen is None or whole is None:
        return None
    loss = _number(step, "loss")
    figures = {
        "points": unsigned_points(abs(loss)),
        "low": signed_points(-_number(step, "upper")),
        "high": signed_points(-_number(step, "lower")),
        "layers": whole.depth - chosen.depth,
        "parameters": percent(1 - chosen.parameters / whole.parameters, 0),
        "macs": percent(1 - chosen.macs / whole.macs, 0),
    }
    if loss > 0:
        return _(
            "the cut is %(points)s points less accurate on the same images (between %(low)s and %(high)s), and saves "
            "%(layers)s layers, %(parameters)s of the parameters and %(macs)s of the multiply-accumulates",
            **figures,
        )
    return _(
        "the cut is %(points)s points more accurate on the same images (between %(low)s and %(high)s), and saves "
        "%(layers)s layers, %(parameters)s of the parameters and %(macs)s of the multiply-accumulates",
        **figures,
    )


def candidate_reason(record: Record, candidate: CandidateRecord) -> str | None:
    """The reason why a training ended before its end."""
    return _ending(record, candidate.why, len(candidate.trainings))


def _ending(record: Record, why: str, done_folds: int) -> str | None:
    """The reason `why` a training ended after so many folds, in the current language; empty where there is none."""
    if not why:
        return ""
    done = f"ended after {done_folds} of {record.decision_images.folds} folds"
    figures = {"done": done_folds, "folds": record.decision_images.folds}
    margin = unsigned_points(record.question.margin)
    return {
        f"{done}: shown to miss the target": _(
            "ended after %(done)s of %(folds)s folds: shown to miss the target", **figures
        ),
        f"{done}: shown to be more than {margin} points worse than another cut": _(
            "ended after %(done)s of %(folds)s folds: shown to be more than %(margin)s points worse than another cut",
            margin=margin,
            **figures,
        ),
        f"{done}: the next one would exceed the budget": _(
            "ended after %(done)s of %(folds)s folds: the next one would exceed the budget", **figures
        ),
    }.get(why) or translation(why)


def _number(step: EventRecord, name: str) -> float:
    found = step.figures[name]
    assert isinstance(found, int | float)
    return found


def _names(step: EventRecord, name: str) -> list[str]:
    found = step.figures[name]
    assert isinstance(found, list)
    return found
