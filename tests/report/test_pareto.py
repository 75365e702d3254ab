"""The Pareto front against its definition, and the steps along it on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from deepenough.record import Measure, Record
from deepenough.record import networks as n
from deepenough.report import write_report
from deepenough.report.figures import report_figures
from deepenough.report.pareto import front_by, pareto_front, size_by, steps_up
from deepenough.report.tables import evidence

Make = Callable[..., Record]

points = st.lists(st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float)), max_size=12)


@given(points)
def test_nothing_beats_what_is_on_the_front(given: list[tuple[float, float]]) -> None:
    def beaten(one: tuple[float, float]) -> bool:
        return any(x <= one[0] and y >= one[1] and (x, y) != one for x, y in given)

    front = pareto_front(given)
    assert sorted(front) == [number for number, one in enumerate(given) if not beaten(one)]
    assert [given[number] for number in front] == sorted(given[number] for number in front)


def with_latency(record: Record) -> Record:
    """The same with latencies, and with limits that left a network out."""
    record.question.minimize = Measure.LATENCY
    record.latency = n.LatencyRecord(
        runtime="onnx", version="ONNX Runtime 1.32.0", batch=1, threads=1, text="latency of an image"
    )
    for each in record.candidates:
        median = 1e-4 * each.depth
        each.latency = n.LatencyFields(
            median=median, lower=0.9 * median, upper=1.2 * median, told_apart=median, measured=True
        )
        each.weight_bytes = 4 * each.parameters
    left = n.LeftOutRecord(
        name="residual-99", family="residual", width=1.0, depth=99, parameters=10**8, macs=10**9, why="10"
    )
    record.limits = n.LimitsRecord(
        latency=None, parameters=10**7, size=None, text="5 of 6 depths are within 10M parameters", left_out=[left]
    )
    return record


def test_only_candidates_that_can_be_compared_are_on_it(make: Make) -> None:
    record = make()
    front = front_by(record, size_by(Measure.DEPTH))
    assert [each.name for each in front] == ["residual-4", "residual-8", "residual-14", "residual-20"]
    record.candidates[3].decision = record.candidates[0].decision  # depth 14 as accurate as depth 4
    assert [each.depth for each in front_by(record, size_by(Measure.DEPTH))] == [4, 8, 20]
    assert front_by(record, size_by(Measure.LATENCY)) == []  # which was not measured


def test_a_step_is_the_difference_of_neighbours(make: Make) -> None:
    record = with_latency(make())
    small, large = record.candidates[:2]
    assert small.decision
    assert large.decision
    first, *_, last = steps_up(record)
    assert (first.small, first.large, first.depth) == ("residual-4", "residual-8", "+4")
    assert first.accuracy == f"+{100 * (large.decision.top1.value - small.decision.top1.value):.1f} points"
    assert (first.latency, first.parameters, first.size) == ("+0.400 ms", "+432k", "+1.73 MB")
    assert first.macs == "+16.4M"
    assert first.told
    assert not last.told  # a difference below what the images resolve


@pytest.mark.parametrize("measured", [False, True])
def test_the_page_and_the_terminal_show_the_steps(make: Make, save: Callable[[Record], Path], measured: bool) -> None:
    record = with_latency(make()) if measured else make()
    page = write_report(save(record)).read_text(encoding="utf-8")
    console = Console(width=160, record=True, file=StringIO())
    console.print(evidence(record, width=160))
    terminal = console.export_text()
    for text in (page, terminal):
        assert "What each step up buys" in text
        assert all(step.accuracy in text and step.parameters in text for step in steps_up(record))
        assert ("+0.400 ms" in text) == measured
        assert ("10M parameters" in text) == measured
    assert ("0.360–0.480 ms" in terminal) == measured


def test_the_figures_mark_the_front_among_all_candidates(make: Make) -> None:
    record = with_latency(make())
    figures = report_figures(record)
    for name, measure, unit in (
        ("cost", Measure.LATENCY, 1000),
        ("parameters", Measure.PARAMETERS, 1),
        ("accuracy", Measure.DEPTH, 1),
    ):
        traces = {trace["name"]: trace for trace in figures[name]["data"]}
        size = size_by(measure)
        front = traces["Pareto front"]
        assert front["x"] == [pytest.approx(unit * (size(each) or 0)) for each in front_by(record, size)]
        drawn = [x for key, trace in traces.items() if key.startswith("residual") for x in trace["x"]]
        assert sorted(drawn) == pytest.approx(sorted(unit * (size(each) or 0) for each in record.candidates))
    assert figures["cost"]["layout"]["xaxis"]["title"]["text"] == "ms in ONNX Runtime 1.32.0"
    assert report_figures(make())["cost"]["layout"]["xaxis"]["title"]["text"] == "multiply-accumulates"
