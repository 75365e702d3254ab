"""Sentences that the record holds in English, made anew from its figures for a page in another language.

Each function gives None where the figures don't tell enough: the page then shows the record's own sentence.
"""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.language import listed, lookup, sentence_space, translation
from deepenough.record import DecisionKind, Measure, Record
from deepenough.record.images import FindingRecord
from deepenough.record.schema import AnswerFacts, Baseline, CandidateRecord, ComparisonRecord, TargetCheckRecord
from deepenough.report.restated_advice import left_out_text, open_questions, ruled_out
from deepenough.report.restated_steps import candidate_reason
from deepenough.report.text import images, percent, unsigned_points
from deepenough.search.limits import StoredAs
from deepenough.units import count_text, latency_text, size_text

_SWAPS = 3  # classes that are named


def answer_text(record: Record) -> str | None:
    """The decision, the comparison or check that it rests on, and what is not known."""
    decision = record.decision
    if decision is None:
        return None
    facts = decision.facts or AnswerFacts()
    check = next((each for each in decision.target_checks if each.candidate == decision.chosen), None)
    pair = next((each for each in decision.comparisons if each.candidate == decision.chosen), None)
    if record.candidate(decision.chosen).state != "finished" and check is None:
        text = _nothing_finished(record, record.candidate(decision.chosen))
    elif check is not None:
        text = _("; ").join(filter(None, [_against_target(record, check), *_not_tried(record, facts, check)]))
    elif pair is not None:
        text = _against_others(record, pair, facts)
    else:
        text = _alone(record, facts)
    if len(decision.not_ruled_out) > 1:
        text += _(
            "; the %(smallest)s that is enough is one of %(networks)s (95%% confidence)",
            smallest=_smallest(record.question.minimize),
            networks=listed(decision.not_ruled_out),
        )
    return _("%(words)s.", words=text)


def _smallest(measure: Measure) -> str:
    """The superlative of what a run keeps small."""
    return {
        Measure.DEPTH: _("shallowest"),
        Measure.PARAMETERS: _("network with the fewest parameters"),
        Measure.MACS: _("network with the fewest multiply-accumulates"),
        Measure.LATENCY: _("fastest network"),
    }[measure]


def _nothing_finished(record: Record, chosen: CandidateRecord) -> str:
    return _(
        "no training finished; %(network)s: %(reason)s",
        network=chosen.name,
        reason=candidate_reason(record, chosen) or chosen.why,
    )


def _alone(record: Record, facts: AnswerFacts) -> str:
    """The answer where nothing was compared."""
    assert record.decision is not None
    network = record.decision.chosen
    if record.decision.kind is DecisionKind.SHOWN and record.has_one_choice:
        return _(
            "%(network)s is the only one in the search space, so there was nothing to compare it with", network=network
        )
    if record.decision.kind is DecisionKind.SHOWN:
        return _(
            "%(network)s is enough: there is nothing deeper to look at, or nothing to gain from it", network=network
        )
    if facts.diverged:
        return _(
            "%(network)s is the only one trained to its end, since the training of %(networks)s diverged, so nothing "
            "is known about others",
            network=network,
            networks=listed(facts.diverged),
        )
    return _("%(network)s is the only one trained, so nothing is known about others", network=network)


def _against_target(record: Record, check: TargetCheckRecord) -> str:
    target, count = percent(record.question.target or 0.0), f"{check.images:,}"
    bound, confidence = percent(check.lower), percent(1 - check.alpha)
    figures = {"network": check.candidate, "target": target, "accuracy": percent(check.value), "count": count}
    if check.shown:
        return _(
            "%(network)s is enough: shown on %(count)s images to reach %(target)s (at least %(bound)s, %(confidence)s "
            "bound)",
            bound=bound, confidence=confidence, **figures,
        )  # fmt: skip
    if not check.seems:
        if record.candidate(check.candidate).state != "finished":
            return _(
                "no training finished, so none is known to reach %(target)s; the best so far is %(network)s with "
                "%(accuracy)s",
                **figures,
            )
        return _("no network tried reached %(target)s; the best is %(network)s with %(accuracy)s", **figures)
    if check.alpha == 0:
        return _(
            "%(network)s seems to reach %(target)s: %(accuracy)s on %(count)s images, but the looks before it have "
            "spent the chance of an error",
            **figures,
        )
    return _(
        "%(network)s seems to reach %(target)s: %(accuracy)s on %(count)s images, but that is not shown (at least "
        "%(bound)s, %(confidence)s bound)",
        bound=bound, confidence=confidence, **figures,
    )  # fmt: skip


