"""Numbers and answers as text, the same on the page and in the terminal."""

from __future__ import annotations

from deepenough.record import DecisionBasis, DecisionKind, Measure, Metric, Plan, Record
from deepenough.record.networks import LatencyFields
from deepenough.record.schema import Accuracy, CandidateRecord, Decision, RunStatus
from deepenough.units import latency_text

_UNITS = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def percent(share: float, digits: int = 1) -> str:
    """0.9312 as 93.1%."""
    return f"{100 * share:.{digits}f}%"


def signed_points(difference: float) -> str:
    """A difference of two shares, signed, in percentage points: 0.012 as +1.2."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def sentence(words: str) -> str:
    """Words as a sentence of their own: with a capital letter and a full stop."""
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
    return "–" if found is None else ("" if found.measured else "about ") + latency_text(found.median)


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
        return "no images"
    right = round(accuracy.value * accuracy.count)
    return f"{percent(accuracy.value)} ({right:,} of {accuracy.count:,}; 95% interval {interval_text(accuracy)})"


def images(record: Record) -> str:
    """The images that decided."""
    decided = record.decision_images
    if decided.kind is DecisionBasis.OUT_OF_FOLD:
        return f"{decided.count:,} out-of-fold images ({decided.folds} folds)"
    return f"{decided.count:,} validation images"


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
        return "The run was interrupted before it could answer" if interrupted else "No answer yet"
    distilled = f", distilled from {teacher(record)}," if teacher(record) else ""
    depth, target = f"{_subject(decision)}{distilled}", record.question.target
    if decision.kind is not DecisionKind.NOT_MET and not learned(record):
        return f"{depth} is the best found, but is not shown to have learned anything"
    if decision.kind is DecisionKind.AMONG:
        among = "the networks trained" if decision.title else _depths(record)
        return f"{depth} is enough among {among}"
    return {
        DecisionKind.SHOWN: f"{depth} is enough",
        DecisionKind.SEEMS: f"{depth} seems to be enough",
        DecisionKind.NOT_MET: "No network tried reached the target" if target else "No network could be trained",
        DecisionKind.BEST: f"{depth} is the best found",
    }[decision.kind]


def _subject(decision: Decision) -> str:
    """The chosen network at the beginning of a sentence: by its depth, or by its name where there are several kinds."""
    title = f"{decision.title[:1].upper()}{decision.title[1:]}"
    return f"{title} (depth {decision.depth})" if title else f"Depth {decision.depth}"


def teacher(record: Record) -> str | None:
    """The name of the network that the chosen one learned from, if any."""
    chosen = record.decision.chosen if record.decision else None
    return next((each.teacher for each in record.candidates if each.name == chosen), None)


def _depths(record: Record) -> str:
    """The depths of the networks that were trained to their end."""
    depths = sorted({each.depth for each in record.candidates if each.state == "finished" and each.role != "scout"})
    if len(depths) == 1 or len(depths) > 4:
        return f"the {len(depths)} depths trained" if len(depths) > 1 else "the networks trained"
    return f"depths {', '.join(map(str, depths[:-1]))} and {depths[-1]}"


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
    return (
        f"The answer was judged on networks of each kind that were trained on {folds - 1} of {folds} folds; the one in "
        "model/ was trained once more, on all images but test, and the test accuracy is its own"
    )


def metric(record: Record) -> str:
    """The accuracy that decides."""
    return "balanced accuracy" if record.question.metric is Metric.BALANCED else "accuracy"


def minimized(record: Record) -> str:
    """The size that the run keeps small."""
    measure = record.question.minimize
    return "multiply-accumulates" if measure is Measure.MACS else str(measure)


def goal(record: Record) -> str:
    """The goal of the run, in one sentence."""
    question = record.question
    if question.target is not None:
        return f"Goal: {metric(record)} of at least {percent(question.target)}."
    unit = "point" if question.margin == 0.01 else "points"
    return f"Goal: {metric(record)} at most {100 * question.margin:g} percentage {unit} below the best network's."


def verdict(record: Record, candidate: CandidateRecord) -> str:
    """The conclusion about one candidate, in a few words."""
    decision = record.decision
    compared = (
        next((pair for pair in decision.comparisons if pair.candidate == candidate.name), None) if decision else None
    )
    if candidate.role == "scout":
        return "looked at briefly"
    if candidate.state == "pruned" and compared is not None and not compared.not_shown_worse:
        return f"worse, on {compared.images:,} images"
    if candidate.state != "finished":
        return {"pruned": "stopped early", "unfinished": "not trained to the end"}.get(candidate.state, candidate.state)
    if decision is None:
        return "not judged"
    if candidate.name == decision.chosen:
        return {
            DecisionKind.SEEMS: "chosen: seems enough",
            DecisionKind.AMONG: "chosen: enough among these",
            DecisionKind.NOT_MET: "best, not enough",
        }.get(decision.kind, "chosen")
    check = next((check for check in decision.target_checks if check.candidate == candidate.name), None)
    if check is not None:
        return "enough" if check.shown else "seems enough" if check.seems else "not enough"
    if compared is not None:
        return "enough" if compared.enough else "not shown worse" if compared.not_shown_worse else "worse"
    return "best" if candidate.name == decision.best else "not compared"


def savings(record: Record) -> str | None:
    """The savings of the chosen network against the deepest one trained to its end."""
    whole = [candidate for candidate in record.candidates if comparable(candidate)]
    if record.decision is None or len(whole) < 2:
        return None
    chosen = record.candidate(record.decision.chosen)
    deepest = max(whole, key=lambda candidate: (candidate.depth, candidate.macs))
    if chosen.depth >= deepest.depth:
        return None

    def change(before: int, after: int, what: str) -> str:
        share = 1 - after / before
        return f"{percent(abs(share), 0)} {'fewer' if share >= 0 else 'more'} {what}"

    return (
        f"{change(deepest.parameters, chosen.parameters, 'parameters')} and "
        f"{change(deepest.macs, chosen.macs, 'multiply-accumulates')} than the deepest network trained "
        f"(depth {deepest.depth})."
    )


def cost(record: Record) -> str:
    """The cost of the search, with its two ratios."""
    if record.cost is None:
        seconds = sum(candidate.seconds for candidate in record.candidates)
        spent = sum(candidate.cost for candidate in record.candidates)
        return f"so far {amount(spent)} multiply-accumulates in {duration(seconds)} of training"
    cost = record.cost
    text = (
        f"{amount(cost.spent)} multiply-accumulates in {duration(cost.seconds)} of training{_side_by_side(record)}: "
        f"{cost.times_chosen:.{2 if cost.times_chosen < 10 else 0}f} times training "
        f"{'its teacher and ' if teacher(record) else ''}the chosen network alone"
        f"{_why_so_much(record)}, "
        f"{percent(cost.share_of_space, 0)} of training the whole search space"
    )
    text += f" (retraining on all images but test: {amount(cost.final)})" if cost.final else ""
    plan = record.plan
    if plan and plan.expected and plan.seconds:
        text += f"; the estimate was {estimated(plan)}, and {duration(plan.expected)} for the networks trained"
    return text


def _why_so_much(record: Record) -> str:
    """The reasons why a search costs many trainings of its answer, in brackets."""
    images = record.decision_images
    reasons = [f"{images.folds} folds"] if images is not None and images.folds > 1 else []
    if record.decision is not None:
        chosen = record.candidate(record.decision.chosen)
        largest = max(record.candidates, key=lambda candidate: candidate.macs)
        if largest.macs >= 2 * chosen.macs:
            reasons.append(f"{largest.name} costs {largest.macs / chosen.macs:.0f} times as much")
    return f" ({'; '.join(reasons)})" if reasons else ""


def _side_by_side(record: Record) -> str:
    jobs = int(record.environment.get("jobs", "1"))
    return f" ({jobs} trainings side by side)" if jobs > 1 else ""


def estimated(plan: Plan) -> str:
    """The estimated time of the search, before anything was trained."""
    few, many = duration(plan.least), duration(plan.most)
    return few if few == many else f"{few} to {many}"


def data_problems(record: Record) -> str:
    """The problems with the data, in one line."""
    kinds = finding_counts(record)
    if not kinds:
        return "no problems with the images were found"
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds)


def finding_counts(record: Record) -> list[tuple[str, int]]:
    """Findings by kind, the most frequent first."""
    counts: dict[str, int] = {}
    for finding in record.data.findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
