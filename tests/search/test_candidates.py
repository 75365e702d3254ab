"""Candidates are trained fold by fold, and nothing that is finished is trained again."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepenough.autotuning import tuning
from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.step_timing import StepTrial
from deepenough.data.augment import Augment
from deepenough.data.images import Images
from deepenough.data.split import Split
from deepenough.errors import DamageWarning
from deepenough.nets.build import build
from deepenough.nets.prefix import prefix
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.record import fold_folder
from deepenough.search import candidates
from deepenough.search.architectures import Architecture, architecture
from deepenough.search.candidates import Attempt, Candidate, CandidateTrainer
from deepenough.search.folds import decision_folds
from deepenough.search.question import Role
from deepenough.training.callbacks import Action, Callback, Moment
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.executor import LocalExecutor
from deepenough.training.gradient_statistics import statistics_images
from deepenough.training.interrupt import Interrupted
from deepenough.training.lr_range_test import range_images
from deepenough.training.recipe import Recipe
from deepenough.training.rng import using_threads
from deepenough.training.spec import TrainingSpec

EPOCHS, IMAGES, TEST = 3, 72, 12


def bars() -> Images:
    """Noise with a bright half, left or right: two classes that a few epochs tell apart; the last 12 are for tests."""
    draws = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 2
    pixels = draws.integers(0, 100, (IMAGES, 8, 8, 1))
    for row, label in enumerate(labels):
        pixels[row, :, 4 * label : 4 * label + 4] += 120
    rows = np.arange(IMAGES - TEST)
    split = Split(rows[rows % 6 < 4], rows[rows % 6 >= 4], np.arange(IMAGES - TEST, IMAGES))
    return Images(
        pixels=pixels.astype(np.uint8), labels=labels.astype(np.int64), names=tuple(map(str, range(IMAGES))),
        groups=np.arange(IMAGES), classes=("left", "right"),
        preprocess=Preprocessing((8, 8), mean=(0.4,), std=(0.3,)), split=split, fingerprint="bars", findings=(),
        mirror=False, source="bars",
    )  # fmt: skip


@pytest.fixture(scope="module")
def small() -> Architecture:
    return architecture("residual", 0.25, 0, (1, 8, 8), 2)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def trainer(folds: int = 1, **changes: Any) -> CandidateTrainer:
        images = bars()
        recipe = Recipe(epochs=EPOCHS, batch=8, lr=0.1, augment=Augment.named("none", mirror=False), device="cpu")
        values = {
            "images": images, "folds": decision_folds(images, 0.01, 0, folds), "recipe": recipe, "folder": tmp_path,
            "metric": "top1", "reporter": Reporter(), "executor": LocalExecutor(images), **changes,
        }  # fmt: skip
        return CandidateTrainer(**values)

    return trainer


class Prune(Callback):
    """Prunes every training after its first epoch."""

    may_pause = True

    def on_epoch_begin(self, moment: Moment) -> Action:
        return Action.PRUNE


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_predictions_are_the_trained_network_s_own(make: Any, small: Architecture) -> None:
    trainer = make()
    tried = trainer.train_candidate(Attempt(small, 0))
    assert (tried.state, tried.name, tried.why) == ("finished", small.name, "")
    assert tried.seen.all()
    model = build(small.network)
    model.load_state_dict(tried.trainings[0].state)
    images = trainer.images
    expected = predict_probabilities(
        model.eval(), images, images.split.validation, images.preprocess, torch.device("cpu")
    )
    np.testing.assert_allclose(tried.probabilities, expected, atol=1e-5)
    np.testing.assert_array_equal(tried.labels, images.labels[images.split.validation])
    assert tried.accuracy == (expected.argmax(axis=1) == tried.labels).mean()
    trained = predict_probabilities(model, images, images.split.train, images.preprocess, torch.device("cpu"))
    assert tried.train_top1 == (trained.argmax(axis=1) == images.labels[images.split.train]).mean()


def test_every_fold_fills_its_own_rows(make: Any, small: Architecture) -> None:
    trainer = make(3)
    tried = trainer.train_candidate(Attempt(small, 0))
    assert (len(tried.trainings), len(tried.labels)) == (3, IMAGES - TEST)
    for fold, trained in zip(trainer.folds.folds, tried.trainings, strict=True):
        np.testing.assert_array_equal(tried.probabilities[fold.held_out], trained.probabilities)
    assert tried.cost == trainer.planned(small) == sum(trained.macs for trained in tried.trainings)


def test_first_folds_are_trained_before_and_once(
    make: Any, small: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = architecture("residual", 0.25, 1, (1, 8, 8), 2)
    expected = [make(3, folder=tmp_path / "after").train_candidate(Attempt(each, 0)) for each in (small, larger)]
    trained = []
    run = LocalExecutor.run

    def count(executor: LocalExecutor, spec: TrainingSpec, folder: Path, *more: Any, **options: Any) -> Any:
        trained.append((str(folder.relative_to(tmp_path)), options["threads"]))
        return run(executor, spec, folder, *more, **options)

    monkeypatch.setattr(LocalExecutor, "run", count)
    make(3).train_first_folds([small, larger], 0)
    assert not trained, "one after the other there is nothing to gain"
    trainer = make(3, jobs=2)
    monkeypatch.setattr(trainer, "configuration", lambda each: StepConfiguration(threads=int(each is small)))
    trainer.train_first_folds([small, larger], 0)
    first = fold_folder(Path(), 0)
    assert trained == [(f"{small.name}/{first}", 1), (f"{larger.name}/{first}", 0)], "each with its number of threads"
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("residual*/*0/*")}
    assert files
    for each, straight in zip((small, larger), expected, strict=True):
        found = trainer.train_candidate(Attempt(each, 0))
        np.testing.assert_array_equal(found.probabilities, straight.probabilities)
        assert found.cost == straight.cost
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_what_is_finished_is_read_back(make: Any, small: Architecture, tmp_path: Path) -> None:
    first = make(2).train_candidate(Attempt(small, 0))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    again = make(2).train_candidate(Attempt(small, 0))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    assert (again.cost, again.seconds) == (first.cost, first.seconds)


def test_early_stopping_ends_it_and_without_it_it_goes_on_to_the_same_end(
    make: Any, small: Architecture, tmp_path: Path
) -> None:
    trainer = make()
    paused = trainer.train_candidate(Attempt(small, 0), early_stopping=Prune())
    assert (paused.state, len(paused.curves[0]), paused.train_top1) == ("pruned", 1, None)
    assert "ended early" in paused.why
    assert paused.cost == trainer.planned_until(small, 1)
    whole = trainer.train_candidate(Attempt(small, 0))
    straight = make(folder=tmp_path / "straight").train_candidate(Attempt(small, 0))
    assert whole.finished
    np.testing.assert_array_equal(whole.probabilities, straight.probabilities)
    assert whole.cost == straight.cost == trainer.planned(small)


def test_giving_up_between_folds_leaves_images_unseen(make: Any, small: Architecture) -> None:
    asked: list[int] = []

    def give_up(so_far: Candidate) -> str:
        asked.append(int(so_far.seen.sum()))
        return "enough is known of it"

    trainer = make(3)
    tried = trainer.train_candidate(Attempt(small, 0), give_up=give_up)
    first = trainer.folds.folds[0].held_out
    assert asked == [len(first)]
    assert (tried.state, len(tried.trainings), tried.why) == ("pruned", 1, "enough is known of it")
    np.testing.assert_array_equal(np.flatnonzero(tried.seen), first)
    right = tried.probabilities[first].argmax(axis=1) == tried.labels[first]
    assert tried.accuracy == right.mean()
    assert tried.bounds[0] < tried.accuracy <= tried.bounds[1] <= 1


def test_the_deadline_ends_a_training_after_its_epoch(make: Any, small: Architecture) -> None:
    tried = make(deadline=time.monotonic() - 1).train_candidate(Attempt(small, 0))
    assert (tried.state, len(tried.curves[0])) == ("out of time", 1)
    assert tried.why == "ended by the time limit"


def test_time_is_judged_by_measured_steps(make: Any, small: Architecture) -> None:
    assert make().in_time(small)
    assert make(deadline=time.monotonic() + 1000).in_time(small)
    assert not make(deadline=time.monotonic()).in_time(small)


def test_where_folds_decide_the_training_after_them_has_to_be_in_time_too(make: Any, small: Architecture) -> None:
    trainer = make(folds=2)
    on_folds, afterwards = trainer.seconds(small), trainer.retraining_seconds(small)
    assert make().retraining_seconds(small) == 0 < afterwards < on_folds
    step, epochs = trainer.configuration(small), trainer.recipe.epochs
    trained = sum(epochs * len(fold.train) + range_images(trainer.recipe) for fold in trainer.folds.folds)
    judged = sum(epochs * (len(fold.held_out) + statistics_images(len(fold.train))) for fold in trainer.folds.folds)
    assert on_folds == pytest.approx(step.first + step.seconds * (trained + judged / 3))
    for seconds, fits in ((on_folds + afterwards + 60, True), (on_folds + afterwards / 2, False)):
        trainer.deadline = time.monotonic() + seconds
        assert trainer.in_time(small) is fits


def test_seeds_and_grown_networks_have_names_and_folders_of_their_own(
    make: Any, small: Architecture, tmp_path: Path
) -> None:
    trainer = make()
    deeper = architecture("residual", 0.25, 1, (1, 8, 8), 2)
    parent = trainer.train_candidate(Attempt(deeper, 0))
    second = trainer.train_candidate(Attempt(deeper, 1, role=Role.SECOND_SEED))
    child = architecture("residual", 0.25, 2, (1, 8, 8), 2)
    grown = trainer.train_candidate(Attempt(child, 0, role=Role.SCOUT, parent=parent, epochs=1))
    assert second.name == f"{deeper.name}-seed1"
    assert not np.array_equal(second.probabilities, parent.probabilities)
    assert (grown.name, grown.start, grown.cost) == (
        f"{child.name}-scout",
        parent.name,
        trainer.planned_scout(child, 1),
    )
    assert grown.trainings[0].lr == pytest.approx(parent.trainings[0].lr / 5)
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {parent.name, second.name, grown.name}


def test_a_scout_has_images_of_full_size_in_all_its_epochs(make: Any) -> None:
    """Its parent has learnt from such images already; that one's own first epochs have smaller ones."""
    trainer = make()
    trainer.recipe = replace(trainer.recipe, initial_scale=0.5)
    deeper, child = (architecture("residual", 0.25, blocks, (1, 8, 8), 2) for blocks in (1, 2))
    parent = trainer.train_candidate(Attempt(deeper, 0))
    scout = trainer.train_candidate(Attempt(child, 0, role=Role.SCOUT, parent=parent, epochs=2))
    assert parent.cost == trainer.planned(deeper) < trainer.planned_scout(deeper, EPOCHS)
    assert scout.cost == trainer.planned_scout(child, 2)


