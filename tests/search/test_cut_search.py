"""The search among cuts, against the truth that the paper trainer holds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.experiment.estimate import estimate
from deepenough.nets import NETWORKS
from deepenough.nets.cut import cut_at, cuts
from deepenough.search.architectures import cut_architectures
from deepenough.search.cut_search import CutSearch, first_cuts
from deepenough.search.verdict import depths_text

EIGHT = (0.5, 0.6, 0.7, 0.75, 0.8, 0.83, 0.85, 0.86)  # places 0 to 7, far under the whole


@pytest.fixture(scope="module")
def places():
    whole = NETWORKS["squeezenet1_1"]()
    return cut_architectures("squeezenet1_1", [(c.place, cut_at(whole, c.place, 10)) for c in cuts(whole)])


def truth(**of_places):
    """The accuracy of each place; unnamed ones get what a shallow one may have."""
    return lambda place, epochs, seed: of_places.get(f"p{place}", EIGHT[min(place, 7)])


@pytest.fixture
def search(question, places):
    """A search among the cuts; `best_probe` is the whole network where nothing else is said."""

    def make(paper, proposed, best_probe=8, **changes):
        return CutSearch(
            replace(question, **changes), places, paper, lambda _: None, proposed=proposed, best_probe=best_probe
        )

    return make


def states(job):
    """How each cut ended, by its place, in the order of their trainings."""
    return {c.architecture.place: c.state for c in job.tried if c.role == "search space"}


def test_the_whole_network_stays_where_every_cut_is_worse(search, trainer):
    paper = trainer(truth(p8=0.88, p7=0.84, p6=0.80, p5=0.78), images=3400, folds=4)
    job = search(paper, proposed=6, best_probe=7, budget=0.65)
    verdict = job.run()
    assert verdict.chosen.architecture.place == "fire9"
    assert list(states(job))[:4] == ["fire8", "fire9", "fire7", "fire6"]
    assert set(states(job)) == {"conv1", *(f"fire{n}" for n in range(2, 10))}
    pruned = {c.architecture.place: c for c in job.tried if c.state == "pruned"}
    assert set(pruned) == {"conv1", *(f"fire{n}" for n in range(2, 8))}
    assert pruned["fire7"].why == "ended after 1 of 4 folds: shown to be more than 1.0 points worse than another cut"
    assert pruned["fire7"].seen.sum() == 850  # shown on the first fold, so the others were not trained
    assert verdict.kind == "shown", "every cut was tried or ruled out"
    assert verdict.not_ruled_out == ("squeezenet1_1-fire9",)


def test_what_is_looked_at_whatever_comes_of_it_has_its_first_folds_together(search, trainer):
    """Cheapest first, as many as the budget holds; halfway cuts, which the evidence chooses, come one by one."""
    changing = truth(p8=0.88, p7=0.84, p6=0.80, p5=0.78)
    paper = trainer(changing, images=3400, folds=4)
    job = search(paper, proposed=6, best_probe=7, budget=0.65)
    job.run()
    assert [each.place for each in paper.begun] == list(states(job))[-len(paper.begun) :]
    assert [each.macs for each in paper.begun] == sorted(each.macs for each in paper.begun)
    assert len(paper.begun) > 2
    assert not job.begun
    late = trainer(changing, images=3400, folds=4)
    late.time_left = 1e6
    timed_job = search(late, proposed=6, best_probe=7, budget=0.65)
    timed_job.run()
    assert not late.begun
    assert states(timed_job) == states(job)


@pytest.mark.parametrize("budget", [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0])
@pytest.mark.parametrize("worse", [range(4), range(4, 5), range(4, 8)])
def test_every_first_fold_that_was_trained_is_looked_at_within_the_budget(search, trainer, budget, worse):
    """Also where the cheapest ones are not worse, and want their other folds first."""
    paper = trainer(lambda place, epochs, seed: 0.3 if place in worse else 0.9, images=2000, train=1500, folds=4)
    job = search(paper, proposed=8, budget=budget)
    job.run()
    assert {each.name for each in paper.begun} <= {candidate.architecture.name for candidate in job.tried}
    final = max(paper.retraining(c.architecture) for c in job.tried)
    assert job.spent <= max(budget * (job.whole_space + final), paper.planned(job.tried[0].architecture))


def test_a_cut_that_is_as_good_is_chosen_and_one_shallower_is_tried(search, trainer):
    paper = trainer(truth(p8=0.97, p7=0.971, p6=0.97, p5=0.969, p4=0.90), images=6000, folds=4)
    job = search(paper, proposed=5, best_probe=7, budget=1.0)
    verdict = job.run()
    assert verdict.kind == "shown"
    assert verdict.chosen.architecture.place == "fire6"
    assert {"fire5", "fire6"} <= set(states(job))
    assert verdict.chosen.architecture.macs < verdict.best.architecture.macs
    last = job.events[-1]
    assert last.what == "squeezenet1_1-fire6 against squeezenet1_1-fire9"
    assert "and saves 6 layers" in last.why


def test_a_probe_that_proposes_too_shallow_does_not_decide(search, trainer):
    paper = trainer(truth(p8=0.97, p7=0.97, p6=0.968, p5=0.9, p4=0.88, p3=0.85), images=6000, folds=4)
    job = search(paper, proposed=3, budget=5.0)
    verdict = job.run()
    assert verdict.chosen.architecture.place in ("fire7", "fire8")
    assert verdict.not_ruled_out[0] == "squeezenet1_1-fire7"
    assert list(states(job))[:4] == ["fire9", "fire4", "fire3", "fire7"], "halfway to those that are shown to be worse"


def test_what_the_budget_leaves_out_is_named_and_the_claim_is_of_the_others(search, trainer):
    """On a validation split nothing is ruled out by a fold, so the default budget does not reach every cut."""
    paper = trainer(truth(p8=0.97, p7=0.971, p6=0.982), images=9000)
    job = search(paper, proposed=6)
    verdict = job.run()
    assert verdict.kind == "shown among those tried"
    assert job.spent <= job.question.budget * job.whole_space
    left_out = {each.name for each in job.search_space} - {c.architecture.name for c in job.tried}
    assert left_out
    assert left_out <= {event.what.removeprefix("skipped ") for event in job.events if "skipped" in event.what}
    assert left_out <= set(verdict.not_ruled_out) | {
        each.name for each in job.search_space if each.depth > verdict.chosen.architecture.depth
    }
    named = depths_text([each for each in job.search_space if each.name in left_out])
    assert f"of the best of them; {named} w" in verdict.text
    assert f"{named} w" in verdict.advice[-1]


@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize("budget", [0.05, 0.2, 0.35, 0.5, 0.65, 1.0])
def test_only_the_first_training_may_exceed_the_budget(search, trainer, budget, folds):
    paper = trainer(truth(p8=0.9, p7=0.895, p6=0.89, p5=0.88), images=2000, train=1500, folds=folds)
    job = search(paper, proposed=5, best_probe=7, budget=budget)
    job.run()
    assert job.tried[0].architecture.place == "fire8"
    assert job.tried[0].finished or folds > 1
    final = max(paper.retraining(c.architecture) for c in job.tried)
    assert job.spent <= max(budget * (job.whole_space + final), paper.planned(job.tried[0].architecture))


@pytest.mark.parametrize("best_probe", range(9))
def test_the_cut_with_the_best_probe_is_always_among_the_tried(search, trainer, best_probe):
    job = search(trainer(truth(p8=0.9), images=2000), proposed=max(best_probe - 2, 0), best_probe=best_probe)
    job.run()
    assert best_probe in {c.architecture.blocks for c in job.tried}


def test_a_cut_on_which_the_budget_ran_out_is_not_called_ruled_out(search, trainer):
    """Equal cuts: none can be shown to be worse by a fold, so some end with a part of the folds, their bounds wide."""
    paper = trainer(lambda place, epochs, seed: 0.9, images=2000, train=1500, folds=4)
    job = search(paper, proposed=7)
    verdict = job.run()
    partial = [c for c in job.tried if c.state == "pruned"]
    assert partial
    assert {c.why for c in partial} <= {
        f"ended after {n} of 4 folds: the next one would exceed the budget" for n in (1, 2, 3)
    }
    assert {c.architecture.name for c in partial} <= set(verdict.not_ruled_out) | {
        each.name for each in job.search_space if each.depth > verdict.chosen.architecture.depth
    }


def test_the_first_cut_alone_is_not_called_enough(search, trainer):
    job = search(trainer(truth(p8=0.97), images=6000), proposed=6)
    job.in_time = lambda architecture: not job.tried
    verdict = job.run()
    assert verdict.kind == "best"
    assert "nothing is known about other depths" in verdict.text
    assert len(verdict.not_ruled_out) == 9


def test_where_every_training_fails_there_is_no_answer(search, trainer):
    paper = trainer(truth(p8=0.9), images=2000)
    original = paper.train_candidate
    paper.train_candidate = lambda attempt, **more: replace(original(attempt, **more), state="not finite")
    verdict = search(paper, proposed=6).run()
    assert verdict.kind == "not met"
    assert not verdict.comparisons


@pytest.mark.parametrize("whole", [1, 2, 8, 16, 50])
def test_the_cuts_of_probes_and_the_whole_network_come_first_and_once(whole):
    for proposed in range(whole + 1):
        for best_probe in (0, whole // 2, whole):
            cuts = [SimpleNamespace(name=str(number), family="net", blocks=number) for number in range(whole + 1)]
            first = [each.blocks for each in first_cuts(cuts, best_probe, proposed)]
            assert first[0] == best_probe
            assert set(first) == {best_probe, whole, proposed, max(proposed - 1, 0)} | ({0} & set(first))
            assert len(first) == len(set(first)) <= 4


def test_only_neighbours_are_a_range_in_words(places):
    assert depths_text(places) == "depths 2 to 18"
    assert depths_text(places[:1]) == "depth 2"
    assert depths_text([places[0], places[5], places[8]]) == "depths 2, 12 and 18"
    assert depths_text([*places[1:5], *places[7:]]) == "depths 4 to 10, 16 and 18"
    assert depths_text([places[0], *places[5:]]) == "depths 2 and 12 to 18"
    assert depths_text([places[2], places[4], places[8]]) == "depths 6, 10 and 18", "twice the number is no neighbour"


def begins_with(job):
    """The cuts that a search begins with."""
    return first_cuts(job.search_space, job.best_probe, job.proposed)


@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize("probing", [0.0, 0.05])
@pytest.mark.parametrize("budget", [0.01, 0.3, 0.4, 0.5, 0.65, 1.0])
@pytest.mark.parametrize("best_probe", [8, 5])
def test_the_estimate_is_what_a_search_spends(search, timed, best_probe, budget, probing, folds):
    """Every cut but the best is so much worse that a fold shows it: the cheapest search, which reaches furthest."""
    paper = timed(lambda place, epochs, seed: 0.9 if place == best_probe else 0.3, images=2000, train=1500, folds=folds)
    job = search(paper, proposed=best_probe, best_probe=best_probe, budget=budget, weights=("squeezenet1_1",))
    paper.probing_cost = int(probing * job.whole_space)
    plan = estimate(job.question, job.search_space, paper, begins_with(job))
    verdict = job.run()
    tried, beginning = {c.architecture.name for c in job.tried}, {each.name for each in begins_with(job)}
    assert tried & beginning == set(plan.within_reach) & beginning
    # Halfway cuts come before cheaper ones, so where the budget does not hold all it may end with one less.
    assert len(tried) <= len(plan.within_reach) <= len(tried) + 1
    final = paper.retraining(verdict.chosen.architecture)
    trained = 1e-9 * (job.spent - paper.probing_cost + final)
    assert plan.least <= trained * (1 + 1e-9)
    only_the_first = paper.planned(job.search_space[best_probe]) + paper.retraining(job.search_space[best_probe])
    assert trained <= max(plan.most, 1e-9 * only_the_first) * (1 + 1e-9)


@settings(
    max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True
)
@given(
    st.lists(st.floats(0.80, 0.95), min_size=9, max_size=9),
    st.floats(0.05, 1.0),
    st.sampled_from([1, 4]),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_every_cut_is_tried_or_ruled_out_or_named(search, timed, accuracies, budget, folds, best_probe, proposed):
    """Whatever the truth: the probes' best is tried, the budget and the estimate hold, and no cut is passed over."""
    paper = timed(lambda place, epochs, seed: accuracies[place], images=2000, train=1500, folds=folds)
    proposed = min(proposed, best_probe)
    job = search(paper, proposed=proposed, best_probe=best_probe, budget=budget, weights=("squeezenet1_1",))
    plan = estimate(job.question, job.search_space, paper, begins_with(job))
    verdict = job.run()
    assert job.tried[0].architecture is job.search_space[best_probe]
    final = max(paper.retraining(c.architecture) for c in job.tried)
    assert job.spent <= max(budget * (job.whole_space + final), paper.planned(job.tried[0].architecture))
    assert plan.least <= 1e-9 * (job.spent + paper.retraining(verdict.chosen.architecture)) * (1 + 1e-9)
    tried = {c.architecture.name for c in job.tried}
    left_out = [each for each in job.search_space if each.name not in tried]
    if left_out and verdict.kind != "shown":
        words = " ".join((verdict.text, *verdict.advice))
        assert depths_text(left_out) in words or "nothing is known about" in words
    assert {each.name for each in left_out} <= {event.what.removeprefix("skipped ") for event in job.events}
