"""The lab's pages in Chinese: every text of every claim, the same numbers, and records of the schema before."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from seen_page import Seen, english_left

from deepenough.files import write_checked_json
from deepenough.lab import CLAIMS, claims
from deepenough.lab.claims import augmentation, hyperparameters, learned_features, vanishing_gradient
from deepenough.lab.page import render_experiment
from deepenough.lab.record import Effect, LabRecord, Line, Point, Result, overall_verdict
from deepenough.lab.text import Message, said, say
from deepenough.language import Language, catalogue, speaking

MODELS = {"Result", "Line", "Point", "Effect"}
SHOWN = {"x", "y", "on", "what", "name", "note"}
"""Keywords of `Result`, `Line`, `Point` and `Effect` whose texts a page shows."""


def record(**changes: object) -> LabRecord:
    points = [Point(x=x, values=[0.5, 0.6 + x / 100], unit="share", images=40, error=0.01) for x in (3.0, 7.0)]
    effects = [
        Effect(what=said("accuracy at depth %(deep)s minus that at depth %(shallow)s", deep="7", shallow="3"),
               values=values, unit="difference of shares", images=40)
        for values in ([0.2, 0.21], [0.0, 0.1], [-0.2, -0.21])
    ]  # fmt: skip
    effects.append(Effect(what=said("pixels that %(small)s sees further", small="3x3-3x3"), values=[1], kind="counted"))
    lines = [
        Line(name=said("%(count)s images", count="200"), points=points),
        Line(name=said("residual"), points=[Point(x=3.0, values=[0.4], note=said("%(count)s images", count="9"))]),
    ]
    result = Result(x=said("depth"), y=said("accuracy"), lines=lines, effects=effects, notes=[
        said("`deepenough features RUN` shows the patches that excite each depth."),
    ])  # fmt: skip
    made = {
        "name": "deeper", "claim": CLAIMS["deeper"].text, "quick": True, "seeds": [0, 1], "result": result,
        "data": said("%(source)s, %(train)s images to train, %(judge)s to judge", source="digits", train="9",
                     judge="40"),
        "verdict": overall_verdict(effects), "seconds": 75.0, "environment": {"deepenough": "0.2.0", "device": "cpu"},
    }  # fmt: skip
    return LabRecord.model_validate(made | changes)


@pytest.mark.parametrize("log", [False, True])
def test_a_page_is_chinese(log: bool) -> None:
    made = record()
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
    made = record()
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
    made = record()
    content = json.loads(made.model_dump_json())
    content["schema_version"] = 2
    for effect in content["result"]["effects"]:
        effect["what"] = "accuracy at depth 7 minus that at depth 3"
    write_checked_json(tmp_path / "record.json", content)
    read = LabRecord.load(tmp_path)
    assert "accuracy at depth 7 minus that at depth 3" in render_experiment(read)
