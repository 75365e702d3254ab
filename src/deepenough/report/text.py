"""Numbers and answers as text, the same on the page and in the terminal."""

from __future__ import annotations

from deepenough.language import Language, current_language, listed, lookup
from deepenough.language import gettext as _
from deepenough.record import DecisionBasis, DecisionKind, Measure, Metric, Record
from deepenough.record.networks import LatencyFields
from deepenough.record.schema import Accuracy, CandidateRecord, Decision, ProbingRecord, RunStatus
from deepenough.units import latency_text

_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(share: float, digits: int = 1) -> str:
    """0.9312 as 93.1%."""
    return f"{100 * share:.{digits}f}%"


def unsigned_points(share: float) -> str:
    """A share, or the size of a difference of two, in percentage points: 0.012 as 1.2."""
    return f"{100 * share:.1f}"


def signed_points(difference: float) -> str:
    """A difference of two shares, signed, in percentage points: 0.012 as +1.2."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def sentence(words: str) -> str:
    """Words as a sentence of their own: with a capital letter and a full stop."""
    return _("%(words)s.", words=f"{words[:1].upper()}{words[1:]}")


def recorded_sentence(words: str) -> str:
    """The record's English words as a sentence of their own."""
    return f"{words[:1].upper()}{words[1:]}."


def amount(number: float) -> str:
    """A large count with three figures: 1,234,567 as 1.23M."""
    for unit, letter in _UNITS:
        if abs(number) >= unit * 0.9995:
            return f"{number / unit:.3g}{letter}" if number / unit < 999.5 else f"{number / unit:.0f}{letter}"
    return f"{number:.0f}"


def weight_size(count: int | None) -> str:
    """Bytes with three figures: 4,212,345 as 4.21 MB."""
    return "–" if count is None else f"{amount(count)}B".replace("MB", " MB").replace("kB", " kB").replace("GB", " GB")


def latency(found: LatencyFields | None) -> str:
    """The median: 1.23 ms."""
    if found is None:
        return "–"
    median = latency_text(found.median)
    return median if found.measured else _("about %(latency)s", latency=median)


def latency_spread(found: LatencyFields) -> str:
    """The quartiles: 1.10–1.31 ms."""
    low, high = latency_text(found.lower), latency_text(found.upper)
    return f"{low.removesuffix(' ms')}–{high}"


def duration(seconds: float) -> str:
    """4000 as 1 h 7 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def interval_text(accuracy: Accuracy) -> str:
    """The 95% interval of an accuracy: 91.2–94.8%."""
    return f"{100 * accuracy.low:.1f}–{percent(accuracy.high)}"


def measured(accuracy: Accuracy) -> str:
    """An accuracy with its count and interval, or that there was nothing to measure."""
    if not accuracy.count:
        return _("no images")
    right = round(accuracy.value * accuracy.count)
    return _(
        "%(accuracy)s (%(right)s of %(count)s; 95%% interval %(interval)s)",
        accuracy=percent(accuracy.value),
        right=f"{right:,}",
        count=f"{accuracy.count:,}",
        interval=interval_text(accuracy),
    )


def images(record: Record) -> str:
    """The images that decided."""
    decided = record.decision_images
    if decided.kind is DecisionBasis.OUT_OF_FOLD:
        return _("%(count)s out-of-fold images (%(folds)s folds)", count=f"{decided.count:,}", folds=decided.folds)
    return _("%(count)s validation images", count=f"{decided.count:,}")


def comparable(candidate: CandidateRecord) -> bool:
    """Tell if it was trained to its end, from scratch, from the run's own seed: only these are joined by a line."""
    return candidate.state == "finished" and candidate.role in ("search space", "bisection")


def is_distilled(candidate: CandidateRecord) -> bool:
    """Tell if it was trained to its end from the run's own seed, learning also from a teacher."""
    return candidate.state == "finished" and candidate.role == "distilled"


def has_students(record: Record) -> bool:
    """Tell if networks of a run learned from others."""
    return any(is_distilled(candidate) for candidate in record.candidates)


def value(record: Record, candidate: CandidateRecord) -> float | None:
    """A candidate's accuracy on the decision images by the metric that the run was asked to decide on."""
    if candidate.decision is None or not candidate.decision.top1.count:
        return None
    balanced = record.question.metric is Metric.BALANCED
    return candidate.decision.balanced if balanced else candidate.decision.top1.value


