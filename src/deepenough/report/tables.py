"""What a record says, as rich renderables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deepenough.record import Comparison, Metrics, Plan, Record, Sounding
from deepenough.report import text as words

BARS_FROM = 120
"""Columns of a terminal from which a sounding is drawn too; below, its numbers need the room."""


def evidence(record: Record, report: Path | None = None, width: int = BARS_FROM) -> Group:
    """The answer, its evidence, the test images, the cost, the data, and the report to open.

    `width` is that of the terminal, in columns.
    """
    parts: list[RenderableType] = [answer(record)]
    if record.sounding is not None:
        parts += [Padding(sounding_table(record.sounding, width), (1, 0, 0, 0))]
    if record.candidates:
        parts += [Padding(candidates(record), (1, 0, 0, 0))]
    if record.test is not None:
        parts += [Padding(test(record), (1, 0, 0, 0))]
    parts += [Text(), cost(record), data(record)]
    if report is not None:
        parts.append(to_open(report))
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


def candidates(record: Record) -> Table:
    """One row a candidate, shallow first."""
    table = Table(
        title=f"Decided on {words.images(record)}",
        title_justify="left",
        title_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        collapse_padding=True,
    )
    name = "balanced" if record.question.metric == "balanced" else "accuracy"
    table.add_column("network", overflow="fold")
    for header in ("depth", "params", "MACs", f"{name}\n(95% interval)", "below best\n(bounds), points"):
        table.add_column(header, justify="right")
    table.add_column("verdict")
    table.add_column("cost", justify="right")
    compared = {pair.candidate: pair for pair in record.decision.comparisons} if record.decision else {}
    for candidate in sorted(record.candidates, key=lambda c: (c.depth, c.width, c.family, c.seed)):
        chosen = record.decision is not None and candidate.name == record.decision.candidate
        table.add_row(
            Text(candidate.name),
            str(candidate.depth),
            words.amount(candidate.parameters),
            words.amount(candidate.macs),
            _accuracy(record, candidate.name),
            _difference(record, candidate.name, compared.get(candidate.name)),
            words.verdict(record, candidate),
            words.amount(candidate.cost),
            style="bold" if chosen else "",
        )
    return table


def _accuracy(record: Record, name: str) -> str:
    candidate = record.candidate(name)
    value = words.value(record, candidate)
    if value is None or candidate.decision is None:
        return "–"
    interval = words.interval(candidate.decision.top1)
    return words.percent(value) + ("" if record.question.metric == "balanced" else f"\n{interval}")


def _difference(record: Record, name: str, pair: Comparison | None) -> str:
    if pair is None:
        return "best" if record.decision and record.decision.best == name else "–"
    return f"{words.points(pair.difference)}\n{words.points(pair.lower)} to {words.points(pair.upper)}"


def sounding_table(sounding: Sounding, width: int = BARS_FROM) -> Group:
    """What a sounding found: a row a place, accuracy drawn as a bar where there is room, the proposed cut marked."""
    table = Table(
        title=f"{sounding.weights} ({sounding.network}) on {sounding.images:,} images, {sounding.folds} folds",
        title_justify="left",
        title_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=width < BARS_FROM,
    )
    drawn = width >= BARS_FROM
    said = (", the whole network", " <- proposed") if drawn else ("\nwhole", "\nproposed")
    table.add_column("cut after", overflow="fold", min_width=len("proposed"))
    for header in ("depth", "params", "MACs", "ms", "accuracy", "95% interval", "below whole,\npoints (95%)"):
        table.add_column(header, justify="right", no_wrap=True)
    shares = [place.accuracy.value for place in sounding.places]
    low = max(0.0, min(shares) - 0.05)
    if drawn:
        table.add_column(f"{words.percent(low, 0)} to {words.percent(max(shares), 0)}", width=24)
    for place in sounding.places:
        whole, mark = place is sounding.places[-1], place.place == sounding.proposed
        half = (place.high - place.low) / 2
        table.add_row(
            Text(place.place + said[0] * whole + said[1] * mark),
            str(place.depth),
            words.amount(place.parameters),
            words.amount(place.macs),
            f"{place.milliseconds:.2f}",
            words.percent(place.accuracy.value),
            words.interval(place.accuracy),
            "" if whole else f"{words.points(place.difference)} ± {100 * half:.1f}",
            *([Bar(max(shares) - low, 0, place.accuracy.value - low, color="green" if mark else "blue")] * drawn),
            style="bold" if mark else "dim" if place.ruled_out else "",
        )
    note = f"{sounding.text[:1].upper()}{sounding.text[1:]}."
    return Group(table, Text(note), Text(f"{sounding.input}; {sounding.seconds:.0f} s"))


def test(record: Record) -> Table:
    """Accuracy on the test images beside the baselines, each with count and interval."""
    table = Table(
        title="Test images, looked at once", title_justify="left", title_style="dim", box=box.SIMPLE_HEAD,
        pad_edge=False,
    )  # fmt: skip
    table.add_column("model")
    for header in ("accuracy", "95% interval", "right of all"):
        table.add_column(header, justify="right")
    rows = [(baseline.name, baseline.test, "") for baseline in record.baselines]
    if record.test is not None:
        chosen = record.decision.candidate if record.decision else "the network"
        rows.insert(0, (chosen, record.test.top1, "bold"))
    for name, score, style in rows:
        right = f"{round(score.value * score.count):,} of {score.count:,}"
        table.add_row(Text(name), words.percent(score.value), words.interval(score), right, style=style)
    return table


def cost(record: Record) -> Text:
    return Text(f"Cost: {words.cost(record)}.")


def data(record: Record) -> Text:
    return Text(f"Data: {words.wrong(record)}.")


def to_open(report: Path) -> Text:
    return Text.assemble("Report: ", (str(report), "bold"))


def metrics_table(metrics: Metrics, classes: Sequence[str]) -> Group:
    """All that was measured on one set of images: a line, and one row a class."""
    line = Text(
        f"Accuracy {words.measured(metrics.top1)}; balanced {words.percent(metrics.balanced)}, first five "
        f"{words.percent(metrics.top5)}, loss {metrics.loss:.3f}, calibration error "
        f"{words.percent(metrics.calibration_error)}."
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for header in ("images", "accuracy", "95% interval"):
        table.add_column(header, justify="right")
    for name, score in zip(classes, metrics.per_class, strict=True):
        shown = (words.percent(score.value), words.interval(score)) if score.count else ("–", "–")
        table.add_row(Text(name), f"{score.count:,}", *shown)
    return Group(line, table)


def plan_table(plan: Plan) -> Group:
    """One row a network that may be trained, and what the search comes to."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    table.add_column("network")
    for name in ("depth", "images/s", "training", "memory of a step"):
        table.add_column(name, justify="right")
    for architecture in plan.architectures:
        table.add_row(
            architecture.name,
            str(architecture.depth),
            f"{architecture.images / architecture.seconds:,.0f}",
            words.duration(architecture.seconds),
            f"{architecture.memory / 1e9:.2g} GB",
        )
    few, many = words.duration(plan.least), words.duration(plan.most)
    total = Text(f"the search: {few if few == many else f'{few} to {many}'} of training", style="bold")
    total.append(f", at most {plan.memory / 1e9:.1f} GB of memory; as far as it is needed", style="not bold")
    return Group(table, total)
