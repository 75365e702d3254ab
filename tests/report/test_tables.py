"""The tables of the terminal."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from deepenough.nets import FAMILIES
from deepenough.nets.summary import layer_table, network_table, zoo_table
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.catalogue import CATALOGUE
from deepenough.record import Record
from deepenough.report import tables

Make = Callable[..., Record]


def printed(what: RenderableType, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(what)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("target", [None, 0.92])
def test_the_evidence_has_the_decision_and_its_cost(make: Make, width: int, target: float | None) -> None:
    record = make(target)
    assert record.test
    text = printed(tables.evidence(record, Path("run/report.html")), width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for part in ("is enough", "chosen", f"{record.test.top1.value:.1%}", "911 of 1,000", "4.36 times", "41%",
                 "linear model", "210 duplicate", "run/report.html"):  # fmt: skip
        assert part in text
    for candidate in record.candidates:
        assert candidate.decision
        assert f"{candidate.decision.top1.value:.1%}" in text


def test_a_network_that_learned_nothing_is_not_called_enough(make: Make) -> None:
    record = make()
    assert record.test
    count, classes = record.test.top1.count, len(record.data.classes)
    confusion = [[count] + [0] * (classes - 1)] + [[0] * classes for _ in range(classes - 1)]
    test = record.test.model_copy(update={"confusion": confusion})
    text = printed(tables.answer(record.model_copy(update={"test": test})), 120)
    assert "not shown to have learned anything" in text
    assert "is enough" not in text


def test_names_are_no_markup(make: Make) -> None:
    record = make(classes=["[red]a[/red]", "b"])
    assert record.test
    assert "[red]a[/red]" in printed(tables.metrics_table(record.test, record.data.classes), 80)


def test_an_unfinished_run_has_no_answer(make: Make) -> None:
    text = printed(
        tables.evidence(make().model_copy(update={"decision": None, "cost": None, "test": None, "status": "running"})),
        80,
    )
    assert "No answer yet" in text
    assert "not judged" in text


@pytest.mark.parametrize("no_wrap", [False, True])
@pytest.mark.parametrize("width", [30, 50, 80, 300])
def test_a_narrow_terminal_loses_nothing(width: int, no_wrap: bool) -> None:
    """Whatever the width, every character of headings and cells is printed."""
    rows = [("alexnet.tv_in1k", "alexnet_torchvision", "61,100,840", "43.48 / 20.93"), ("é" * 40, "b", "1", "2")]
    headings = ("name", "network"), ("parameters", "top-1 / top-5")
    table = tables.plain_table(left=headings[0], right=headings[1])
    for column in table.columns:
        column.no_wrap = no_wrap
    for row in rows:
        table.add_row(*row)
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    wanted = "".join(word for cells in (*headings, *rows) for word in cells)
    assert Counter(text) - Counter(" \n─" * len(text)) == Counter(wanted.replace(" ", ""))


@pytest.mark.parametrize("name", ["residual-100", "residual-100-w2", "residual-8-seed1"])
def test_a_narrow_terminal_keeps_names_in_one_piece(make: Make, name: str) -> None:
    """At 80 columns, where the name is by far the longest word and every other column gives way."""
    record = make(0.92)
    record.candidates[-1].name = name
    lines = printed(tables.evidence(record), 80).splitlines()
    assert any(line.split()[:1] == [name] for line in lines)
    assert max(map(len, lines)) <= 80
    assert all(any(amount in line.split() for line in lines) for amount in ("6.08M", "107M", "88.7–92.3%"))


@pytest.mark.parametrize("width", [80, 120])
def test_names_of_networks_and_of_their_layers_are_in_one_piece(width: int) -> None:
    words = printed(zoo_table(), width).split()
    assert set(CATALOGUE) <= set(words)
    network = NETWORKS["resnet18"]()
    words = printed(network_table(network), width).split()
    for row in layer_table(network):
        assert {
            row.path,
            row.kind,
            "x".join(map(str, row.output_shape)),
            f"{row.macs or row.receptive_field:,}",
        } <= set(words)


def test_the_kinds_of_layers_are_in_one_piece_in_a_narrow_terminal() -> None:
    network = FAMILIES["inception"].network(input=(3, 32, 32), classes=10, depth=8, width=1.0)
    lines = printed(network_table(network), 60).splitlines()
    assert {f"{row.path}  {row.kind}" for row in layer_table(network)} <= {line.rstrip() for line in lines}


def test_a_row_that_does_not_fit_has_its_name_above_it() -> None:
    """At 72 columns, weights and what is known of them: nothing is cut, and numbers are below their headings."""
    table = tables.plain_table("Weights", left=("name", "network"), right=("params", "top-1 / top-5", "MB"))
    table.add_column("input")
    names = ("mobilenetv3_large_100.ra_in1k", "efficientnet_lite0.ra_in1k")
    table.add_row(names[0], "mobilenetv3_large_100", "5,483,032", "24.23 / 7.46", "22", "224x224 of 256, bicubic")
    table.add_row(names[1], "efficientnet_lite0", "4,652,008", "24.52 / 7.49", "19", "224x224 of 256, bicubic")
    table.add_row("", "", "", "24.60 / 7.50", "", "a second measurement")
    lines = [line.rstrip() for line in printed(table, 72).splitlines()]
    assert "" not in lines[2:-1]
    assert lines[0] == "Weights"
    assert max(map(len, lines)) <= 72
    assert set(names) <= set(lines)
    heading, first = (next(line for line in lines if word in line) for word in ("MB", "5,483,032"))
    assert first.split()[:5] == ["mobilenetv3_large_100", "5,483,032", "24.23", "/", "7.46"]
    assert first.index("22 ") + len("22") == heading.index("MB") + len("MB")


def test_a_table_of_names_alone_is_folded() -> None:
    table = tables.plain_table(left=("name",))
    table.add_row("residual-7-of-a-long-name")
    text = printed(table, 10)
    assert max(map(len, text.splitlines())) <= 10
    assert "".join(text.split()).endswith("residual-7-of-a-long-name")


def test_a_row_is_as_bold_or_dim_in_a_narrow_terminal() -> None:
    """So are its name above it and the title, whose numbers rich would colour."""
    table = tables.plain_table(
        "Decided on 1,438 images", left=("name",), right=("parameters", "accuracy of all images")
    )
    table.add_row("residual-7-of-a-long-name", "112,000", "99.1%", style="bold")
    table.add_row("residual-11", "205,000", "99.2%", style="dim")
    for width in (30, 120):
        out = io.StringIO()
        Console(file=out, width=width, force_terminal=True, color_system="truecolor").print(table)
        lines = out.getvalue().splitlines()
        assert lines[0].startswith("\x1b[2mDecided on 1,438 images")
        for word, code in (("residual-7", 1), ("112", 1), ("residual-11", 2), ("205", 2)):
            assert any(f"\x1b[{code}m" in line and word in line for line in lines)


def test_a_table_is_printed_wide_again_after_a_narrow_one() -> None:
    table = zoo_table()
    wide = printed(table, 120)
    printed(table, 40)
    assert printed(table, 120) == wide
