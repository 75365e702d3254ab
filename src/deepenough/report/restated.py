"""Sentences that the record holds in English, made anew from its figures for a page in another language.

Each function gives None where the figures don't tell enough: the page then shows the record's own sentence.
"""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.language import listed, translation
from deepenough.record import DecisionKind, Record
from deepenough.record.schema import Baseline, ComparisonRecord, EventRecord, TargetCheckRecord
from deepenough.report.text import images, percent, value
from deepenough.units import count_text, latency_text, size_text


def answer_text(record: Record) -> str | None:
    """The decision, and the comparison or check that it rests on."""
    decision = record.decision
    if decision is None:
        return None
    check = next((each for each in decision.target_checks if each.candidate == decision.chosen), None)
    pair = next((each for each in decision.comparisons if each.candidate == decision.chosen), None)
    text: str | None
    if check is not None:
        text = _against_target(record, check)
    elif pair is not None:
        text = _against_others(record, pair)
    else:
        return None
    if text is not None and len(decision.not_ruled_out) > 1:
        text += _(
            "; the smallest network that is enough is one of %(networks)s (95%% confidence)",
            networks=listed(decision.not_ruled_out),
        )
    return None if text is None else _("%(words)s.", words=text)


def _against_target(record: Record, check: TargetCheckRecord) -> str:
    target, count = percent(record.question.target or 0.0), f"{check.images:,}"
    bound, confidence = percent(check.lower), percent(1 - check.alpha)
    if check.shown:
        return _(
            "%(network)s is enough: shown on %(count)s images to reach %(target)s (at least %(bound)s, %(confidence)s "
            "bound)",
            network=check.candidate, count=count, target=target, bound=bound, confidence=confidence,
        )  # fmt: skip
    accuracy = percent(check.value)
    if not check.seems:
        return _(
            "no network tried reached %(target)s; the best is %(network)s with %(accuracy)s",
            target=target, network=check.candidate, accuracy=accuracy,
        )  # fmt: skip
    return _(
        "%(network)s seems to reach %(target)s: %(accuracy)s on %(count)s images, but that is not shown",
        network=check.candidate, target=target, accuracy=accuracy, count=count,
    )  # fmt: skip


def _against_others(record: Record, pair: ComparisonRecord) -> str | None:
    assert record.decision is not None
    kind, network, upper = record.decision.kind, pair.candidate, _points(pair.upper)
    margin = _points(record.question.margin)
    if kind is DecisionKind.SHOWN and pair.enough and pair.upper < 0:
        return _(
            "%(network)s is enough: shown on %(images)s to be at least %(lead)s points better than any other trained "
            "in full",
            network=network, images=images(record), lead=_points(-pair.upper),
        )  # fmt: skip
    if kind is DecisionKind.SHOWN and pair.enough:
        return _(
            "%(network)s is enough: shown on %(images)s to be at most %(upper)s points worse than any other trained in "
            "full, below the margin of %(margin)s points",
            network=network, images=images(record), upper=upper, margin=margin,
        )  # fmt: skip
    if kind is DecisionKind.AMONG and pair.enough and pair.upper < 0:
        return _(
            "%(network)s is enough among the networks trained in full: shown to be at least %(lead)s points better "
            "than any other of them; too little is known of the others",
            network=network, lead=_points(-pair.upper),
        )  # fmt: skip
    if kind is DecisionKind.AMONG and pair.enough:
        return _(
            "%(network)s is enough among the networks trained in full: shown to be at most %(upper)s points worse than "
            "any of them, below the margin of %(margin)s points; too little is known of the others",
            network=network, upper=upper, margin=margin,
        )  # fmt: skip
    if kind is DecisionKind.SEEMS:
        return _(
            "%(network)s seems enough, but may be up to %(upper)s points worse than %(best)s",
            network=network, upper=upper, best=pair.best,
        )  # fmt: skip
    return None


def comparison(record: Record, pair: ComparisonRecord) -> str:
    """The conclusion of a comparison."""
    if pair.enough and pair.upper < 0:
        lead = _points(-pair.upper)
        return _("shown to be enough: at least %(lead)s points better than any other trained in full", lead=lead)
    if pair.enough:
        return _(
            "shown to be enough: at most %(upper)s points worse than any other trained in full, below the margin",
            upper=_points(pair.upper),
        )
    if not pair.not_shown_worse:
        margin = _points(record.question.margin)
        return _("shown to be more than %(margin)s points worse than %(best)s", margin=margin, best=pair.best)
    return _(
        "not shown: it may be up to %(upper)s points worse than %(best)s", upper=_points(pair.upper), best=pair.best
    )


