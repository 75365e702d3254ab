"""Learning from a teacher: its loss against torch's own and closed forms, and trainings with one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import make_network, make_teacher, train
from torch.nn import functional as F

from deepenough.data.augment import Augment
from deepenough.nets import Dense, Flatten, Network, Relu, macs
from deepenough.nets.build import build
from deepenough.training.distillation import teacher_of
from deepenough.training.gradient_statistics import STATISTICS_IMAGES
from deepenough.training.interrupt import Interrupted
from deepenough.training.loss import Objective, distillation_loss
from deepenough.training.recipe import DISTILLATION, Recipe
from deepenough.training.result import WEIGHTS_FILE
from deepenough.training.spec import LATER_CHOICES, Teacher, TrainingSpec
from deepenough.training.step import Step

pytestmark = pytest.mark.seconds(10)

TRAIN, HELD_OUT = np.arange(64), np.arange(64, 96)
RECIPE = Recipe(epochs=3, batch=16, lr=0.1, device="cpu", augment=Augment(shift=0.05, flip=True, mixup=0.3))

temperatures = st.floats(0.25, 20)
seeds = st.integers(0, 2**20)


def logits_of_both(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(seed)
    student, teacher = (3 * torch.randn(7, 5, dtype=torch.float64, generator=draws) for _ in range(2))
    return student, teacher


@settings(max_examples=50)
@given(seed=seeds, temperature=temperatures)
def test_the_loss_is_the_sum_over_classes_of_p_log_p_over_q(seed: int, temperature: float) -> None:
    student, teacher = logits_of_both(seed)
    q, p = (np.exp(each.numpy() / temperature) for each in (student, teacher))
    q, p = q / q.sum(axis=1, keepdims=True), p / p.sum(axis=1, keepdims=True)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()
    assert distillation_loss(student, teacher, temperature).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    by_torch = F.kl_div((student / temperature).log_softmax(1), (teacher / temperature).softmax(1), reduction="sum")
    assert expected == pytest.approx(temperature**2 * by_torch.item() / len(student), rel=1e-9, abs=1e-12)


@settings(max_examples=50)
@given(seed=seeds, temperature=temperatures)
def test_its_gradient_is_the_difference_of_the_soft_probabilities(seed: int, temperature: float) -> None:
    """Hinton et al. 2015, equation 2: (q - p) / T for the logits, here times T squared and a mean over the batch."""
    student, teacher = logits_of_both(seed)
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(distillation_loss(student, teacher, temperature), student)
    with torch.no_grad():
        expected = temperature * ((student / temperature).softmax(1) - (teacher / temperature).softmax(1)) / 7
    torch.testing.assert_close(gradient, expected)


def test_at_a_high_temperature_its_gradient_is_that_of_matching_centred_logits() -> None:
    """Hinton et al. 2015, equation 4: (z - v) / (classes * T squared), for logits with a mean of zero."""
    student, teacher = logits_of_both(0)
    student, teacher = (each - each.mean(dim=1, keepdim=True) for each in (student, teacher))
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(distillation_loss(student, teacher, 1e4), student)
    torch.testing.assert_close(gradient, (student.detach() - teacher) / (5 * 7), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_objective_is_a_mixture_for_every_head(weight: float) -> None:
    logits, teacher = logits_of_both(1)
    side, _ = logits_of_both(2)
    targets, classes = torch.rand(7, 5, dtype=torch.float64).softmax(1), torch.rand(5, dtype=torch.float64)

    def one(head: torch.Tensor) -> torch.Tensor:
        labels = F.cross_entropy(head, targets, weight=classes, label_smoothing=0.2)
        return (1 - weight) * labels + weight * distillation_loss(head, teacher, 3.0)

    objective = Objective(0.2, classes, weight, 3.0)
    torch.testing.assert_close(objective(logits, targets, teacher), one(logits))
    torch.testing.assert_close(objective((logits, [(0.3, side)]), targets, teacher), one(logits) + 0.3 * one(side))
    plain = F.cross_entropy(logits, targets, weight=classes, label_smoothing=0.2)
    assert torch.equal(objective(logits, targets), plain)  # without a teacher the share does not count


def spec(images: Any, teacher: Teacher | None, recipe: Recipe = RECIPE) -> TrainingSpec:
    return TrainingSpec(make_network(), recipe, TRAIN, HELD_OUT, 3, teacher=teacher)


def test_without_a_teacher_a_fingerprint_is_what_it_was_before_there_were_any(images: Any) -> None:
    """So that runs of earlier versions go on: their recipes lacked the two fields, and others since."""
    later = (*DISTILLATION, *LATER_CHOICES)
    recipe = {name: value for name, value in RECIPE.to_json().items() if name not in later}
    words = [repr(make_network()), recipe, images.fingerprint, 3, None]
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for rows in (TRAIN, HELD_OUT):
        digest.update(rows.astype(np.int64).tobytes() + b"|")
    assert spec(images, None).fingerprint(images) == digest.hexdigest()


def test_a_fingerprint_tells_of_the_teacher_and_of_what_is_learnt_from_it(images: Any) -> None:
    teacher = make_teacher(TRAIN)
    other = replace(teacher, weights={name: tensor + 1 for name, tensor in teacher.weights.items()})
    specs = [spec(images, each) for each in (None, teacher, other)]
    specs += [spec(images, teacher, replace(RECIPE, **{name: 0.5})) for name in DISTILLATION]
    assert len({each.fingerprint(images) for each in specs}) == len(specs)


def test_a_teacher_that_has_seen_what_judges_is_refused() -> None:
    with pytest.raises(ValueError, match="must not have seen"):
        TrainingSpec(make_network(), RECIPE, TRAIN, HELD_OUT, 3, teacher=make_teacher(np.arange(65)))


def test_who_learns_from_itself_alone_stays_as_it_is(images: Any, tmp_path: Path) -> None:
    """The student starts as its teacher, and the labels don't count: there is no gradient, whatever is mixed."""
    network = Network("dense", (1, 8, 8), (Flatten(), Dense(6), Relu(), Dense(4)))
    start = dict(build(network, 1).state_dict())
    recipe = replace(RECIPE, distill_weight=1.0, weight_decay=0.0, momentum=0.0, ema=0.0)
    teacher = Teacher(network, start, TRAIN)
    trained = train(network, recipe, images, TRAIN, HELD_OUT, tmp_path, seed=3, start=start, teacher=teacher)
    for name, tensor in trained.state.items():
        torch.testing.assert_close(tensor, start[name], rtol=0, atol=1e-6)
    assert trained.curve[-1].train_loss == pytest.approx(0, abs=1e-6)
    labels = train(network, recipe, images, TRAIN, HELD_OUT, tmp_path / "labels", seed=3, start=start)
    assert any((tensor - start[name]).abs().max() > 1e-2 for name, tensor in labels.state.items())