def test_alone_and_retraining_cost_the_same(make: Any, small: Architecture) -> None:
    trainer = make(2)
    tried = trainer.train_candidate(Attempt(small, 0))
    (final,) = trainer.retrain(tried, seed=0)
    assert final.macs == trainer.alone(small) == EPOCHS * 3 * (IMAGES - TEST + 16) * small.macs  # 16 for gradients
    one = make(1)
    assert one.alone(small) == one.planned(small)


def timed_by_threads(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> None:
    """Steps seem to take so many seconds with so many threads."""

    def timed(trial: StepTrial, configuration: StepConfiguration, limit: float) -> StepConfiguration:
        return replace(configuration, seconds=seconds[configuration.threads], first=0.0)

    monkeypatch.setattr(tuning, "time_steps", timed)


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [({1: 3, 4: 1, 2: 2}, 4), ({1: 2, 4: 4, 2: 1}, 2), ({1: 1, 4: 2, 2: 3}, 1), ({1: 1, 4: math.inf, 2: math.inf}, 1)],
)
def test_retraining_has_more_threads_than_a_fold_where_those_are_faster(
    make: Any, small: Architecture, monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], wanted: int
) -> None:
    used: list[int] = []

    class Counted(LocalExecutor):
        def run(self, spec: TrainingSpec, folder: Path, *more: Any, threads: int = 0) -> Any:
            used.append(threads)
            return super().run(spec, folder, *more, threads=threads)

    with using_threads(1):
        trainer = make(2, jobs=2, all_threads=4, executor=Counted(bars()))
        tried = trainer.train_candidate(Attempt(small, 0))
        timed_by_threads(monkeypatch, seconds)
        trainer.retrain(tried, seed=0)
        timed_by_threads(monkeypatch, {})  # a run that goes on has what was chosen
        make(2, jobs=2, all_threads=4, executor=Counted(bars())).retrain(tried, seed=0)
    assert used == [0, 0, wanted, wanted]


