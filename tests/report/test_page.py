"""The page: whole, self-contained, true to its record, and deaf to what names say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from deepenough.record import Record
from deepenough.record.schema import RunStatus
from deepenough.report import write_report

EVIL = "</script><script>alert(1)</script>"
SECTIONS = {
    "answer", "accuracy", "overfitting", "cost", "curves", "search", "comparisons", "test", "mistakes", "data",
    "network", "recipe", "reproduce",
}  # fmt: skip
Make = Callable[..., Record]
Save = Callable[[Record], Path]
Looked = Callable[[Record], Record]


class Page(HTMLParser):
    """Elements, text outside scripts and styles, and the figures of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.inside = ""
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.words.append(data)

    @property
    def figures(self) -> dict[str, dict[str, list[dict[str, list[float]]]]]:
        return json.loads(self.scripts[0])  # type: ignore[no-any-return]


def page_of(record: Record, save: Save) -> Page:
    return Page(write_report(save(record)).read_text(encoding="utf-8"))


@pytest.mark.parametrize("target", [None, 0.92])
@pytest.mark.parametrize("folds", [1, 5])
def test_the_page_is_whole_and_needs_nothing_else(make: Make, save: Save, target: float | None, folds: int) -> None:
    page = page_of(make(target, folds=folds), save)
    assert {a["id"] for tag, a in page.tags if tag == "section"} == SECTIONS
    assert len(page.scripts) == 3
    for tag, given in page.tags:
        for key in ("src", "href", "srcset", "data", "action"):
            assert not given.get(key) or (given[key] or "").startswith(("data:", "#")), (tag, key)
    assert sum(tag == "img" and (a["src"] or "").startswith("data:image/png") for tag, a in page.tags) == 8


def test_a_bound_at_the_target_comes_with_its_confidence(make: Make, save: Save) -> None:
    record = make(0.92)
    assert record.decision
    first, *others = record.decision.target_checks
    record.decision.target_checks = [first.model_copy(update={"alpha": 0.0144}), *others]
    text = page_of(record, save).text
    assert f"{first.lower:.2%} (98.6%)" in text
    assert all(f"{check.lower:.2%} (95.0%)" in text for check in others)


def test_numbers_are_those_of_the_record(make: Make, save: Save) -> None:
    record = make()
    page = page_of(record, save)
    assert record.test
    assert record.decision
    assert record.cost
    for number in (
        f"{record.test.top1.value:.1%}",
        record.decision.text[1:],
        f"{record.cost.times_chosen:.2f} times",
        f"{record.cost.share_of_space:.0%} of training",
        record.data.fingerprint,
        record.command,
        "210 duplicate, 1 damaged",
        "other 11 are in record.json",
        *(f"{c.decision.top1.value:.2%}" for c in record.candidates if c.decision),
        *(f"{b.test.value:.1%}" for b in record.baselines),
    ):
        assert number in page.text
    line, open_, *_ = page.figures["accuracy"]["data"]
    for drawn, names in ((line, (0, 1, 3, 4)), (open_, (2, 5))):  # a second seed and a look ahead are not joined
        candidates = [record.candidates[n] for n in names]
        assert list(zip(drawn["x"], drawn["y"], strict=True)) == [
            (c.depth, pytest.approx(100 * c.decision.top1.value)) for c in candidates if c.decision
        ]


def test_names_are_shown_and_do_nothing(make: Make, save: Save) -> None:
    record = make(classes=[EVIL, "<img src=x onerror=alert(2)>", "c&d"])
    record.mistakes[0].name = EVIL
    record.data.findings[0].name = EVIL
    record.candidates[0].name += EVIL
    page = page_of(record, save)
    assert len(page.scripts) == 3
    assert not [a for _, a in page.tags if any(key.startswith("on") for key in a)]
    assert EVIL in page.text
    assert page.figures["confusion"]["layout"]["xaxis"]["ticktext"][1].startswith("&lt;img")  # type: ignore[index, call-overload]