def target_check(check: TargetCheckRecord) -> str:
    """The conclusion of a check against the target."""
    bound = percent(check.lower)
    if check.shown:
        return _(
            "shown to meet it: at least %(bound)s, %(confidence)s bound",
            bound=bound,
            confidence=percent(1 - check.alpha),
        )
    if not check.seems:
        return _("does not meet it: %(accuracy)s", accuracy=percent(check.value))
    if check.alpha == 0:
        return _("seems to meet it, but the looks before it have spent the chance of an error")
    if check.images_to_settle is None:
        return _("seems to meet it, but may be as low as %(bound)s; more decision images would settle it", bound=bound)
    return _(
        "seems to meet it, but may be as low as %(bound)s; about %(count)s decision images would settle it",
        bound=bound,
        count=f"{check.images_to_settle:,}",
    )


def latency_conditions(record: Record) -> str | None:
    """The conditions under which latency was measured."""
    found = record.latency
    if found is None:
        return None
    return _(
        "Latency was measured in %(runtime)s with %(threads)s threads, %(batch)s images at once; the table of "
        "comparisons has its medians.",
        runtime=found.version, threads=found.threads, batch=found.batch,
    )  # fmt: skip


def limits(record: Record) -> str | None:
    """The limits that the networks keep, and those that were left out."""
    found = record.limits
    if found is None:
        return None
    kept = [
        *([_("latency at most %(limit)s", limit=latency_text(found.latency))] if found.latency is not None else []),
        *([_("at most %(limit)s parameters", limit=count_text(found.parameters))] if found.parameters else []),
        *([_("weights of at most %(limit)s", limit=size_text(found.size))] if found.size is not None else []),
    ]
    everything = _(", ").join(kept)
    if not found.left_out:
        return _("All networks keep the limits: %(limits)s.", limits=everything)
    names = listed(each.name for each in found.left_out)
    return _("Limits: %(limits)s. Left out as over them: %(networks)s.", limits=everything, networks=names)


def step_title(record: Record, step: EventRecord) -> str | None:
    """A step of the search: its deed and the network."""
    names = {each.name for each in (*record.candidates, *record.search_space)}
    deed, _space, name = step.what.rpartition(" ")
    if name not in names:
        return translation(step.what)
    return {
        "trained": _("trained %(network)s", network=name),
        "skipped": _("skipped %(network)s", network=name),
        "finishing": _("finishing %(network)s", network=name),
        "trying": _("trying %(network)s", network=name),
        "looked at": _("looked at %(network)s", network=name),
        "looked ahead at": _("looked ahead at %(network)s", network=name),
        "no look at": _("no look at %(network)s", network=name),
        "another seed for": _("another seed for %(network)s", network=name),
    }.get(deed)


def step_reason(record: Record, step: EventRecord) -> str | None:
    """The reason of a step, or for a training its accuracy."""
    trained = next((each for each in record.candidates if step.what == f"trained {each.name}"), None)
    measured = None if trained is None else value(record, trained)
    if measured is not None and step.why == f"{percent(measured)} on the decision images":
        return _("%(accuracy)s on the decision images", accuracy=percent(measured))
    return translation(step.why)


def baseline_note(baseline: Baseline) -> str | None:
    """The images that a baseline was trained on."""
    count = f"{baseline.trained_on:,}"
    if baseline.note == f"{count} training images":
        return _("%(count)s training images", count=count)
    return translation(baseline.note)


def mirroring(record: Record) -> str | None:
    """The decision whether training images are mirrored, with its reason."""
    found = record.mirroring
    if found is None:
        return None
    count = f"{found.images:,}"
    reasons = {
        ("asked", True): _("Mirroring is on, as asked.")
        if not found.harms
        else _("Mirroring is on, as asked, although the test shows that it changes a class."),
        ("test", False): _("Mirroring is off: the test shows that it changes a class. --flip turns it on."),
        ("test", True): _("Mirroring is on: it is not shown to change a class."),
        ("names", False): _("Mirroring is off: the names of the classes say that it changes them. --flip turns it on."),
        ("too few images", False): _(
            "Mirroring is off: %(count)s training images are too few to tell whether it changes a class, and plain "
            "numbers may stand for digits. --flip turns it on.",
            count=count,
        ),
        ("too few images", True): _(
            "Mirroring is on: %(count)s training images are too few to tell whether it changes a class, and no class "
            "is named like a letter, a digit or a side. --no-flip turns it off.",
            count=count,
        ),
    }
    return reasons.get((found.basis, found.on))


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
