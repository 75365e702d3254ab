"""Each experiment with tiny sizes: the record, not the verdict; and the statistics of the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

from deepenough import DeepenoughError
from deepenough.cli.app import cli
from deepenough.errors import DamagedError
from deepenough.lab import CLAIMS, Scale, run_experiment
from deepenough.lab.record import CONTRADICTED, NOT_SHOWN, SUPPORTED, Effect, LabRecord, overall_verdict
from deepenough.progress import Reporter

pytestmark = pytest.mark.seconds(60)

SMALL = Scale(seeds=2, quick=True, limit=60)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch each, networks of few layers."""
    from dataclasses import replace

    from deepenough.lab.claims import approximation, augmentation, degradation, learned_features, vanishing_gradient
    from deepenough.lab.trials import Trials

    usual: Any = Trials.full_recipe
    for name in ("recipe", "full_recipe"):
        monkeypatch.setattr(Trials, name, property(lambda self: replace(usual.fget(self), epochs=1)))
    monkeypatch.setattr(degradation, "DEPTHS", (5, 7))
    for claim in (augmentation, learned_features):
        monkeypatch.setattr(claim, "SIZES", (20,))
    monkeypatch.setattr(vanishing_gradient, "DEPTHS", (4, 6))
    monkeypatch.setattr(approximation, "UNITS", (2, 4))


@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.usefixtures("tiny", "_forked_workers")
def test_every_experiment_leaves_a_record(name: str, shapes: Path, tmp_path: Path) -> None:
    record, page = run_experiment(name, shapes, scale=SMALL, out=tmp_path / name)
    assert LabRecord.load(tmp_path / name) == record
    assert record.verdict in (SUPPORTED, NOT_SHOWN, CONTRADICTED)
    assert record.result.effects
    assert all(e.images is None or e.images > 1 for e in record.result.effects)
    for line in record.result.lines:
        assert line.points
        places = [point.x for point in line.points if not isinstance(point.x, str)]
        assert places == sorted(places)  # a line runs one way
        for point in line.points:
            assert len(point.values) in (1, 2)
            assert point.kind == "measured" or len(point.values) == 1
            assert np.isfinite(point.values).all()
    assert record.claim in page.read_text()
    with pytest.raises(DeepenoughError, match="already holds an experiment"):
        run_experiment(name, shapes, scale=SMALL, out=tmp_path / name)


def test_pages_say_what_was_looked_at(shapes: Path, tmp_path: Path) -> None:
    record, page = run_experiment("vanishing-gradient", shapes, scale=SMALL, out=tmp_path / "v")
    assert "images a seed, before any training" in str(record.data)
    assert "Geometric mean of" in page.read_text()


@pytest.mark.parametrize("name", ["augmentation", "learned-features"])
def test_too_few_images_to_compare_sizes_are_refused(name: str, shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match=r"compares \d+ training images with more, and there are only 60"):
        run_experiment(name, shapes, scale=SMALL, out=tmp_path)


def test_claims_are_listed_and_misspelt() -> None:
    listed = CliRunner().invoke(cli, ["lab"], catch_exceptions=False).output
    assert all(name in listed for name in CLAIMS)
    assert len(CLAIMS) == 14
    with pytest.raises(DeepenoughError, match="nearest is degradation"):
        run_experiment("degredation")


def test_verdicts_follow_from_intervals() -> None:
    up, flat, down = [0.02, 0.03, 0.025], [0.02, -0.03, 0.01], [-0.02, -0.03, -0.025]
    for values, expected in ((up, SUPPORTED), (flat, NOT_SHOWN), (down, CONTRADICTED), ([0.5], NOT_SHOWN)):
        assert Effect(what="", values=values).verdict == expected
    assert Effect(what="", values=flat, bound=-1).verdict == SUPPORTED
    low, high = Effect(what="", values=up).interval
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 2, np.mean(up), stats.sem(up)))
    made = {word: Effect(what="", values=v) for word, v in ((SUPPORTED, up), (NOT_SHOWN, flat), (CONTRADICTED, down))}
    assert overall_verdict([made[SUPPORTED], made[NOT_SHOWN]]) == NOT_SHOWN
    assert overall_verdict([made[SUPPORTED], made[CONTRADICTED], made[NOT_SHOWN]]) == CONTRADICTED


def test_an_experiment_that_was_stopped_or_damaged_takes_up_its_trainings(
    shapes: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    from deepenough.training.loop import TrainingLoop

    first, _ = run_experiment("deeper", shapes, scale=SMALL, out=tmp_path)
    file, said = tmp_path / "record.json", []
    monkeypatch.setattr(TrainingLoop, "run", lambda *given: pytest.fail("it trains again"))
    monkeypatch.setattr(Reporter, "say", lambda self, text: said.append(text))
    whole = json.loads(file.read_text())
    file.unlink()
    second, _ = run_experiment("deeper", shapes, scale=SMALL, out=tmp_path)
    assert second.result == first.result
    file.write_text(json.dumps({**whole, "claim": "accuracy falls with depth"}))
    with pytest.raises(DamagedError, match=r"record\.json: it is not what deepenough wrote"):
        LabRecord.load(tmp_path)
    third, _ = run_experiment("deeper", shapes, scale=SMALL, out=tmp_path)
    assert third.result == first.result
    assert [text for text in said if "measuring anew" in text]
    del whole["content_sha256"]  # as earlier versions wrote it
    file.write_text(json.dumps(whole))
    assert LabRecord.load(tmp_path) == first
    file.write_text(json.dumps({**whole, "schema_version": 1}))
    with pytest.raises(DeepenoughError, match="its schema_version is 1"):
        LabRecord.load(tmp_path)


def test_experiments_are_small() -> None:
    from deepenough.lab import claims

    for path in Path(str(claims.__file__)).parent.glob("*.py"):
        code = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
        assert len(code) <= 80, path.name
    json.dumps([claim.text for claim in CLAIMS.values()])