def test_options_in_the_advice_are_not_broken_behind_their_hyphens(make: Make, save: Save) -> None:
    record = make()
    assert record.decision
    record.decision.advice = [f"another: --family inception, or --max-depth {EVIL}"]
    page = page_of(record, save)
    assert [a["class"] for tag, a in page.tags if tag == "span" and a.get("class") == "whole"] == ["whole", "whole"]
    assert f"another: --family inception, or --max-depth {EVIL}" in page.text
    assert len(page.scripts) == 3


def test_heat_stands_beside_mistakes_and_right_answers(make: Make, save: Save, looked: Looked) -> None:
    record = looked(make())
    record.examples[0].name = EVIL
    record.mistakes[3].truth_heat = None
    page = page_of(record, save)
    assert {a["id"] for tag, a in page.tags if tag == "section"} == {*SECTIONS, "examples", "signals"}
    pictures = [a for tag, a in page.tags if tag == "img"]
    assert len(pictures) == 8 * 3 - 1 + 2 * len(record.examples)
    assert all((a["src"] or "").startswith("data:image/png") for a in pictures)
    assert EVIL in page.text
    assert "deepenough[explain]" not in page.text


def test_without_heat_the_page_says_how_to_get_it(make: Make, save: Save) -> None:
    assert "pip install 'deepenough[explain]'" in page_of(make(), save).text


def test_signals_are_drawn_on_one_scale(make: Make, save: Save, looked: Looked) -> None:
    record = looked(make())
    record.candidates[-2].trainings[0].curve[0].gradients[0] = None  # no number
    figures = page_of(record, save).figures
    chosen, deepest = (figures[f"gradients-{who}"]["data"][0] for who in ("chosen", "deepest"))
    assert record.decision
    assert len(chosen["z"]) == record.candidate(record.decision.chosen).depth
    assert len(deepest["z"]) == max(c.depth for c in record.candidates if c.trainings)
    assert (chosen["zmin"], chosen["zmax"]) == (deepest["zmin"], deepest["zmax"]) == (-len(deepest["z"]), -1)
    assert chosen["z"][0][0] == -len(chosen["z"])  # the gradient at the first layer, as a power of ten
    assert figures["activations-chosen"]["data"][0]["z"][2][0] == pytest.approx(math.log10(3), abs=1e-3)


def test_a_picture_outside_the_run_is_not_read(make: Make, save: Save, tmp_path: Path) -> None:
    record = make()
    run = save(record)
    (run.parent / "secret.png").write_bytes(b"secret")
    record.mistakes[0].picture = "../secret.png"
    record.mistakes[1].picture = "pictures/gone.png"
    (run / "record.json").write_text(record.model_dump_json())
    page = Page(write_report(run).read_text())
    assert page.text.count("picture not found") == 2


@pytest.mark.parametrize(
    "missing",
    [
        {"status": RunStatus.RUNNING, "candidates": [], "steps": [], "decision": None, "cost": None, "layers": [],
         "train": None, "test": None, "baselines": [], "mistakes": []},
        {"status": RunStatus.INTERRUPTED, "decision": None, "cost": None, "layers": [], "test": None, "mistakes": []},
        {"mistakes": []},
        {"steps": [], "layers": [], "baselines": [], "train": None},
    ],
)  # fmt: skip
def test_absent_parts_are_said_to_be_absent(make: Make, save: Save, missing: dict[str, object]) -> None:
    page = page_of(make().model_copy(update=missing), save)
    assert {a["id"] for tag, a in page.tags if tag == "section"} == SECTIONS
    assert any(a.get("class") == "none" for _, a in page.tags)


def test_one_candidate_and_hundreds_of_classes(make: Make, save: Save) -> None:
    record = make(classes=[f"class {n}" for n in range(200)])
    record.candidates = record.candidates[3:4]
    record.candidates[0].decision = None
    page = page_of(record, save)
    assert len(page.figures["confusion"]["data"][0]["z"]) == 200
    assert "accuracy" not in page.figures