def headline(record: Record) -> str:
    """The answer in a few words."""
    decision = record.decision
    if decision is None:
        interrupted = record.status == RunStatus.INTERRUPTED
        return _("The run was interrupted before it could answer") if interrupted else _("No answer yet")
    network, target = _subject(record, decision), record.question.target
    if decision.kind is not DecisionKind.NOT_MET and not learned(record):
        return _("%(network)s is the best found, but is not shown to have learned anything", network=network)
    if decision.kind is DecisionKind.AMONG:
        among = _("the networks trained") if decision.title else _depths(record)
        return _("%(network)s is enough among %(networks)s", network=network, networks=among)
    if decision.kind is DecisionKind.NOT_MET and target and record.candidate(decision.chosen).state != "finished":
        return _("No training finished")
    return {
        DecisionKind.SHOWN: _("%(network)s, the only one in the search space", network=network)
        if record.has_one_choice
        else _("%(network)s is enough", network=network),
        DecisionKind.SEEMS: _("%(network)s seems to be enough", network=network),
        DecisionKind.NOT_MET: _("No network tried reached the target") if target else _("No network could be trained"),
        DecisionKind.BEST: _("%(network)s is the best found", network=network),
    }[decision.kind]


def _subject(record: Record, decision: Decision) -> str:
    """The chosen network at the beginning of a sentence: by its depth, or by its name where there are several kinds."""
    title = f"{decision.title[:1].upper()}{decision.title[1:]}"
    if title and current_language() is not Language.ENGLISH:
        title = decision.chosen  # titles are English words
    subject = _("Depth %(depth)s", depth=decision.depth)
    if title:
        subject = _("%(network)s (depth %(depth)s)", network=title, depth=decision.depth)
    if teacher(record):
        return _("%(network)s, distilled from %(teacher)s,", network=subject, teacher=teacher(record))
    return subject


def teacher(record: Record) -> str | None:
    """The name of the network that the chosen one learned from, if any."""
    chosen = record.decision.chosen if record.decision else None
    return next((each.teacher for each in record.candidates if each.name == chosen), None)


def _depths(record: Record) -> str:
    """The depths of the networks that were trained to their end."""
    depths = sorted({each.depth for each in record.candidates if each.state == "finished" and each.role != "scout"})
    if len(depths) == 1 or len(depths) > 4:
        return _("the %(count)s depths trained", count=len(depths)) if len(depths) > 1 else _("the networks trained")
    return _("depths %(others)s and %(last)s", others=listed(map(str, depths[:-1])), last=depths[-1])


def learned(record: Record) -> bool:
    """Tell if the test images show the network to do better than naming their most frequent class."""
    test = record.test
    if test is None or not test.top1.count:
        return True
    return test.top1.low > max(sum(row) for row in test.confusion) / test.top1.count


def claimed_of(record: Record) -> str | None:
    """The networks that the answer speaks of, where the one that is kept is another one: trained once more."""
    folds = record.decision_images.folds
    if record.cost is None or not record.cost.final or folds < 2:
        return None
    return _(
        "The answer was judged on networks of each kind that were trained on %(others)s of %(folds)s folds; the one in "
        "model/ was trained once more, on all images but test, and the test accuracy is its own",
        others=folds - 1,
        folds=folds,
    )


def network_title(probing: ProbingRecord) -> str:
    """A pretrained network in words, which are English, or else by its name."""
    english = current_language() is Language.ENGLISH
    return probing.title if probing.title and english else probing.network


def origin(record: Record, candidate: CandidateRecord) -> str:
    """The reason for which a candidate was trained, and what it started and learned from."""
    parts = [lookup(candidate.role)]
    if candidate.seed != record.seed:
        parts.append(_("seed %(seed)s", seed=candidate.seed))
    if candidate.start:
        start, grown = candidate.start, candidate.role == "scout"
        parts.append(_("grown from %(start)s", start=start) if grown else _("started from %(start)s", start=start))
    if candidate.teacher:
        parts.append(_("taught by %(teacher)s", teacher=candidate.teacher))
    return _(", ").join(parts)


def test_figures(record: Record) -> str:
    """The figures of the test images beside their accuracy, in a sentence."""
    test = record.test
    if test is None:
        return ""
    figures = [
        _("Balanced accuracy %(share)s", share=percent(test.balanced)),
        *([_("top-5 accuracy %(share)s", share=percent(test.top5))] if len(record.data.classes) > 5 else []),
        _("loss %(loss)s", loss=f"{test.loss:.3f}"),
        _("calibration error %(share)s", share=percent(test.calibration_error)),
    ]
    return _("%(words)s.", words=_(", ").join(figures))


