"""The advice of a decision, made anew from the record's figures for a page in another language."""

from __future__ import annotations

from deepenough.language import Language, current_language, listed, translation
from deepenough.language import gettext as _
from deepenough.record import DecisionKind, Record
from deepenough.record.schema import AnswerFacts, ComparisonRecord, Decision, TargetCheckRecord
from deepenough.report.export_advice import export_advice
from deepenough.report.shortfall import shortfalls
from deepenough.report.text import percent, unsigned_points


def advice(record: Record) -> list[str]:
    """The advice, a sentence each without its end, in the order of the record."""
    decision = record.decision
    if decision is None:
        return []
    chosen = next(each for each in record.candidates if each.name == decision.chosen)
    if chosen.state not in ("finished",) and not decision.comparisons:
        found = [said for said in map(translation, decision.advice) if said]
    elif record.question.target is not None:
        found = _on_target(record, decision)
    else:
        found = _on_enough(record, decision)
    return [*found, *shortfalls(record), *export_advice(record)]


def spoken_advice(record: Record) -> list[str]:
    """The advice in the current language: in English as the record has it, else a sentence each."""
    if current_language() is Language.ENGLISH:
        return record.decision.advice if record.decision else []
    return [_("%(words)s.", words=each) for each in advice(record)]


def _on_enough(record: Record, decision: Decision) -> list[str]:
    facts, seems = decision.facts or AnswerFacts(), decision.kind is DecisionKind.SEEMS
    pairs = {pair.candidate: pair for pair in decision.comparisons}
    found = [_doubt(record, pairs[decision.chosen])] if seems and decision.chosen in pairs else []
    second = pairs.get(decision.second or "")
    if second and not second.enough:
        found.append(_doubt(record, second))
    if facts.also_enough:
        found.append(
            _(
                "%(networks)s are shown to be enough among those trained in full, but less likely than %(chosen)s to "
                "be so beside %(others)s",
                networks=listed(facts.also_enough),
                chosen=decision.chosen,
                others=listed(facts.beside),
            )
        )
    reasons = open_questions(facts.model_copy(update={"left_out": []}))
    if decision.kind is not DecisionKind.SHOWN and reasons:
        found.append(
            _(
                "%(reasons)s; a lower --lr or --precision float32 may train what diverged, a larger --budget or "
                "--time-limit lets the search train more of them in full",
                reasons=reasons,
            )
            if facts.diverged
            else _(
                "%(reasons)s; a larger --budget or --time-limit lets the search train more of them in full",
                reasons=reasons,
            )
        )
    if decision.kind in (DecisionKind.SEEMS, DecisionKind.BEST) and facts.left_out:
        found.append(open_questions(AnswerFacts(left_out=facts.left_out)))
    return found


def open_questions(facts: AnswerFacts) -> str:
    """Name the networks of which too little is known to rule them out, and why; empty where there are none."""
    short, unseen, diverged = map(listed, (facts.short_look, facts.unseen, facts.diverged))
    parts = [
        _("%(networks)s only had a short look, which can't rule them out", networks=short) if short else "",
        _("%(networks)s were not looked at", networks=unseen) if unseen else "",
        left_out_text(facts),
        _("the training of %(networks)s diverged", networks=diverged) if diverged else "",
    ]
    return _("; ").join(filter(None, parts))


def left_out_text(facts: AnswerFacts) -> str:
    """Name the cuts that a search left out for their probes; empty where there are none."""
    if not facts.left_out:
        return ""
    return _(
        "%(networks)s were left out, since by the probes and what fine-tuning gains none of them would be the answer",
        networks=listed(facts.left_out),
    )


def _doubt(record: Record, pair: ComparisonRecord) -> str:
    """Say how far a candidate is from the one that it may be furthest behind, and what would settle it."""
    figures = {
        "network": pair.candidate,
        "best": pair.best,
        "points": unsigned_points(abs(pair.difference)),
        "low": unsigned_points(pair.lower),
        "high": unsigned_points(pair.upper),
        "images": f"{pair.images:,}",
        "margin": unsigned_points(record.question.margin),
    }
    below = pair.difference >= 0
    place = (
        _("%(network)s is %(points)s points below %(best)s (bounds %(low)s to %(high)s)", **figures)
        if below
        else _("%(network)s is %(points)s points above %(best)s (bounds %(low)s to %(high)s)", **figures)
    )
    if pair.images_to_settle:
        return _(
            "%(place)s: %(images)s decision images can't show it to be within %(margin)s points, about %(count)s would",
            place=place, count=f"{pair.images_to_settle:,}", **figures,
        )  # fmt: skip
    return _(
        "%(place)s: %(images)s decision images can't show it to be within %(margin)s points, if the difference stays "
        "the same, more would not either",
        place=place, **figures,
    )  # fmt: skip


def _on_target(record: Record, decision: Decision) -> list[str]:
    facts = decision.facts or AnswerFacts()
    option = facts.option or "--budget"
    more = (
        [
            _(
                "%(networks)s were not tried; a larger %(option)s lets the search try more",
                networks=listed(facts.unseen),
                option=option,
            )
        ]
        if facts.unseen
        else []
    )
    if decision.kind is DecisionKind.SHOWN:
        return more
    if decision.kind is DecisionKind.SEEMS:
        check = next(each for each in decision.target_checks if each.candidate == decision.chosen)
        return [_settled(check), *more]
    return [*more, *_what_would_help(record, facts)]


def _settled(check: TargetCheckRecord) -> str:
    if check.images_to_settle is None:
        return _("more decision images would settle it, if its accuracy stays the same")
    return _(
        "about %(count)s decision images would settle it, if its accuracy stays the same",
        count=f"{check.images_to_settle:,}",
    )


def _what_would_help(record: Record, facts: AnswerFacts) -> list[str]:
    images = _("more images of each class; the report shows which classes are confused most")
    if record.probing:
        return [
            images,
            _("longer fine-tuning (--epochs), or stronger augmentation: --augment standard"),
            _("weights of a larger network: `deepenough weights list`"),
        ]
    width = f"{2 * max(record.question.widths):g}"
    return [
        images,
        _("stronger augmentation: --augment strong, and longer training: --epochs"),
        _(
            "a wider family: --width %(width)s, or another: --family %(family)s",
            width=width,
            family=facts.another_family,
        )
        if facts.another_family
        else _("a wider family: --width %(width)s", width=width),
        _("larger images, if fine detail matters: --size"),
    ]


def ruled_out(facts: AnswerFacts) -> str:
    """Say of the networks that were ruled out for a target why; empty where there are none."""
    if not facts.ruled_out:
        return ""
    return _(
        "%(networks)s can't be expected to reach it: a short training of the deepest leaves at most %(highest)s",
        networks=listed(facts.ruled_out),
        highest=percent(facts.highest),
    )
