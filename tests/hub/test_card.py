"""The model card: what the hub reads of it, what it says, and what it keeps to itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from deepenough.hub.card import FinishedModel, card_text, cell, read_finished, source_name
from deepenough.record import Record
from deepenough.record import load as load_record
from deepenough.record.schema import ProbingRecord

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def card(finished: Path) -> str:
    return card_text(read_finished(finished), "ann/shapes")


@pytest.fixture(scope="module")
def chinese(finished: Path) -> str:
    return card_text(read_finished(finished), "ann/shapes", "zh")


@pytest.fixture(scope="module")
def record(finished: Path) -> Record:
    return load_record(finished)


def test_the_hubs_own_reader_reads_the_metadata(card: str, record: Record) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard(card).data
    assert (data.library_name, data.pipeline_tag, data.metrics) == ("deepenough", "image-classification", ["accuracy"])
    assert "deepenough" in data.tags
    (result,) = data.eval_results
    assert result.metric_value == pytest.approx(record.test.top1.value, abs=1e-6)
    assert (result.metric_type, result.dataset_name, result.dataset_split) == ("accuracy", "shapes", "test")
    assert data.model_name == "shapes"


def test_it_has_the_figures_of_the_record(card: str, record: Record) -> None:
    chosen, test = record.candidate(record.decision.chosen), record.test
    assert f"| Depth | {chosen.depth} weighted layers |" in card
    assert f"| Parameters | {chosen.parameters:,} |" in card
    for split, counts in record.data.counts.items():
        assert f"| {split} | {sum(counts):,} |" in card
    right = sum(row[n] for n, row in enumerate(test.confusion))
    low, high = 100 * test.top1.low, 100 * test.top1.high
    assert f"({right} of {test.top1.count}; 95% interval {low:.1f}–{high:.1f}%)" in card
    for candidate in record.candidates:
        interval = candidate.decision.top1
        assert re.search(rf"\| {candidate.name} \|.*{100 * interval.low:.1f}–{100 * interval.high:.1f}%", card)


def test_it_has_a_section_for_each_question(card: str) -> None:
    headings = re.findall("^## (.*)$", card, re.MULTILINE)
    assert headings == ["Use it", "Network", "Data", "Decision", "Test images", "Limits"]
    assert 'deepenough.load("hf:ann/shapes")' in card


def test_in_chinese_it_says_the_same(card: str, chinese: str, record: Record) -> None:
    """The same metadata, code and figures, and no English word but names and terms."""

    def figures(text: str) -> list[str]:
        return sorted(re.findall(r"\d[\d.,]*\d|\d", text))

    metadata = card.split("---")[1]
    assert chinese.split("---")[1] == metadata
    assert figures(chinese) == figures(card)
    assert re.findall("^## (.*)$", chinese, re.MULTILINE) == ["用法", "网络", "数据", "判定", "测试图片", "局限"]
    prose = re.sub(r"```.*?```", "", chinese.replace(metadata, ""), flags=re.DOTALL)
    names = [record.data.source, *record.data.classes, *(each.name for each in record.candidates)]
    terms = {"deepenough", "JSON", "safetensors", "SHA", "bilinear", "RGB", "model"}
    known = terms | {word for name in names for word in re.findall("[A-Za-z]{2,}", name)}
    assert set(re.findall("[A-Za-z]{2,}", prose)) <= known


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_table_is_whole(card: str, chinese: str, language: str) -> None:
    """Each row has as many cells as the one above it, so that nothing of a name reads as Markdown."""
    lines = {"en": card, "zh": chinese}[language].splitlines()
    for above, below in pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", above)) == len(re.findall(r"(?<!\\)\|", below)), below


def test_it_names_no_folder_of_the_machine(card: str, shapes: Path, finished: Path) -> None:
    assert str(shapes.parent) not in card
    assert str(finished.parent) not in card
    assert ".png" not in card


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/home/ann/secret/shapes", "shapes"),
        ("/home/ann/secret/shapes/", "shapes"),
        (r"C:\Users\ann\shapes", "shapes"),
        ("../shapes.csv", "shapes.csv"),
        ("digits", "digits"),
        ("hf:ann/shapes", "hf:ann/shapes"),
        ("/", "images"),
    ],
)
def test_a_source_is_named_without_its_folders(source: str, name: str) -> None:
    assert source_name(source) == name


def start_on_card(run: FinishedModel, weights: dict[str, str]) -> list[str]:
    """The weights that the card names, where the run has these, by the names of their networks."""
    first, *others = (
        ProbingRecord.model_construct(weights=each, source="torchvision", network=network)
        for network, each in weights.items()
    )
    record = run.record.model_copy(update={"probing": first, "further_probings": others})
    return re.findall(r"^\| Starts from \| (.*) \|$", card_text(replace(run, record=record)), re.MULTILINE)


def test_pretrained_weights_are_named_without_their_folder(finished: Path) -> None:
    run = read_finished(finished)
    family = run.record.candidate(run.decision.chosen).family
    named = start_on_card(run, {family: "/home/ann/secret/own.pth", "resnet18": "resnet18.tv_in1k"})
    assert named == ["the pretrained weights own.pth (torchvision)"]
    assert "Starts from" not in card_text(run)


def test_only_the_weights_that_the_network_started_from_are_named(finished: Path) -> None:
    """Of two files of one kind of network, the name of one network begins that of the other."""
    run = read_finished(finished)
    kind = run.record.candidate(run.decision.chosen).family
    renamed = [
        each.model_copy(
            update={"family": f"{kind}-birds", "name": f"{kind}-birds-{each.name.removeprefix(f'{kind}-')}"}
        )
        for each in run.record.candidates
    ]
    decision = run.decision.model_copy(
        update={"chosen": f"{kind}-birds-{run.decision.chosen.removeprefix(f'{kind}-')}"}
    )
    record = run.record.model_copy(update={"candidates": renamed, "decision": decision})
    files = {kind: "plain.pth", f"{kind}-birds": "birds.pth"}
    assert start_on_card(run, files) == ["the pretrained weights plain.pth (torchvision)"]
    of_birds = replace(run, record=record, decision=decision)
    assert start_on_card(of_birds, files) == ["the pretrained weights birds.pth (torchvision)"]


def test_a_class_name_is_text(finished: Path) -> None:
    assert cell("a|b\n<script>") == "a\\|b &lt;script>"


def test_a_run_of_an_older_version_has_a_card() -> None:
    found = read_finished(Path(__file__).parents[1] / "fixtures" / "run-0.1.0")
    assert "95% interval 42.8–94.5%" in card_text(found)


def test_the_command_prints_or_writes_it(
    finished: Path, card: str, chinese: str, command: Command, tmp_path: Path
) -> None:
    assert command("card", finished, "ann/shapes") == (0, card, "")
    assert command("card", finished, "ann/shapes", "--out", tmp_path / "card.md")[0] == 0
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == card
    assert command("card", finished, "ann/shapes", "--language", "zh") == (0, chinese, "")
    status, _, err = command("card", finished, "--out", tmp_path / "card.md")
    assert (status, "it exists already; name a new file" in err) == (2, True)
    status, _, err = command("card", tmp_path)
    assert (status, "it has no record.json; give the RUN" in err) == (2, True)
