"""The lab's pages in Chinese: every text of every claim, the same numbers, and records of the schema before."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from made_lab_record import lab_record
from seen_page import Seen, english_left

from deepenough.files import write_checked_json
from deepenough.lab import CLAIMS, claims
from deepenough.lab.claims import augmentation, hyperparameters, learned_features, vanishing_gradient
from deepenough.lab.page import render_experiment
from deepenough.lab.record import LabRecord
from deepenough.lab.text import Message, said, say
from deepenough.language import Language, catalogue, speaking

MODELS = {"Result", "Line", "Point", "Effect"}
SHOWN = {"x", "y", "on", "what", "name", "note"}
"""Keywords of `Result`, `Line`, `Point` and `Effect` whose texts a page shows."""


@pytest.mark.parametrize("log", [False, True])
def test_a_page_is_chinese(log: bool) -> None:
    made = lab_record()
    made.result.log_y = log
    for verdict in ("supported", "not shown", "contradicted here"):
        made.verdict = verdict
        with speaking(Language.CHINESE):
            found = Seen(render_experiment(made))
        assert found.tag == "zh-Hans"
        assert english_left(found, ["deeper", "digits", "cpu"]) == []
        assert any("只评判了 40 张图片" in text for _, text in found.texts)
    assert "Only 40 images are judged" in render_experiment(made)


def test_every_claim_has_its_texts_in_chinese() -> None:
    asked = {claim.text for claim in CLAIMS.values()}
    asked |= {*vanishing_gradient.KINDS, *hyperparameters.NAMES.values(), *augmentation.ONE_AT_A_TIME, "all together"}
    asked |= {"learned", *learned_features.classical(), "plain", "residual"}
    assert asked - set(catalogue()) == set()


def test_claims_show_only_what_is_said() -> None:
    """A text that a page shows goes through `said`, so that the catalogue's test finds it."""
    for path in Path(str(claims.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") not in MODELS:
                continue
            for keyword in node.keywords:
                if keyword.arg in SHOWN:
                    assert not isinstance(keyword.value, ast.Constant | ast.JoinedStr), f"{path.name}:{node.lineno}"


def test_a_text_is_said_in_any_language_and_kept_in_the_record(tmp_path: Path) -> None:
    made = lab_record()
    made.save(tmp_path)
    assert LabRecord.load(tmp_path) == made
    what = made.result.effects[0].what
    assert isinstance(what, Message)
    assert say(what) == "accuracy at depth 7 minus that at depth 3"
    with speaking(Language.CHINESE):
        assert say(what) == "深度 7 的准确率减去深度 3 的准确率"
        assert say("depth") == "深度"
        nested = said("powers of ten lost with sigmoids minus those with %(kind)s", kind=said("relu, norms"))
        assert "ReLU 加归一化" in say(nested)


def test_records_of_schema_2_are_read(tmp_path: Path) -> None:
    made = lab_record()
    content = json.loads(made.model_dump_json())
    content["schema_version"] = 2
    for effect in content["result"]["effects"]:
        effect["what"] = "accuracy at depth 7 minus that at depth 3"
    write_checked_json(tmp_path / "record.json", content)
    read = LabRecord.load(tmp_path)
    assert "accuracy at depth 7 minus that at depth 3" in render_experiment(read)