def data_shape(record: Record) -> str:
    """The images of each split, their size and colour, in a sentence."""
    splits = [
        _("%(count)s %(split)s", count=f"{sum(counts):,}", split=lookup(name))
        for name, counts in record.data.counts.items()
    ]
    return _(
        "%(splits)s images of %(width)s × %(height)s pixels, %(colour)s.",
        splits=_(", ").join(splits),
        width=record.data.size[1],
        height=record.data.size[0],
        colour=_("grey") if record.data.channels == 1 else _("colour"),
    )


def metric(record: Record) -> str:
    """The accuracy that decides."""
    return _("balanced accuracy") if record.question.metric is Metric.BALANCED else _("accuracy")


def minimized(record: Record) -> str:
    """The size that the run keeps small."""
    measure = record.question.minimize
    return _("multiply-accumulates") if measure is Measure.MACS else lookup(measure)


def goal(record: Record) -> str:
    """The goal of the run, in one sentence."""
    question = record.question
    if question.target is not None:
        return _("Goal: %(metric)s of at least %(target)s.", metric=metric(record), target=percent(question.target))
    if question.margin == 0.01:
        return _("Goal: %(metric)s at most 1 percentage point below the best network's.", metric=metric(record))
    return _(
        "Goal: %(metric)s at most %(margin)s percentage points below the best network's.",
        metric=metric(record),
        margin=f"{100 * question.margin:g}",
    )


def verdict(record: Record, candidate: CandidateRecord) -> str:
    """The conclusion about one candidate, in a few words."""
    decision = record.decision
    pairs = decision.comparisons if decision else ()
    compared = next((pair for pair in pairs if pair.candidate == candidate.name), None)
    if candidate.role == "scout":
        return _("looked at briefly")
    if candidate.state == "pruned" and compared is not None and not compared.not_shown_worse:
        return _("worse, on %(count)s images", count=f"{compared.images:,}")
    if candidate.state != "finished":
        states = {"pruned": _("stopped early"), "unfinished": _("not trained to the end")}
        return states.get(candidate.state, lookup(candidate.state))
    if decision is None:
        return _("not judged")
    if candidate.name == decision.chosen:
        return {
            DecisionKind.SEEMS: _("chosen: seems enough"),
            DecisionKind.AMONG: _("chosen: enough among these"),
            DecisionKind.NOT_MET: _("best, not enough"),
        }.get(decision.kind, _("chosen"))
    check = next((check for check in decision.target_checks if check.candidate == candidate.name), None)
    if check is not None:
        return _("enough") if check.shown else _("seems enough") if check.seems else _("not enough")
    if compared is not None:
        return _("enough") if compared.enough else _("not shown worse") if compared.not_shown_worse else _("worse")
    return _("best") if candidate.name == decision.best else _("not compared")


def savings(record: Record) -> str | None:
    """The savings of the chosen network against the deepest one trained to its end."""
    whole = [candidate for candidate in record.candidates if comparable(candidate)]
    if record.decision is None or len(whole) < 2:
        return None
    chosen = record.candidate(record.decision.chosen)
    deepest = max(whole, key=lambda candidate: (candidate.depth, candidate.macs))
    if chosen.depth >= deepest.depth:
        return None

    parameters = 1 - chosen.parameters / deepest.parameters
    macs = 1 - chosen.macs / deepest.macs
    return _(
        "%(parameters)s and %(macs)s than the deepest network trained (depth %(depth)s).",
        parameters=_("%(share)s fewer parameters", share=percent(parameters, 0))
        if parameters >= 0
        else _("%(share)s more parameters", share=percent(-parameters, 0)),
        macs=_("%(share)s fewer multiply-accumulates", share=percent(macs, 0))
        if macs >= 0
        else _("%(share)s more multiply-accumulates", share=percent(-macs, 0)),
        depth=deepest.depth,
    )


def data_problems(record: Record) -> str:
    """The problems with the data, in one line."""
    kinds = finding_counts(record)
    if not kinds:
        return _("no problems with the images were found")
    return _(", ").join(_("%(count)s %(kind)s", count=f"{count:,}", kind=lookup(kind)) for kind, count in kinds)


def finding_counts(record: Record) -> list[tuple[str, int]]:
    """Findings by kind, the most frequent first."""
    counts: dict[str, int] = {}
    for finding in record.data.findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