def test_retraining_that_was_stopped_goes_on_to_the_same_weights(
    make: Any, small: Architecture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the threads that were chosen, and where that file is damaged with those of its checkpoint; nothing else of
    the run is lost by that."""
    stopped: list[bool] = []

    class Stop(Callback):
        def on_epoch_end(self, moment: Moment) -> Action:
            stopped.append(True)
            return Action.GO_ON

    timed_by_threads(monkeypatch, {0: 1, 1: 2, 2: 1})  # 0 while other settings are tried
    with using_threads(1):
        options = {"jobs": 2, "all_threads": 2}
        straight = make(2, folder=tmp_path / "straight", **options)
        tried = straight.train_candidate(Attempt(small, 0))
        (expected,) = straight.retrain(tried, seed=0)
        folder = tmp_path / "stopped"
        trainer = make(2, folder=folder, stop=lambda: bool(stopped), watchers=lambda name: [Stop()], **options)
        with pytest.raises(Interrupted):
            trainer.retrain(tried, seed=0)
        (other := folder / "residual-7-scout").mkdir()
        kept = folder / f"{small.name}-final{candidates.CONFIGURATION}"
        kept.write_bytes(kept.read_bytes()[:-9])
        timed_by_threads(monkeypatch, {1: 1, 2: 2})
        with pytest.warns(DamageWarning, match="measuring it again"):
            (found,) = make(2, folder=folder, **options).retrain(tried, seed=0)
    assert other.is_dir()
    assert len(stopped) < EPOCHS
    for name, weights in expected.state.items():
        assert torch.equal(found.state[name], weights), name


def test_retraining_that_shares_no_threads_is_computed_as_the_folds_are(make: Any, small: Architecture) -> None:
    trainer = make(2, jobs=2)
    trainer.retrain(trainer.train_candidate(Attempt(small, 0)), seed=0)
    assert [path.name for path in trainer.folder.glob("*.way.json")] == [f"{small.name}.way.json"]


def deeper_one(trainer: CandidateTrainer) -> Candidate:
    return trainer.train_candidate(Attempt(architecture("residual", 0.25, 1, (1, 8, 8), 2), 0))


class Recorder(LocalExecutor):
    """An executor that keeps the specs of its trainings, by their folders."""

    def run(self, spec: TrainingSpec, folder: Path, callbacks: Any = (), *, threads: int = 0) -> Any:
        self.specs = {**getattr(self, "specs", {}), (folder.parent.name, folder.name): spec}
        return super().run(spec, folder, callbacks, threads=threads)


def test_no_teacher_has_seen_what_its_student_is_judged_on(make: Any, small: Architecture) -> None:
    """The student of each fold learns from the network of the very same fold, and from no other."""
    trainer = make(3)
    trainer.executor = recorder = Recorder(trainer.images)
    teacher = deeper_one(trainer)
    student = small.distilled_from(teacher.architecture)
    tried = trainer.train_candidate(Attempt(student, 0, Role.DISTILLED, teacher=teacher))
    assert tried.name == f"{small.name}-distilled"
    for number, fold in enumerate(trainer.folds.folds):
        lesson = recorder.specs[tried.name, f"fold{number}"]
        assert lesson.teacher is not None
        taught_by = recorder.specs[teacher.name, f"fold{number}"]
        np.testing.assert_array_equal(taught_by.train, lesson.teacher.train)
        assert not set(taught_by.train) & set(lesson.evaluation)
        np.testing.assert_array_equal(lesson.evaluation, fold.held_out)
        for others, trained in enumerate(teacher.trainings):
            same = all(torch.equal(tensor, lesson.teacher.weights[name]) for name, tensor in trained.state.items())
            assert same == (others == number)
    plain = trainer.train_candidate(Attempt(small, 0))
    assert recorder.specs[small.name, "fold0"].teacher is None
    assert not np.array_equal(plain.probabilities, tried.probabilities)


def test_frozen_layers_are_planned_and_counted_without_their_backward_pass(make: Any, small: Architecture) -> None:
    plain = make(2)
    trainer = make(2, recipe=replace(plain.recipe, freeze=0.6))
    frozen = prefix(small.network, 0.6).macs
    assert 0 < frozen <= 0.6 * small.macs
    tried = trainer.train_candidate(Attempt(small, 0))
    saved = EPOCHS * sum(len(fold.train) for fold in trainer.folds.folds) * 2 * frozen
    assert tried.cost == trainer.planned(small) == plain.planned(small) - saved
    assert trainer.steps_images(small) == tried.cost / (3 * small.macs - 2 * frozen)
    assert trainer.retraining(small) == trainer.alone(small)
    (final,) = trainer.retrain(tried, seed=0)
    assert final.macs == trainer.alone(small)


def test_a_teacher_s_passes_are_counted_as_planned(make: Any, small: Architecture) -> None:
    trainer = make(2)
    teacher = deeper_one(trainer)
    student = small.distilled_from(teacher.architecture)
    tried = trainer.train_candidate(Attempt(student, 0, Role.DISTILLED, teacher=teacher))
    passes = EPOCHS * sum(len(fold.train) for fold in trainer.folds.folds) * teacher.architecture.macs
    assert tried.cost == trainer.planned(student) == trainer.planned(small) + passes
    final = trainer.retrain(tried, seed=0)
    assert [trained.network.name for trained in final] == [teacher.architecture.network.name, small.network.name]
    assert sum(trained.macs for trained in final) == trainer.alone(student)
    assert trainer.alone(student) > trainer.alone(small) + trainer.alone(teacher.architecture)


def test_a_student_is_read_back_and_a_damaged_teacher_made_anew(make: Any, small: Architecture, tmp_path: Path) -> None:
    def trained(trainer: CandidateTrainer) -> Candidate:
        teacher = deeper_one(trainer)
        student = small.distilled_from(teacher.architecture)
        return trainer.train_candidate(Attempt(student, 0, Role.DISTILLED, teacher=teacher))

    first = trained(make(2))
    weights = list(tmp_path.glob("residual-7-w0.25/fold1/weights.safetensors"))
    assert len(weights) == 1
    before = weights[0].read_bytes()
    weights[0].write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.warns(DamageWarning, match="training it again"):
        again = trained(make(2))
    assert weights[0].read_bytes() == before
    np.testing.assert_array_equal(again.probabilities, first.probabilities)
    assert again.seconds == first.seconds  # of its own folder


def test_where_how_a_teacher_was_computed_is_lost_its_students_are_made_anew(
    make: Any, small: Architecture, tmp_path: Path
) -> None:
    trainer = make(1)
    teacher = deeper_one(trainer)
    student = small.distilled_from(teacher.architecture)
    trainer.train_candidate(Attempt(student, 0, Role.DISTILLED, teacher=teacher))
    assert (tmp_path / student.name).is_dir()
    (tmp_path / f"{teacher.name}.way.json").write_text("{}")
    with pytest.warns(DamageWarning, match="training residual-7-w0.25 again"):
        make(1).tuned(teacher.architecture)
    assert not (tmp_path / student.name).exists()
    assert not (tmp_path / f"{student.name}.way.json").exists()  # it computes as the plain one does


def test_progress_runs_from_nothing_to_the_end(make: Any, small: Architecture) -> None:
    seen: list[tuple[float, float]] = []

    class Watching(Reporter):
        def task(self, label: str) -> Any:
            from contextlib import nullcontext

            return nullcontext(lambda done, total, note="": seen.append((done, total)))

    make(2, reporter=Watching()).train_candidate(Attempt(small, 0))
    done: Sequence[float] = [share for share, _ in seen]
    assert list(done) == sorted(done)
    assert seen[-1] == (2, 2)
    assert seen[0][0] < 0.2
