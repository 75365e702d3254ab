"""The documented schema of `record.json` is the one that records are checked with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from deepenough import DeepenoughError, record
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
        ('"status": "finished"', '"status": "done"', "status: .*; the file is damaged"),
        ('"seed": 0', '"sed": 0', "the file is damaged"),
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


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_what_is_no_run_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeepenoughError, match=re.escape(f"{str(tmp_path / name)!r}") + ".*give the RUN"):
        record.load(tmp_path / name)
