"""The searches with students: which networks learn from which, and that a student enters the answer as another one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from deepenough.experiment.options import Options
from deepenough.nets import NETWORKS
from deepenough.nets.cut import cut_at, cuts
from deepenough.preprocessing import Preprocessing
from deepenough.search.architectures import between, cut_architectures
from deepenough.search.candidates import Attempt
from deepenough.search.cut_search import CutSearch
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.question import Role
from deepenough.search.target_search import MOST_DISTILLED, TargetSearch
from deepenough.search.verdict import depth_text, depths_text
from deepenough.training.callbacks import Ending

ONE_SHORT = {1: 0.85, 2: 0.88, 4: 0.90, 8: 0.90, 16: 0.90}  # two blocks miss the best by more than the margin
GAINS = {3: 0.011, 2: 0.021, 1: 0.01}


def search(kind, question, architectures, paper):
    job = kind(question, architectures, paper, lambda s: None)
    return job, job.run()


def students(job):
    return [(c.architecture.blocks, c.teacher.architecture.blocks) for c in job.tried if c.role is Role.DISTILLED]


@pytest.fixture
def asked(question):
    return replace(question, distill=True, budget=1.5)


def test_an_architecture_with_a_teacher_is_another_one(architectures):
    small, deep = architectures[0], architectures[-1]
    student = small.distilled_from(deep)
    assert (student.name, student.depth, student.macs) == (f"{small.name}-distilled", small.depth, small.macs)
    assert student != small
    assert student.undistilled == small
    assert student.curve != small.curve
    assert depth_text(student) == f"depth 7 (distilled from {deep.name})"
    assert depths_text([small, student]) == "residual-7 and residual-7-distilled"
    assert between(student, deep) is None
    assert between(student, architectures[2].distilled_from(deep)) is None


def test_a_student_needs_the_candidate_that_it_learns_from(architectures, trainer):
    paper = trainer(lambda blocks, epochs, seed: 0.9)
    small, middle, deep = (paper.train_candidate(Attempt(each, 0)) for each in architectures[:3])
    student = small.architecture.distilled_from(deep.architecture)
    assert paper.train_candidate(Attempt(student, 0, teacher=deep)).teacher is deep
    for teacher in (None, middle):
        with pytest.raises(ValueError, match="learns from another candidate"):
            Attempt(student, 0, teacher=teacher)
    with pytest.raises(ValueError, match="learns from another candidate"):
        Attempt(small.architecture, 0, teacher=deep)


def test_what_learns_enough_from_the_best_is_shipped_under_its_own_name(asked, architectures, trainer, approaching):
    plain, before = search(
        EnoughSearch, replace(asked, distill=False), architectures, trainer(approaching(ONE_SHORT), images=20000)
    )
    assert before.chosen.architecture.blocks == 4
    assert not students(plain)
    given = replace(asked, budget=2.0)
    job, verdict = search(
        EnoughSearch, given, architectures, trainer(approaching(ONE_SHORT), images=20000, gains=GAINS)
    )
    found = [candidate.name for candidate in job.distilled()]
    assert found == ["residual-15-distilled", "residual-11-distilled", "residual-7-distilled"][: len(found)]
    assert len(found) > 1
    assert all(ONE_SHORT[teacher] == 0.90 for _, teacher in students(job))
    assert verdict.chosen.name == "residual-11-distilled"
    assert verdict.kind == "shown"
    assert verdict.text.startswith(f"depth 11 (distilled from {verdict.chosen.teacher.name}) is deep enough")
    compared = {pair.candidate.name: pair for pair in verdict.comparisons}
    assert compared["residual-11-distilled"].enough
    assert not compared["residual-11"].enough  # the plain one is what it was
    assert compared["residual-11"].difference.value == pytest.approx(0.02, abs=0.01)
    assert job.spent <= given.budget * job.whole_space


def test_who_does_not_learn_enough_is_compared_and_not_shipped(asked, architectures, trainer, approaching):
    job, verdict = search(
        EnoughSearch, asked, architectures, trainer(approaching(ONE_SHORT), images=20000, gains={2: 0.002, 1: 0.05})
    )
    assert [student for student, _ in students(job)] == [2]
    assert verdict.chosen.name == "residual-19"
    (pair,) = [each for each in verdict.comparisons if each.candidate.name == "residual-11-distilled"]
    assert not pair.enough


def test_a_student_is_compared_with_every_other_and_can_be_the_best(asked, architectures, trainer, approaching):
    """What it beats by more than the margin is no longer enough."""
    job, verdict = search(
        EnoughSearch, asked, architectures, trainer(approaching(ONE_SHORT), images=20000, gains={2: 0.05})
    )
    assert verdict.best.name == "residual-11-distilled"
    assert verdict.chosen.name == "residual-11-distilled"
    assert not any(pair.enough for pair in verdict.comparisons if pair.candidate.teacher is None)
    assert verdict.not_ruled_out == ("residual-11-distilled",)
    assert students(job)


def test_further_seeds_of_a_student_learn_from_the_same_teacher(asked, architectures, trainer, approaching):
    """Few images leave it in doubt whether the student is enough."""
    job, _ = search(
        EnoughSearch, replace(asked, budget=3.0), architectures,
        trainer(approaching(ONE_SHORT), images=3000, gains={2: 0.019, 1: 0.01}),
    )  # fmt: skip
    seeds = [c for c in job.tried if c.role is Role.SECOND_SEED and c.architecture.teacher]
    assert seeds
    for candidate in seeds:
        assert candidate.name == f"{candidate.architecture.name}-seed{candidate.seed}"
        assert candidate.teacher.name == candidate.architecture.teacher.name
        assert (candidate.teacher.role, candidate.teacher.seed) == (Role.SEARCH_SPACE, 0)


@pytest.mark.parametrize("budget", [0.3, 0.65, 0.8, 1.2])
@pytest.mark.parametrize("folds", [1, 4])
def test_students_are_within_the_budget(asked, architectures, trainer, approaching, budget, folds):
    paper = trainer(approaching(ONE_SHORT), images=20000, folds=folds, gains={2: 0.021})
    job, verdict = search(EnoughSearch, replace(asked, budget=budget), architectures, paper)
    final = max(paper.retraining(c.architecture) for c in job.tried if c.finished)
    assert job.spent + paper.retraining(verdict.chosen.architecture) <= budget * (job.whole_space + final)


def test_at_the_default_budget_something_is_kept_for_a_student(asked, architectures, trainer, approaching):
    job, _ = search(
        EnoughSearch, replace(asked, budget=Options().search_budget), architectures,
        trainer(approaching(ONE_SHORT), images=20000),
    )  # fmt: skip
    assert students(job)


def test_with_a_target_what_is_smaller_than_the_network_that_meets_it_may_learn(
    asked, architectures, trainer, approaching
):
    given = replace(asked, target=0.89, budget=Options(target=0.89, distill=True).search_budget)
    few, _ = search(TargetSearch, given, architectures, trainer(approaching(ONE_SHORT), images=20000, gains={2: 0.02}))
    assert students(few) == [(2, 4)]
    given = replace(given, budget=3.2)
    job, verdict = search(
        TargetSearch, given, architectures, trainer(approaching(ONE_SHORT), images=20000, gains=GAINS)
    )
    assert students(job) == [(2, 4), (1, 4)]
    assert verdict.chosen.name == "residual-11-distilled"
    assert verdict.text.startswith("depth 11 (distilled from residual-19) is deep enough: shown")
    assert verdict.kind == "shown"
    shown = {check.candidate.name: check.shown for check in verdict.target_checks}
    assert shown == {
        "residual-7": False, "residual-11": False, "residual-19": True, "residual-11-distilled": True,
        "residual-7-distilled": False,
    }  # fmt: skip
    assert job.spent <= given.budget * job.trainer.planned(job.teacher().architecture)
    refused, _ = search(
        TargetSearch, replace(given, budget=2.0), architectures, trainer(approaching(ONE_SHORT), images=20000)
    )
    assert not students(refused)
    assert any(event.what == "skipped residual-11-distilled" for event in refused.events)


FALLING = {1: 0.93, 2: 0.90, 4: 0.88, 8: 0.86, 16: 0.84}
EVEN = {1: 0.899, 2: 0.90, 4: 0.90, 8: 0.90, 16: 0.90}
NONE_SMALLER = "of the networks trained in full, none smaller than residual-7 can learn from residual-7, "


def notes_of_none(job):
    return [event.why for event in job.events if event.what == "nothing distilled"]


@pytest.mark.parametrize(
    ("kind", "target", "truth", "why"),
    [
        (EnoughSearch, None, FALLING, NONE_SMALLER),
        (EnoughSearch, None, EVEN, "residual-7 is enough without a teacher"),
        (TargetSearch, 0.85, EVEN, NONE_SMALLER),
        (TargetSearch, 0.95, EVEN, "no network is shown to meet the target"),
    ],
)
def test_where_nothing_is_distilled_the_reason_is_told_once(
    asked, architectures, trainer, approaching, kind, target, truth, why
):
    given = replace(asked, target=target, budget=3.0)
    told = []
    paper = trainer(approaching(truth), images=20000)
    paper.reporter = SimpleNamespace(say=told.append)
    job, _ = search(kind, given, architectures, paper)
    assert not students(job)
    (said,) = notes_of_none(job)
    assert said.startswith(why)
    assert told.count(f"nothing distilled: {said}") == 1
    job, _ = search(kind, replace(given, distill=False), architectures, trainer(approaching(truth), images=20000))
    assert not notes_of_none(job)


def test_what_meets_the_target_only_once_it_is_finished_has_students_too(asked, architectures, trainer, approaching):
    """Every training is ended early, as by a forecast that was wrong; the most accurate one is then finished."""
    paper = trainer(approaching({**EVEN, 1: 0.7}), images=20000, gains={1: 0.16})
    whole = paper.train_candidate

    def ended_early(attempt, early_stopping=None, **options):
        trained = whole(attempt, **options)
        return trained if early_stopping is None else replace(trained, state=Ending.PRUNED, why="stopped early")

    paper.train_candidate = ended_early
    job, verdict = search(TargetSearch, replace(asked, target=0.85, budget=20), architectures, paper)
    assert verdict.kind == "shown"
    assert students(job) == [(1, 2)]
    assert not notes_of_none(job)


@pytest.mark.parametrize("target", [None, 0.99])
def test_where_all_trainings_diverge_it_says_that_nothing_is_distilled(
    asked, architectures, trainer, approaching, diverging, target
):
    paper = diverging(trainer(approaching(EVEN)), lambda attempt: True)
    job, _ = search(TargetSearch if target else EnoughSearch, replace(asked, target=target), architectures, paper)
    assert len(notes_of_none(job)) == 1


@pytest.mark.parametrize("budget", [0.3, 2.0])
def test_where_something_is_distilled_or_too_dear_nothing_else_is_said(
    asked, architectures, trainer, approaching, budget
):
    paper = trainer(approaching(ONE_SHORT), images=20000, gains=GAINS)
    job, _ = search(EnoughSearch, replace(asked, budget=budget), architectures, paper)
    skipped = any(event.what.startswith("skipped") and event.what.endswith("-distilled") for event in job.events)
    assert bool(students(job)) != skipped
    assert not notes_of_none(job)


def test_cuts_that_take_other_images_than_the_best_can_not_learn_from_it(asked, trainer):
    """Few images: the smaller one is chosen, and not shown to be enough."""
    whole = NETWORKS["squeezenet1_1"]()
    networks = [(cut.place, cut_at(whole, cut.place, 10)) for cut in cuts(whole)[-2:]]
    small, large = (
        cut_architectures(name, [cut], weights=name, preprocess=Preprocessing((side, side)))
        for name, cut, side in zip("ab", networks, (224, 192), strict=True)
    )
    paper = trainer(lambda place, epochs, seed: 0.9, images=1000, noise=0.05)
    job = CutSearch(asked, (*small, *large), paper, lambda _: None, proposed=1, best_probe=1)
    images = np.arange(1000)
    wrong = {"a": images < 101, "b": (images >= 60) & (images < 160)}
    paper.hits = lambda each, epochs, seed: ~wrong[each.family]
    job.run()
    assert not students(job)
    assert notes_of_none(job) == ["a-fire8 takes other images than b-fire9, the most accurate, and can't learn from it"]


def test_looks_at_students_are_paid_for_before_anything_is_trained(asked, architectures, trainer, approaching):
    """The error of the first look is a share of all that may follow, students among them."""
    alphas = []
    for distill in (True, False):
        paper = trainer(lambda blocks, epochs, seed: 0.89, images=20000)
        given = replace(asked, target=0.89, distill=distill, budget=100.0)
        job, _ = search(TargetSearch, given, architectures, paper)
        alphas.append(job.looks[architectures[0].name].alpha)
        assert len(students(job)) <= MOST_DISTILLED
    assert alphas[0] / alphas[1] == pytest.approx(len(architectures) / (len(architectures) + MOST_DISTILLED))


def test_cuts_of_a_pretrained_network_learn_too(asked, trainer):
    whole = NETWORKS["squeezenet1_1"]()
    places = cut_architectures("squeezenet1_1", [(c.place, cut_at(whole, c.place, 10)) for c in cuts(whole)])
    truth = {6: 0.80, 7: 0.85, 8: 0.88}
    paper = trainer(lambda place, epochs, seed: truth.get(place, 0.5), images=20000, gains={7: 0.03})
    job = CutSearch(asked, places, paper, lambda _: None, proposed=7, best_probe=8)
    verdict = job.run()
    assert students(job)[0] == (7, 8)
    assert verdict.chosen.name == f"{places[7].name}-distilled"
