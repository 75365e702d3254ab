"""Runs with limits and with latency: a fake timer stands for the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from unfinished_run import make_unfinished

from deepenough import DeepenoughError, fit, plan, record, resume
from deepenough.experiment.measured_space import measured_space
from deepenough.experiment.options import Options
from deepenough.language import Language, speaking
from deepenough.nets import NETWORKS, Network, depth, parameters
from deepenough.nets.cut import cut_at, cuts
from deepenough.progress import Reporter
from deepenough.report.page import render_report
from deepenough.runtimes import latency, table
from deepenough.runtimes.latency import PredictionTimes
from deepenough.runtimes.table import Conditions
from deepenough.search.architectures import cut_architectures, search_space

pytestmark = pytest.mark.seconds(20)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[Network], Conditions]]:
    """A timer for which wide networks are fast and deep ones slow; what it was asked for."""
    asked: list[tuple[Sequence[Network], Conditions]] = []

    def time_predictions(networks: Sequence[Network], conditions: Conditions, reporter: Reporter) -> PredictionTimes:
        asked.append((networks, conditions))
        seconds = [depth(network) * 1e-3 - parameters(network) * 1e-9 for network in networks]
        return PredictionTimes("Fake 1.0", [[each, each] for each in seconds])

    monkeypatch.setattr(latency, "time_predictions", time_predictions)
    return asked


class Told(Reporter):
    """What the user was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


SPACE = search_space(["residual"], [0.5, 1.0], (3, 16, 16), 3, max_depth=16)


def test_a_search_space_keeps_its_limits_and_says_so(timed: list[Any]) -> None:
    asked = Options.of(max_latency="9ms", max_parameters="100k", runtime="onnx", runtime_threads=2, runtime_batch=4)
    reporter = Told()
    found = measured_space(SPACE, asked, None, reporter)
    assert list(found.architectures) == [
        each for each in found.architectures if each.depth <= 9 and each.parameters <= 100_000
    ]
    ((networks, conditions),) = timed
    assert conditions == Conditions("onnx", batch=4, threads=2)
    small = [each for each in SPACE if each.parameters <= 100_000]
    assert list(networks) == [each.network for each in small], "what is too large anyway is not measured"
    assert found.limits is not None
    assert {each.name for each in found.architectures} | {each.name for each in found.limits.left_out} == {
        each.name for each in SPACE
    }
    for each in found.limits.left_out:
        assert ("parameters" in each.why) == (each.parameters > 100_000)
        assert (each.latency is None) == (each.parameters > 100_000)
    assert found.limits.text in reporter.lines
    assert found.latency is not None
    assert found.latency.text in reporter.lines
    assert found.latency.text.startswith("latency of 4 images in Fake 1.0 on 2 threads, ")


def test_nothing_is_measured_or_said_where_nothing_was_asked(timed: list[Any]) -> None:
    reporter = Told()
    found = measured_space(SPACE, Options.of(minimize="parameters"), None, reporter)
    assert (found.architectures, found.limits, found.latency) == (SPACE, None, None)
    assert not timed
    assert not reporter.lines


def test_latencies_that_overlap_are_said_not_to_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    times = PredictionTimes("Fake 1.0", [[0.001, 0.0012]] * len(SPACE))
    monkeypatch.setattr(latency, "time_predictions", lambda *given: times)
    found = measured_space(SPACE, Options.of(minimize="latency"), None, Reporter())
    assert found.latency is not None
    names = " and ".join(each.name for each in sorted(SPACE, key=lambda each: (each.depth, each.macs)))
    assert found.latency.text.endswith(f"quartiles overlap, so the shallower counts as faster: {names}")


def test_cuts_of_a_pretrained_network_keep_limits_too(timed: list[Any]) -> None:
    whole = NETWORKS["squeezenet1_1"]()
    places = cut_architectures("squeezenet1_1", [(c.place, cut_at(whole, c.place, 10)) for c in cuts(whole)])
    found = measured_space(places, Options.of(max_size="1MB", runtime="torch"), None, Reporter())
    assert [each.place for each in found.architectures] == [e.place for e in places if e.weight_bytes <= 1e6]
    assert 0 < len(found.architectures) < len(places)
    assert all(each.latency for each in found.architectures)


def test_a_limit_of_int8_keeps_more_and_is_in_the_record(timed: list[Any]) -> None:
    most = min(each.weight_bytes for each in SPACE) - 1
    reporter = Told()
    found = measured_space(SPACE, Options.of(max_size=most, max_size_as="int8"), None, reporter)
    assert [each.name for each in found.architectures] == [e.name for e in SPACE if e.bytes_as("int8") <= most]
    with pytest.raises(DeepenoughError, match="bytes of weights; the nearest is"):
        measured_space(SPACE, Options.of(max_size=most), None, Reporter())
    assert found.limits is not None
    assert (found.limits.size, found.limits.size_as) == (most, "int8")
    assert " of weights as int8; left out: " in found.limits.text
    assert all(each.why.endswith(" of weights as int8") for each in found.limits.left_out)
    assert found.limits.text in reporter.lines


