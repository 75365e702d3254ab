"""What the record holds in English, made anew in Chinese from its figures: probes, findings and the steps of cuts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest
from made_records import score

from deepenough.data.finding import Finding
from deepenough.language import Language, catalogue, speaking
from deepenough.preprocessing import Preprocessing
from deepenough.record import Record
from deepenough.record.images import FindingRecord, MirroringRecord, SwapRecord
from deepenough.record.schema import EventRecord, JoinedProbes, Probe, ProbingRecord
from deepenough.report.page import render_report
from deepenough.report.restated import finding_action, finding_detail, mirroring
from deepenough.report.restated_probes import input_text, joined_text, probing_text
from deepenough.report.restated_steps import step_reason, step_title

Make = Callable[..., Record]


def probed(network: str, proposed: int, **given: object) -> ProbingRecord:
    probes = [
        Probe(place=f"fire{n}", depth=n + 1, parameters=1, macs=1, milliseconds=1.0, accuracy=score(0.7 + n / 20, 400),
              difference=0.1 - n / 20, low=0.0, high=0.2, ruled_out=n < proposed)
        for n in range(3)
    ]  # fmt: skip
    values = {
        "weights": "w", "source": "s", "network": network, "sha256": "", "input": "", "images": 400, "folds": 4,
        "preprocess": Preprocessing((224, 224)).to_json(), "metric": "top1", "margin": 0.01, "resolves": 0.023,
        "probes": probes, "proposed": f"fire{proposed}", "text": "", "seconds": 1.0,
    }  # fmt: skip
    return ProbingRecord.model_validate(values | given)


def chinese(text: str | None) -> str:
    assert text
    assert set(re.findall(r"[A-Za-z]{2,}", text)) <= {"fire", "net", "other", "bilinear", "RGB", "epoch", "boot", "bag"}
    return text


def test_probes_are_said_by_their_figures(make: Make) -> None:
    record = make()
    with speaking(Language.CHINESE):
        said = chinese(probing_text(record, probed("net", 1, behind=0.05, behind_lower=0.02, most_frequent=0.9)))
        for figure in ("400", "2.3", "fire1 之后截断", "fire0 比 fire2 差 5.0", "至少 2.0", "90.0%"):
            assert figure in said
        assert "完整网络" in chinese(probing_text(record, probed("net", 2)))
        assert "224x224" in chinese(input_text(probed("net", 2)))
        assert "256" in chinese(
            input_text(probed("net", 2, preprocess=Preprocessing((224, 224), shorter=256).to_json()))
        )
        record.probing, record.further_probings = probed("net", 1), [probed("other", 1)]
        record.joined_probes = JoinedProbes(best="other-fire2", proposed="net-fire1", text="")
        for target, reason in (
            (None, "未被排除的最小网络"),
            (0.75, "探针达到 75.0% 的最小网络"),
            (0.99, "没有探针达到 99.0%"),
        ):
            record.question.target = target
            assert reason in chinese(joined_text(record))
        assert "没有探针达到 99.0%" in chinese(probing_text(record, probed("net", 1)))
        record.joined_probes.best = "gone-fire2"
        assert joined_text(record) is None


def test_every_kind_of_finding_is_said() -> None:
    kinds = re.findall(r"[a-z0-9-]+", " ".join(re.findall(r"- ([a-z0-9, -]+):", str(Finding.__doc__))))
    assert len(kinds) > 20
    with speaking(Language.CHINESE):
        for kind in kinds:
            assert chinese(finding_detail(FindingRecord(kind=kind, name="a", action="kept"))) in catalogue().values()
        twin = FindingRecord(kind="across-splits", name="a", action="left out of training", other="boot/1.png")
        assert "boot/1.png" in finding_detail(twin)
        assert finding_action(twin) == "已从训练集排除"
        assert finding_action(FindingRecord(kind="damaged", name="a", action="kept in test")) == "保留在测试集"


def test_steps_of_cuts_are_said_by_their_figures(make: Make) -> None:
    record = make()
    compared = EventRecord(
        what="x", why="y",
        figures={"chosen": "residual-4", "whole": "residual-20", "loss": 0.012, "lower": -0.002, "upper": 0.03},
    )  # fmt: skip
    left = EventRecord(
        what="x", why="y", figures={"networks": ["net-1", "net-2"], "families": ["net"], "gained": ["2.0"]}
    )
    with speaking(Language.CHINESE):
        assert step_title(record, compared) == "residual-4 与 residual-20 的比较"
        assert "低 1.2 个百分点（−3.0 至 +0.2），并省去 16 层、96% 的参数" in str(step_reason(record, compared))
        compared.figures["loss"] = -0.012
        assert "高 1.2 个百分点" in str(step_reason(record, compared))
        assert step_title(record, left) == "略去 net-1、net-2"
        assert "net 为 2.0 个百分点" in str(step_reason(record, left))


def test_a_step_of_images_that_a_teacher_does_not_take_is_said_by_its_figures(make: Make) -> None:
    figures: dict[str, float | str | list[str]] = {"other_images": "net-fire8", "most_accurate": "other-fire9"}
    step = EventRecord(what="nothing distilled", why="y", figures=figures)
    with speaking(Language.CHINESE):
        assert step_title(make(), step) == "未做蒸馏"
        assert step_reason(make(), step) == "net-fire8 使用的图片与最准确的 other-fire9 不同，无法向它学习"


def test_the_test_of_mirroring_is_said_with_its_figures(make: Make) -> None:
    record = make()
    swaps = [SwapRecord(name="bag", taken_for="boot", share=0.4)]
    record.mirroring = MirroringRecord(
        on=False, basis="test", text="", images=900, seeing=0.9, blind=0.8, harms=True, swaps=swaps
    )
    with speaking(Language.CHINESE):
        said = str(mirroring(record))
    for figure in ("900", "90.0%", "80.0%", "bag", "40%", "boot"):
        assert figure in said


@pytest.mark.parametrize("language", Language)
def test_landmarks_have_names_of_their_own(
    make: Make, looked: Callable[[Record], Record], tmp_path: object, language: Language
) -> None:
    with speaking(language):
        page = render_report(looked(make(0.92)), tmp_path)  # type: ignore[arg-type]
    names = re.findall(r'role="region" tabindex="0" aria-label="([^"]*)"', page)
    names += re.findall(r'<h2 id="[a-z]+-title">([^<]*)</h2>', page)
    assert len(names) > 12
    assert [name for name, count in Counter(names).items() if count > 1] == []