def _not_tried(record: Record, facts: AnswerFacts, check: TargetCheckRecord) -> list[str]:
    """The networks that a search with a target did not train to an answer, and why."""
    said = [ruled_out(facts)]
    if not check.seems and facts.unseen:
        said.append(_("%(networks)s were not tried", networks=listed(facts.unseen)))
    if facts.diverged:
        said.append(_("the training of %(networks)s diverged", networks=listed(facts.diverged)))
    if facts.cut_short:
        said.append(_("the training of %(networks)s was ended by the time limit", networks=listed(facts.cut_short)))
    said.append(left_out_text(facts))
    if facts.not_proposed:  # of runs before the gains of fine-tuning were taken in
        names = listed(facts.not_proposed)
        said.append(
            _("%(networks)s were not looked at, since the probes propose others", networks=names)
            if facts.others
            else _("%(networks)s were not looked at, since the probes propose deeper cuts", networks=names)
        )
    return said


def _against_others(record: Record, pair: ComparisonRecord, facts: AnswerFacts) -> str:
    assert record.decision is not None
    kind, network = record.decision.kind, pair.candidate
    margin = unsigned_points(record.question.margin)
    looked = [each.name for each in record.search_space if each.name in _looked_at(record)]
    figures = {
        "network": network, "images": images(record), "upper": unsigned_points(pair.upper),
        "lead": unsigned_points(-pair.upper), "margin": margin, "best": pair.best, "networks": listed(looked),
    }  # fmt: skip
    if kind is DecisionKind.SHOWN and open_questions(facts):
        return _(
            "%(network)s is enough: so few images are wrong that nothing can be better by %(margin)s points", **figures
        )
    if kind is DecisionKind.SHOWN and pair.upper < 0:
        return _(
            "%(network)s is enough: shown on %(images)s to be at least %(lead)s points better than any other trained "
            "in full; no other of %(networks)s can be better by the margin of %(margin)s points",
            **figures,
        )
    if kind is DecisionKind.SHOWN:
        return _(
            "%(network)s is enough: shown on %(images)s to be at most %(upper)s points worse than the best of "
            "%(networks)s, below the margin of %(margin)s points",
            **figures,
        )
    if kind is DecisionKind.AMONG:
        figures["open"] = open_questions(facts) or _("too little is known of the others")
        if pair.upper < 0:
            text = _(
                "%(network)s is enough among the networks trained in full: shown to be at least %(lead)s points better "
                "than any other of them; %(open)s",
                **figures,
            )
        else:
            text = _(
                "%(network)s is enough among the networks trained in full: shown to be at most %(upper)s points worse "
                "than any of them, below the margin of %(margin)s points; %(open)s",
                **figures,
            )
    elif kind is DecisionKind.SEEMS:
        text = _("%(network)s seems enough, but may be up to %(upper)s points worse than %(best)s", **figures)
    else:
        text = _("%(network)s is the most accurate", **figures)
        if record.decision.facts is not None and facts.shown is None:
            text += _("; no network is shown to be within %(margin)s points of the best", **figures)
    if facts.shown is not None:
        text += _("; %(network)s is shown to be enough", network=facts.shown)
    return text


def _looked_at(record: Record) -> set[str]:
    """The names of the architectures that were trained in full, or looked at by a scout."""
    return {each.name.removesuffix("-scout") for each in record.candidates if each.role != "second seed"}


def comparison(record: Record, pair: ComparisonRecord) -> str:
    """The conclusion of a comparison."""
    if pair.enough and pair.upper < 0:
        lead = unsigned_points(-pair.upper)
        return _("shown to be enough: at least %(lead)s points better than any other trained in full", lead=lead)
    if pair.enough:
        return _(
            "shown to be enough: at most %(upper)s points worse than any other trained in full, below the margin",
            upper=unsigned_points(pair.upper),
        )
    if not pair.not_shown_worse:
        margin = unsigned_points(record.question.margin)
        return _("shown to be more than %(margin)s points worse than %(best)s", margin=margin, best=pair.best)
    return _(
        "not shown: it may be up to %(upper)s points worse than %(best)s",
        upper=unsigned_points(pair.upper),
        best=pair.best,
    )