def test_the_teacher_sees_what_the_student_sees_and_stays_as_it_is(
    images: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Augmented and mixed alike; in evaluation mode, so that its norms neither change nor look at the batch."""
    teacher, seen = make_teacher(TRAIN), []
    before = {name: tensor.clone() for name, tensor in teacher.weights.items()}
    gradient = Step.gradient

    def watched(step: Step, batch: Any, pieces: int) -> Any:
        assert step.teacher is not None
        alone = torch.cat([step.teacher(image[None]) for image in batch.images])
        torch.testing.assert_close(step.teacher(batch.images), alone)
        assert not alone.requires_grad
        asked = step.teacher
        step.teacher = lambda pixels: seen.append(torch.equal(pixels, batch.images)) or asked(pixels)  # type: ignore[func-returns-value]
        tally = gradient(step, batch, pieces)
        step.teacher = asked
        return tally

    monkeypatch.setattr(Step, "gradient", watched)
    train(make_network(), RECIPE, images, TRAIN, HELD_OUT, tmp_path, seed=3, teacher=teacher)
    assert seen == [True] * 12
    assert all(torch.equal(teacher.weights[name], tensor) for name, tensor in before.items())


def test_in_float64_the_teacher_computes_in_it() -> None:
    teacher = make_teacher(TRAIN)
    logits = teacher_of(teacher, replace(RECIPE, precision="float64"), torch.device("cpu"))
    found = logits(torch.rand(3, 1, 8, 8, dtype=torch.float64))
    assert (found.dtype, found.shape) == (torch.float64, (3, 4))


def test_a_student_tells_what_its_teacher_costs(images: Any, tmp_path: Path) -> None:
    teacher = make_teacher(TRAIN)
    trained = train(make_network(), RECIPE, images, TRAIN, HELD_OUT, tmp_path, seed=3, teacher=teacher)
    own, its = macs(make_network()), macs(teacher.network)
    assert trained.macs == 3 * (64 * (3 * own + its) + (32 + 3 * STATISTICS_IMAGES) * own)
    tested = replace(RECIPE, lr=None)
    found = train(make_network(), tested, images, TRAIN, HELD_OUT, tmp_path / "lr", seed=3, teacher=teacher)
    steps, rest = divmod(found.macs - trained.macs, 16 * (3 * own + its))
    assert (0 < steps <= 48, rest) == (True, 0)


def test_a_student_that_was_stopped_goes_on_to_the_same_bits(images: Any, tmp_path: Path) -> None:
    class Stopped(Exception):  # noqa: N818
        pass

    def stop(done: int, total: int, epoch: object) -> None:
        if done == 6:
            raise Stopped

    def go(folder: Path, **more: Any) -> Any:
        return train(
            make_network(), RECIPE, images, TRAIN, HELD_OUT, folder,
            seed=3, teacher=make_teacher(TRAIN), checkpoint_steps=2, **more,
        )  # fmt: skip

    go(tmp_path / "whole")
    with pytest.raises((Stopped, Interrupted)):
        go(tmp_path / "stopped", progress=stop)
    assert not (tmp_path / "stopped" / WEIGHTS_FILE).exists()
    go(tmp_path / "stopped")
    assert (tmp_path / "stopped" / WEIGHTS_FILE).read_bytes() == (tmp_path / "whole" / WEIGHTS_FILE).read_bytes()