@pytest.fixture
def options(quick: dict[str, Any]) -> dict[str, Any]:
    """Two networks of each width, of which the deeper narrow one is over the limit of latency."""
    more = {"width": (0.5, 1.0), "max_depth": 10, "epochs": 1, "budget": 9.0}
    return {**quick, **more, "minimize": "latency", "runtime": "torch", "max_parameters": "10M"}


def test_a_run_goes_on_with_the_latencies_that_it_began_with(
    shapes: Path, tmp_path: Path, options: dict[str, Any], timed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fit(shapes, out=tmp_path / "run", **options).record
    (_,) = timed
    order = [(each.depth, -each.width) for each in before.search_space]
    assert order == sorted(order), "by latency: the wide ones are a little faster"
    trained = [each.name for each in before.candidates if each.role == "search space"]
    assert trained[:2] == [each.name for each in before.search_space][:2]
    assert all(each.latency for each in (*before.search_space, *before.candidates))
    assert before.limits is not None
    assert before.limits.text == "4 of 4 networks are within 10M parameters"
    assert before.latency is not None
    assert before.latency.text[1:] in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")

    def never(*given: Any) -> Any:
        raise AssertionError("measured again")

    monkeypatch.setattr(latency, "time_predictions", never)
    monkeypatch.setattr(table, "absent", lambda packages: ["gone"])  # nor is the runtime needed any more
    make_unfinished(tmp_path / "run")
    after = resume(tmp_path / "run").record
    assert after.search_space == before.search_space
    assert (after.limits, after.latency) == (before.limits, before.latency)
    assert [c.name for c in after.candidates] == [c.name for c in before.candidates]
    assert after.decision == before.decision
    assert record.load(tmp_path / "run").status == "finished"


def test_the_answer_names_the_export_that_a_limit_is_of(
    shapes: Path, tmp_path: Path, quick: dict[str, Any], command: Callable[..., tuple[int, str, str]]
) -> None:
    run = tmp_path / "run"
    more = {"max_depth": 3, "epochs": 1, "max_size": "4MB", "max_size_as": "int8"}
    found = fit(shapes, out=run, **{**quick, **more}).record
    assert found.options["max_size_as"] == "int8"
    assert "max_size_as: int8" in (run / "args.yaml").read_text(encoding="utf-8")
    assert found.limits is not None
    assert found.limits.text.endswith(" within 4 MB of weights as int8")
    assert found.decision is not None
    advice = found.decision.advice[-1]
    assert "`deepenough export RUN --to onnx --int8`" in advice
    assert "deepenough export RUN" in (run / "report.html").read_text(encoding="utf-8")
    with speaking(Language.CHINESE):
        page = render_report(found, run)
    assert "以 int8 存储的权重不超过 4 MB" in page
    assert "4 MB 的上限针对以 int8 存储的权重" in page
    _, out, _ = command("report", run)
    assert "within 4 MB of weights as int8" in out


def test_the_plan_tells_of_limits(shapes: Path, options: dict[str, Any], timed: list[Any]) -> None:
    reporter = Told()
    found = plan(shapes, progress=reporter, **{**options, "max_latency": "6ms"})
    assert [each.depth for each in found.architectures] == [3, 3]
    assert all(each.latency for each in found.architectures)
    assert any(
        line.startswith("2 of 4 networks are within 6 ms and 10M parameters; left out: ") for line in reporter.lines
    )


def test_a_limit_that_nothing_keeps_leaves_no_run(shapes: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(
        DeepenoughError, match=r"none of the 4 networks is within 9 parameters; the nearest is residual-3-w0.5"
    ):
        fit(shapes, out=tmp_path / "run", **{**options, "max_parameters": 9})
    assert not (tmp_path / "run").exists()


def test_a_runtime_that_is_not_here_is_told_before_anything_else(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, shapes: Path
) -> None:
    monkeypatch.setattr(table, "absent", lambda packages: ["onnxruntime"])
    with pytest.raises(DeepenoughError, match=r"--runtime onnx needs onnxruntime, .* pip install 'deepenough\[onnx\]'"):
        fit(shapes, out=tmp_path / "run", **{**options, "runtime": "onnx"})
    assert not (tmp_path / "run").exists()


def test_a_user_mistake_on_the_command_line_is_a_sentence(command: Callable[..., tuple[int, str, str]]) -> None:
    for words, said in (
        (("--max-latency", "5 parsecs"), "--max-latency '5 parsecs': expected a latency with its unit, such as 5ms"),
        (("--max-parameters", "0"), "--max-parameters 0: expected at least 1"),
        (("--max-size", "0MB"), "--max-size 0: expected more than 0"),
        (
            ("--max-size", "4MB", "--max-size-as", "int4"),
            "'--max-size-as': 'int4' is not one of 'float32', 'half', 'int8'",
        ),
        (("--max-size-as", "half"), "--max-size-as half: it says how the weights of --max-size are stored; give that"),
    ):
        status, _, err = command("plan", "digits", *words)
        assert status == 2
        assert said in err
        assert "Traceback" not in err