def target_check(record: Record, check: TargetCheckRecord) -> str:
    """The conclusion of a check against the target; of a training that did not end, how it ended."""
    candidate = record.candidate(check.candidate)
    if candidate.state != "finished":
        return candidate_reason(record, candidate) or candidate.why
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
        *([_size_limit(found.size, found.size_as)] if found.size is not None else []),
    ]
    everything = _(", ").join(kept)
    if not found.left_out:
        return _("All networks keep the limits: %(limits)s.", limits=everything)
    names = listed(each.name for each in found.left_out)
    return _("Limits: %(limits)s. Left out as over them: %(networks)s.", limits=everything, networks=names)


def _size_limit(size: float, stored: str) -> str:
    """The most bytes of weights, and as what they are stored where that is not float32."""
    if stored == StoredAs.FLOAT32:
        return _("weights of at most %(limit)s", limit=size_text(size))
    return _("weights of at most %(limit)s as %(stored)s", limit=size_text(size), stored=stored)


def baseline_note(baseline: Baseline) -> str | None:
    """The images that a baseline was trained on, and as how many points each."""
    count, side = f"{baseline.trained_on:,}", baseline.averaged
    averaged = f", averaged over {side}x{side} pixels" if side > 1 else ""
    on = baseline.note.removesuffix(averaged)
    text = _("%(count)s training images", count=count) if on == f"{count} training images" else translation(on)
    if text is None or side == 1:
        return text
    return _("%(images)s, averaged over %(side)s × %(side)s pixels", images=text, side=side)


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
    known = reasons.get((found.basis, found.on))
    if known is None or found.seeing is None or found.blind is None or not found.images:
        return known
    said = [
        known,
        _(
            "Out of fold, a small classifier gets %(seeing)s of %(count)s training images right, and %(blind)s if it "
            "can't tell an image from its mirror image.",
            seeing=percent(found.seeing), blind=percent(found.blind), count=count,
        ),
        *(
            _(
                "%(share)s of mirrored images of class %(name)s are taken for %(other)s.",
                share=percent(swap.share, 0), name=swap.name, other=swap.taken_for,
            )
            for swap in found.swaps[:_SWAPS]
        ),
    ]  # fmt: skip
    return sentence_space().join(said)


def finding_action(finding: FindingRecord) -> str | None:
    """The action that was taken about a finding."""
    for split in ("train", "validation", "test"):
        word = {"train": "training"}.get(split, split)
        if finding.action in (f"kept in {split}", f"kept in {word}"):
            return _("kept in %(split)s", split=lookup(split))
        if finding.action in (f"left out of {split}", f"left out of {word}"):
            return _("left out of %(split)s", split=lookup(split))
    return translation(finding.action)


def finding_detail(finding: FindingRecord) -> str:
    """The fault of an image, by the kind of the finding; the record has more of it, in English."""
    if finding.other:
        known = {
            "duplicate": _("the same picture as %(other)s", other=finding.other),
            "near-duplicate": _("nearly the same picture as %(other)s", other=finding.other),
            "across-splits": _("the same picture as %(other)s, in another split", other=finding.other),
            "conflicting-labels": _("the same picture as %(other)s, which has another label", other=finding.other),
        }
        if finding.kind in known:
            return known[finding.kind]
    return {
        "damaged": _("the file is damaged"),
        "missing": _("there is no such file"),
        "not-an-image": _("it is not an image"),
        "unsupported": _("its format is not read"),
        "animated": _("it has several frames"),
        "bomb": _("it would be too large when decoded"),
        "tiny": _("it has too few pixels"),
        "imperfect": _("it has faults, but can be used"),
        "more-than-8-bits": _("it has more than 8 bits a channel"),
        "duplicate": _("the same picture is there again"),
        "near-duplicate": _("nearly the same picture is there again"),
        "similar-scene": _("other pictures show a similar scene"),
        "across-splits": _("the same picture is in two splits"),
        "conflicting-labels": _("the same picture has two labels"),
        "unlabelled": _("it has no label"),
        "empty-class": _("the folder of the class has no image"),
        "not-a-file": _("it is no plain file, and is never opened"),
        "unreadable": _("it can't be opened"),
        "linked-folder": _("links to folders are not followed"),
        "ignored": _("it belongs to no class or split"),
        "split-like": _("the folder could be a split as well as a class"),
        "same-class": _("the name is spelt in several ways"),
        "similar-classes": _("the names differ in upper and lower case only"),
        "mixed-labels": _("some labels are numbers, some are words"),
        "other-column": _("another column could be meant as well"),
    }.get(finding.kind, lookup(finding.kind))
