"""The tables of a record for the terminal, as rich renderables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deepenough.folding_table import FoldingTable
from deepenough.record import Metric, Metrics, Plan, Record
from deepenough.record.schema import CandidateRecord, ComparisonRecord, JoinedProbes, ProbingRecord
from deepenough.report import text as words
from deepenough.report.cost_text import cost
from deepenough.report.frozen import frozen
from deepenough.report.pareto import StepUp, steps_up
from deepenough.report.reach import reach_text
from deepenough.report.training_time import training_time

BARS_FROM = 120
"""Columns of a terminal from which the probes are drawn too; below, their numbers need the room."""


def plain_table(
    title: str | None = None, *, left: Sequence[str] = (), right: Sequence[str] = (), **style: Any
) -> Table:
    """An empty table with headings, of text on the `left` and then of numbers on the `right`."""
    table = FoldingTable(
        title=title, title_justify="left", title_style="dim", box=box.SIMPLE_HEAD, pad_edge=False, **style
    )
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right")
    return table


def evidence(record: Record, report: Path | None = None, width: int = BARS_FROM) -> Group:
    """The answer, its evidence, the test images, the cost, the data, and the report to open.

    `width` is that of the terminal, in columns.
    """
    parts: list[RenderableType] = [answer(record)]
    if record.joined_probes is not None:
        parts += [Padding(_networks_table(record, record.joined_probes), (1, 0, 0, 0))]
    elif record.probing is not None:
        parts += [Padding(probing_table(record.probing, width), (1, 0, 0, 0))]
    if record.candidates:
        parts += [Padding(_candidates(record), (1, 0, 0, 0))]
    parts += [Text(words.sentence(each.text)) for each in (record.latency, record.limits) if each]
    if steps := steps_up(record):
        parts += [Padding(_steps(record, steps), (1, 0, 0, 0))]
    if record.test is not None:
        parts += [Padding(_test(record), (1, 0, 0, 0))]
    if claimed_of := words.claimed_of(record):
        parts += [Text(), Text(words.sentence(claimed_of))]
    if said := frozen(record):
        parts += [*([] if claimed_of else [Text()]), Text(words.sentence(said))]
    parts += [Text(), Text(f"Cost: {cost(record)}."), Text(f"Data: {words.data_problems(record)}.")]
    if record.mirroring is not None:
        parts.append(Text(words.sentence(record.mirroring.text)))
    if report is not None:
        parts.append(Text.assemble("Report: ", (str(report), "bold")))
    return Group(*parts)


def answer(record: Record) -> Text:
    """The answer in a sentence, with what it rests on and what to do about doubt."""
    text = Text(words.headline(record), style="bold")
    if record.decision is None:
        return text
    text.append(f"\n{record.decision.text}", style="not bold")
    for advice in record.decision.advice:
        text.append(f"\n• {advice}", style="not bold")
    return text


def _candidates(record: Record) -> Table:
    """One row a candidate, shallow first."""
    table = plain_table(f"Decided on {words.images(record)}", padding=(0, 1, 0, 0), collapse_padding=True)
    name = "balanced" if record.question.metric is Metric.BALANCED else "accuracy"
    table.add_column("network", overflow="fold")
    measured = ["latency\n(quartiles)"] if record.latency else []
    for header in ("depth", "params", "MACs", *measured, f"{name}\n(95% interval)", "behind\n(bounds), points"):
        table.add_column(header, justify="right")
    table.add_column("verdict", min_width=len("not enough"))
    table.add_column("cost", justify="right")
    compared = {pair.candidate: pair for pair in record.decision.comparisons} if record.decision else {}
    for candidate in sorted(record.candidates, key=lambda c: (c.depth, c.width, c.family, c.seed)):
        chosen = record.decision is not None and candidate.name == record.decision.chosen
        table.add_row(
            Text(candidate.name),
            str(candidate.depth),
            words.amount(candidate.parameters),
            words.amount(candidate.macs),
            *([_latency(candidate)] if measured else []),
            _accuracy(record, candidate),
            _difference(compared.get(candidate.name)),
            words.verdict(record, candidate),
            words.amount(candidate.cost),
            style="bold" if chosen else "",
        )
    return table


def _latency(candidate: CandidateRecord) -> str:
    found = candidate.latency
    return words.latency(found) + (f"\n{words.latency_spread(found)}" if found else "")


def _accuracy(record: Record, candidate: CandidateRecord) -> str:
    value = words.value(record, candidate)
    if value is None or candidate.decision is None:
        return "–"
    interval = words.interval_text(candidate.decision.top1)
    return words.percent(value) + ("" if record.question.metric is Metric.BALANCED else f"\n{interval}")


def _difference(pair: ComparisonRecord | None) -> str:
    if pair is None:
        return "–"
    difference, lower, upper = map(words.signed_points, (pair.difference, pair.lower, pair.upper))
    return f"{difference}\n{lower} to {upper}"


def _steps(record: Record, steps: Sequence[StepUp]) -> Table:
    """The gain of each step along the Pareto front."""
    right = ("accuracy", *(["latency"] if record.latency else []), "params", "weights", "MACs", "depth")
    title = f"What each step up buys, by {words.minimized(record)}"
    style: dict[str, Any] = {"names": (0, 1), "padding": (0, 1, 0, 0), "collapse_padding": True}
    table = plain_table(title, left=("from", "to"), right=right, **style)
    for step in steps:
        latency = [step.latency] if record.latency else []
        accuracy = step.accuracy + ("" if step.told else "\n(can't be told)")
        table.add_row(
            Text(step.small), Text(step.large), accuracy, *latency, step.parameters, step.size, step.macs, step.depth
        )
    return table


def probing_table(probing: ProbingRecord, width: int = BARS_FROM) -> Group:
    """The probes: a row a place, accuracy drawn as a bar where there is room, the proposed cut marked."""
    drawn = width >= BARS_FROM
    judged = f"{probing.folds} folds" if probing.folds > 1 else "the validation split"
    title = f"{probing.weights} ({probing.network}) on {probing.images:,} images, {judged}"
    table = plain_table(title, collapse_padding=not drawn)
    said = (", the whole network", " <- proposed") if drawn else ("\nwhole", "\nproposed")
    table.add_column("cut after", overflow="fold", min_width=len("proposed"))
    for header in ("depth", "params", "MACs", "ms", "accuracy", "95% interval", "below whole,\npoints (95%)"):
        table.add_column(header, justify="right", no_wrap=True)
    shares = [probe.accuracy.value for probe in probing.probes]
    low = max(0.0, min(shares) - 0.05)
    if drawn:
        table.add_column(f"{words.percent(low, 0)} to {words.percent(max(shares), 0)}", width=24)
    for probe in probing.probes:
        whole, mark = probe is probing.probes[-1], probe.place == probing.proposed
        half = (probe.high - probe.low) / 2
        table.add_row(
            Text(probe.place + said[0] * whole + said[1] * mark),
            str(probe.depth),
            words.amount(probe.parameters),
            words.amount(probe.macs),
            f"{probe.milliseconds:.2f}",
            words.percent(probe.accuracy.value),
            words.interval_text(probe.accuracy),
            "" if whole else f"{words.signed_points(probe.difference)} ± {100 * half:.1f}",
            *([Bar(max(shares) - low, 0, probe.accuracy.value - low, color="green" if mark else "blue")] * drawn),
            style="bold" if mark else "dim" if probe.ruled_out else "",
        )
    return Group(table, Text(words.sentence(probing.text)), Text(f"{probing.input}; {probing.seconds:.0f} s"))


def _networks_table(record: Record, joined: JoinedProbes) -> Group:
    """The probes of several networks: a row a network, with its best place and the one that its own probes propose."""
    table = plain_table("Pretrained networks", left=("network", "weights"), right=("cuts",))
    table.add_column("best probe")
    table.add_column("proposed", justify="left")
    for probing in record.probings:
        best = max(probing.probes, key=lambda probe: probe.accuracy.value)
        proposed = next(probe for probe in probing.probes if probe.place == probing.proposed)
        table.add_row(
            Text(probing.title or probing.network),
            Text(probing.weights, overflow="fold"),
            str(len(probing.probes)),
            *(f"{words.percent(each.accuracy.value)} after {each.place}" for each in (best, proposed)),
        )
    return Group(table, Text(words.sentence(joined.text)))


def _test(record: Record) -> Table:
    """Accuracy on the test images beside the baselines, each with count and interval."""
    right = ("accuracy", "95% interval", "right of all")
    table = plain_table("Test images, looked at once", left=("model",), right=right)
    rows = [(baseline.name, baseline.test, "") for baseline in record.baselines]
    if record.test is not None:
        chosen = record.decision.chosen if record.decision else "the network"
        rows.insert(0, (chosen, record.test.top1, "bold"))
    for name, score, style in rows:
        count = f"{round(score.value * score.count):,} of {score.count:,}"
        table.add_row(Text(name), words.percent(score.value), words.interval_text(score), count, style=style)
    return table


def metrics_table(metrics: Metrics, classes: Sequence[str]) -> Group:
    """All that was measured on one set of images: a line, and one row a class."""
    top5 = f"top-5 {words.percent(metrics.top5)}, " if len(classes) > 5 else ""
    line = Text(
        f"Accuracy {words.measured(metrics.top1)}; balanced {words.percent(metrics.balanced)}, {top5}"
        f"loss {metrics.loss:.3f}, calibration error {words.percent(metrics.calibration_error)}."
    )
    table = plain_table()
    table.add_column("class", overflow="fold")
    for header in ("images", "accuracy", "95% interval"):
        table.add_column(header, justify="right")
    for name, score in zip(classes, metrics.per_class, strict=True):
        shown = (words.percent(score.value), words.interval_text(score)) if score.count else ("–", "–")
        table.add_row(Text(name), f"{score.count:,}", *shown)
    return Group(line, table)


def plan_table(plan: Plan) -> Group:
    """One row a network that may be trained, and what the search comes to."""
    measured = any(each.latency for each in plan.architectures)
    right = ("depth", *(["latency"] if measured else []), "images/s", "training", "memory of a step")
    table = plain_table(left=("network",), right=right, padding=(0, 1, 0, 0), collapse_padding=True)
    for architecture in plan.architectures:
        table.add_row(
            architecture.name,
            str(architecture.depth),
            *([words.latency(architecture.latency)] if measured else []),
            f"{architecture.images / architecture.seconds:,.0f}",
            words.duration(architecture.seconds),
            f"{architecture.memory / 1e9:.2g} GB",
        )
    total = Text(f"the search: {training_time(plan)}", style="bold")
    total.append(
        f", at most {plan.memory / 1e9:.1f} GB of memory; only what the answer needs is trained", style="not bold"
    )
    reach = reach_text(plan)
    return Group(table, total, *([Text(reach)] if reach else []))
