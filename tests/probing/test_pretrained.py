"""`fit` and `probe` with pretrained weights, end to end on small pictures; the weights are random."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.console import Console
from safetensors.torch import load_file

from deepenough import DeepenoughError, Run, evaluate, fit, load, record, resume
from deepenough.data.sources import open_source
from deepenough.experiment.probe import probe
from deepenough.nets import NETWORKS, loads
from deepenough.nets.build import build
from deepenough.nets.cut import cuts
from deepenough.probing import choice
from deepenough.probing.choice import are_photos
from deepenough.probing.pretrained import Pretrained
from deepenough.progress import Reporter
from deepenough.report.tables import probing_table
from deepenough.search.architectures import cut_architectures
from deepenough.search.question import Question
from deepenough.search.statistics import z_score
from deepenough.training.interrupt import Interrupted

pytestmark = pytest.mark.seconds(45)

TORCHVISION = [
    "features.0",
    *(f"features.{n}.{part}" for n in (3, 4, 6, 7, 9, 10, 11, 12) for part in ("squeeze", "expand1x1", "expand3x3")),
    "classifier.1",
]
SIZE = 40


class Words(Reporter):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of SqueezeNet, in a file with torchvision's names."""
    names = [f"{name}.{kind}" for name in TORCHVISION for kind in ("weight", "bias")]
    state = build(NETWORKS["squeezenet1_1"](), seed=5).state_dict()
    path = tmp_path_factory.mktemp("weights") / "squeeze.pth"
    torch.save(dict(zip(names, state.values(), strict=True)), path)
    return path


@pytest.fixture(scope="module")
def options(weights: Path) -> dict[str, Any]:
    return {"weights": str(weights), "size": SIZE, "folds": 2, "epochs": 1, "threads": 1, "margin": 0.05}


