"""The documented schema of `record.json` is the one that records are checked with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deepenough import DeepenoughError, record
from deepenough.files import read_checked_json
from deepenough.record import Record

SCHEMA = Path(__file__).resolve().parents[1] / "docs" / "record.schema.json"


def test_the_documented_schema_is_the_one_in_use() -> None:
    documented = json.loads(SCHEMA.read_text(encoding="utf-8"))
    assert documented == Record.model_json_schema(), (
        "docs/record.schema.json is not that of the code; write it anew with "
        "json.dumps(Record.model_json_schema(), indent=2), and raise SCHEMA if old records can't be read any more"
    )


def test_a_record_comes_back_as_it_was_saved(finished: Path, tmp_path: Path) -> None:
    before = record.load(finished)
    record.save(before, tmp_path)
    assert record.load(tmp_path) == before


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"format": 2', '"format": 99', "record format 99; this version reads 1 and 2"),
        ('"status": "finished"', '"status": "done"', "not what deepenough wrote.*begin a new run"),
        ('"margin": 0.01', '"margin": 0.02', "not what deepenough wrote.*begin a new run"),
        ('"seed": 0', '"sed": 0', "not what deepenough wrote"),
        ('"content_sha256"', '"content_sha255"', "'content_sha255'; the file is damaged"),
        ("{", "", "not JSON"),
    ],
)
def test_a_changed_record_is_an_error_that_names_the_file(
    finished: Path, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    text = (finished / "record.json").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "record.json").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeepenoughError, match=expected) as error:
        record.load(tmp_path)
    assert str(tmp_path / "record.json") in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"status": "finished"', '"status": "done"', "status: .*; the file is damaged"),
        ('"seed": 0', '"sed": 0', "the file is damaged"),
    ],
)
def test_a_record_without_a_checksum_is_checked_against_the_schema(
    finished: Path, tmp_path: Path, old: str, new: str, expected: str
) -> None:
    """As it was written before records had one."""
    text = record.load(finished).model_dump_json(indent=1, exclude={"content_sha256"})
    (tmp_path / "record.json").write_text(text, encoding="utf-8")
    assert record.load(tmp_path) == record.load(finished)
    (tmp_path / "record.json").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DeepenoughError, match=expected):
        record.load(tmp_path)


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_what_is_no_run_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeepenoughError, match=re.escape(f"{str(tmp_path / name)!r}") + ".*give the RUN"):
        record.load(tmp_path / name)


def test_a_record_of_format_1_is_brought_to_the_present_one(finished: Path, tmp_path: Path) -> None:
    """Everything that was renamed, in one made-up record: with a probed network, a pruned candidate, a target."""
    content = read_checked_json(finished / "record.json")
    expected = record.load(finished)
    content["ladder"] = content.pop("search_space")
    content["plan"]["rungs"] = content["plan"].pop("architectures")
    for candidate in content["candidates"]:
        candidate["role"] = {"search space": "ladder"}.get(candidate["role"], candidate["role"])
        for fold, training in enumerate(candidate["trainings"]):
            training |= {"fold": fold, "seed": 0, "waited": training["waited"] / training["seconds"]}
    decision, cost = content["decision"], content["cost"]
    decision["candidate"], decision["target"] = decision.pop("chosen"), decision.pop("target_checks")
    cost["whole_ladder"], cost["share_of_ladder"] = cost.pop("whole_space"), cost.pop("share_of_space")
    share = {"value": 0.5, "count": 2, "low": 0.1, "high": 0.9}
    place = {"place": "fire2", "depth": 4, "parameters": 1, "macs": 1, "milliseconds": 1.0, "accuracy": share,
             "difference": 0.0, "low": 0.0, "high": 0.0, "ruled_out": False}  # fmt: skip
    del content["probing"]
    content["sounding"] = {
        "weights": "w", "source": "s", "network": "n", "sha256": "", "input": "", "images": 2, "folds": 2,
        "metric": "top1", "margin": 0.01, "resolves": 0.1, "places": [place], "proposed": "fire2", "text": "",
        "seconds": 1.0,
    }  # fmt: skip
    content["candidates"][0]["state"] = content["candidates"][0]["trainings"][0]["ended"] = "hopeless"
    content["format"] = 1
    (tmp_path / "record.json").write_text(json.dumps(content), encoding="utf-8")
    found = record.load(tmp_path)
    assert found.probing is not None
    assert [probe.place for probe in found.probing.probes] == ["fire2"]
    assert found.candidates[0].state == found.candidates[0].trainings[0].ended == "pruned"
    for before, after in zip(expected.candidates, found.candidates, strict=True):
        for trained, read in zip(before.trainings, after.trainings, strict=True):
            assert read.waited == pytest.approx(trained.waited)
            read.waited, read.ended = trained.waited, trained.ended
        after.state = before.state
    assert found.model_copy(update={"probing": None}) == expected


def test_a_damaged_record_of_format_1_names_the_file(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"format": 1}', encoding="utf-8")
    with pytest.raises(DeepenoughError, match=r"record\.json: .*'ladder'.*the file is damaged"):
        record.load(tmp_path)