@pytest.fixture(scope="module")
def tuned(shapes: Path, options: dict[str, Any], cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    threads = torch.get_num_threads()
    run = fit(shapes, out=tmp_path_factory.mktemp("tuned") / "run", **options)
    torch.set_num_threads(threads)
    return run


def test_the_record_holds_the_probes_and_every_cut_started_from_the_weights(tuned: Run) -> None:
    found = record.load(tuned.folder)
    assert found.probing is not None
    assert [probe.place for probe in found.probing.probes] == ["conv1", *(f"fire{n}" for n in range(2, 10))]
    assert found.probing.images == 144  # all but the test images
    assert found.probing.probes[-1].difference == 0
    assert len(found.candidates) >= 2
    assert {c.start for c in found.candidates} == {"squeeze.pth"}
    assert "squeezenet1_1-fire9" in {c.name for c in found.candidates}
    assert found.recipe["freeze_norms"] is True
    assert found.cost is not None
    assert found.cost.spent > sum(c.cost for c in found.candidates), "the probing was not counted"


def test_the_model_is_an_ordinary_one(tuned: Run, shapes: Path) -> None:
    model = load(tuned.folder)
    content = json.loads((tuned.folder / "model" / "network.json").read_text())
    assert loads(json.dumps(content)) == model.network
    assert model.network.input == (3, SIZE, SIZE)
    assert tuned.record.test is not None
    metrics, _ = evaluate(tuned.folder, shapes)
    assert metrics.top1.value == tuned.record.test.top1.value
    picture = next((shapes / "circle").iterdir())
    assert model.predict(picture)[0].label in model.classes


def test_the_report_shows_the_probes_and_the_patches(tuned: Run) -> None:
    page = tuned.report.path.read_text()
    assert 'data-figure="probing"' in page
    for found in tuned.record.patches:
        picture = Image.open(tuned.folder / found.picture)
        assert picture.width > picture.height > 0
        assert len(found.channels) > 0
        assert f"after {found.place}, depth {found.depth}" in page
    fields = [found.receptive_field for found in tuned.record.patches]
    assert fields == sorted(set(fields))


def test_training_starts_from_a_probe_of_its_own_images(tuned: Run) -> None:
    heads = sorted(tuned.folder.rglob("head.safetensors"))
    folders = {head.parent.parent.name for head in heads if head.parent.name.startswith("fold")}
    assert folders == {c.name for c in tuned.record.candidates}
    assert tuned.record.decision is not None
    chosen = tuned.record.decision.chosen
    parts = [load_file(head)["weight"] for head in heads if head.parent.parent.name == chosen]
    assert len(parts) == 2
    assert not torch.equal(*parts)


def test_a_stopped_run_goes_on_to_the_same_weights(
    tuned: Run, shapes: Path, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at the third step of its trainings; the features' cache is gone when it goes on."""
    from deepenough.experiment import run as module

    class Impatient(module.Stop):  # type: ignore[name-defined, misc]
        def __call__(self) -> bool:
            checkpoints = list(tmp_path.glob("run/candidates/*/fold*/step-*"))  # none while ways are measured
            self.steps = getattr(self, "steps", 0) + bool(checkpoints)
            return self.steps > 2

    monkeypatch.setattr(module, "Stop", Impatient)
    with pytest.raises(Interrupted):
        fit(shapes, out=tmp_path / "run", **options)
    assert record.load(tmp_path / "run").status == "interrupted"
    monkeypatch.undo()
    again = resume(tmp_path / "run")
    assert again.record.decision == tuned.record.decision
    one, other = (load_file(folder / "model" / "weights.safetensors") for folder in (again.folder, tuned.folder))
    for name, tensor in other.items():
        assert torch.equal(one[name], tensor), name


def test_resuming_with_other_weights_is_refused(tuned: Run, tmp_path: Path, weights: Path) -> None:
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(tuned.folder, folder)
    found = record.load(folder)
    found.status, found.options["weights"] = record.schema.RunStatus.INTERRUPTED, [str(tmp_path / "other.pth")]
    record.save(found, folder)
    state = torch.load(weights, weights_only=True)
    state["features.0.bias"] += 1
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(DeepenoughError, match="have changed since the run began"):
        resume(folder)


def test_ten_images_a_class_are_enough(shapes_in: Callable[..., Path], options: dict[str, Any], tmp_path: Path) -> None:
    data = shapes_in(tmp_path / "few", 10)
    run = fit(data, out=tmp_path / "run", **{**options, "epochs": 1, "framing": "source"})
    assert run.record.decision is not None
    assert run.record.probing is not None
    assert run.record.probing.images == sum(map(sum, run.record.data.counts.values())) - sum(
        run.record.data.counts["test"]
    )


def test_weights_without_a_head_are_probed_as_with_it(shapes: Path, weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    body = {f"encoder.{name}": tensor for name, tensor in state.items() if not name.startswith("classifier")}
    torch.save({"state_dict": body, "config": Path("run")}, tmp_path / "body.ckpt")
    wanted = {"size": SIZE, "seed": 0}
    heard = Words()
    files = (tmp_path / "body.ckpt", weights)
    found, whole = (probe(shapes, weights=str(path), reporter=heard, **wanted) for path in files)
    assert [row.accuracy for row in found.probes] == [row.accuracy for row in whole.probes]
    assert "body.ckpt: it has no head" in heard.said


def test_grey_images_are_taken(shapes: Path, options: dict[str, Any], tmp_path: Path) -> None:
    for path in shapes.rglob("*.png"):
        target = tmp_path / "grey" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).convert("L").save(target)
    run = fit(tmp_path / "grey", out=tmp_path / "run", **{**options, "folds": 1})
    assert run.record.data.channels == 1
    assert load(run.folder).network.input == (1, SIZE, SIZE)


def test_a_target_is_searched_for_among_the_cuts(shapes: Path, options: dict[str, Any], tmp_path: Path) -> None:
    run = fit(shapes, out=tmp_path / "run", target=0.4, **{**options, "folds": 1})
    assert run.met
    assert run.record.decision is not None
    assert run.record.decision.chosen.startswith("squeezenet1_1-")


def test_photos_are_told_by_their_size(shape: Callable[..., Image.Image], tmp_path: Path) -> None:
    for side, photos in ((16, False), (96, True)):
        for kind in ("circle", "cross"):
            for number in range(3):
                path = tmp_path / str(side) / kind / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                shape(kind, number).resize((side + 5, side)).save(path)
        assert are_photos(open_source(tmp_path / str(side))) == photos
    assert not are_photos(open_source("digits"))


def test_photos_without_a_network_are_trained_from_scratch_and_it_says_so(
    shapes: Path, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise DeepenoughError("no network")

    monkeypatch.setattr(choice, "are_photos", lambda _: True)
    monkeypatch.setattr(choice, "load_weights", unreachable)
    monkeypatch.setattr("deepenough.download.answers", lambda _: True)
    words = Words()
    options = {name: value for name, value in quick.items() if name != "max_depth"}
    run = fit(shapes, out=tmp_path / "run", progress=words, time_limit=0.1, **{**options, "epochs": 1})
    assert any("from scratch" in said and "no network" in said for said in words.said)
    assert run.record.probing is None
    assert run.record.options["scratch"] is True


def test_scratch_and_families_leave_pretrained_weights_alone(
    shapes: Path, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "are_photos", lambda _: pytest.fail("nobody asked for pretrained weights"))
    for number, more in enumerate(({"scratch": True}, {"family": "plain"})):
        run = fit(shapes, out=tmp_path / str(number), **{**quick, **more, "epochs": 1, "time_limit": 0.1})
        assert run.record.probing is None


def test_probe_prints_the_table_and_json(
    command: Callable[..., tuple[int, str, str]], shapes: Path, weights: Path
) -> None:
    words = ("probe", shapes, "--weights", weights, "--size", SIZE, "--threads", 1)
    status, out, errors = command(*words)
    assert status == 0, errors
    assert "fire9, the whole network" in out
    assert "can't be told" in out
    status, out, _ = command(*words, "--json")
    found = record.schema.ProbingRecord.model_validate_json(out)
    assert found.input in errors, "what the images look like is said before they are read"
    narrow = io.StringIO()
    Console(width=80, file=narrow).print(probing_table(found, 80))
    shown = narrow.getvalue()
    assert all(f"{100 * probe.accuracy.value:.1f}%" in shown for probe in found.probes)
    assert "…" not in shown
    assert "\n whole" in shown
    assert "\n proposed" in shown
    assert [probe.depth for probe in found.probes] == [2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert np.isclose(found.probes[0].difference, found.probes[-1].accuracy.value - found.probes[0].accuracy.value)
    widest = z_score(0.975) * np.sqrt(1 / found.images)  # of paired shares that differ on every image
    assert all(-1 <= each.low <= each.high <= 1 and each.high - each.low <= 2 * widest for each in found.probes)


def test_a_misspelt_framing_or_missing_file_is_said(
    command: Callable[..., tuple[int, str, str]], shapes: Path, tmp_path: Path
) -> None:
    status, _, errors = command("probe", shapes, "--weights", tmp_path / "none.pth")
    assert status == 2
    assert "none.pth" in errors
    status, _, errors = command("probe", shapes, "--weights", "x", "--margin", 5)
    assert status == 2
    assert "for 5% write 0.05" in errors
    status, _, errors = command("fit", shapes, "--weights", "x", "--scratch")
    assert status == 2
    assert "--scratch does not" in errors


@given(
    accuracies=st.lists(st.floats(0, 1), min_size=9, max_size=9),
    proposed=st.integers(0, 8),
    kept=st.sets(st.integers(0, 8), min_size=1).map(sorted),
)
def test_the_first_cuts_are_those_of_the_probes_as_far_as_limits_leave_them(
    accuracies: list[float], proposed: int, kept: list[int]
) -> None:
    whole = NETWORKS["squeezenet1_1"]()
    places = cut_architectures("squeezenet1_1", [(c.place, whole) for c in cuts(whole)])
    probes = [SimpleNamespace(accuracy=SimpleNamespace(value=value)) for value in accuracies]
    probing: Any = SimpleNamespace(record=SimpleNamespace(probes=probes), proposed=proposed)
    found = Pretrained.of([probing], [places[number] for number in kept], Question())
    best, first = found.most_accurate, found.proposed
    assert accuracies[kept[best]] == max(accuracies[number] for number in kept)
    assert kept[first] == (max((n for n in kept if n <= proposed), default=kept[0]))
    whole_space = Pretrained.of([probing], places, Question())
    assert (whole_space.most_accurate, whole_space.proposed) == (accuracies.index(max(accuracies)), proposed)
