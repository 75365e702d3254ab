"""The search for a target among cuts, against the truth that the paper trainer holds."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from deepenough.experiment.estimate import estimate
from deepenough.nets import NETWORKS
from deepenough.nets.cut import cut_at, cuts
from deepenough.preprocessing import Preprocessing
from deepenough.search.architectures import cut_architectures
from deepenough.search.cut_target_search import Begin, CutTargetSearch, beginning
from deepenough.search.fine_tuning_gains import Gains
from deepenough.search.question import Measure
from deepenough.search.verdict import depths_text, left_out_text
from deepenough.training.callbacks import Ending

FAST, SLOW = "mobilenet_v3_small", "squeezenet1_1"  # 14 cuts of 56 million multiply-accumulates at most, 9 of 287
LEFT_OUT = "were left out, since by the probes and what fine-tuning gains none of them would be the answer"
SECOND = 100  # the paper trainer knows networks by their blocks: those of the fast one count from here


@pytest.fixture(scope="module")
def places():
    """All cuts of two networks, by their multiply-accumulates."""
    found = []
    for start, name in ((0, SLOW), (SECOND, FAST)):
        whole = NETWORKS[name]()
        named = [(c.place, cut_at(whole, c.place, 10)) for c in cuts(whole)]
        own = cut_architectures(name, named, f"{name}.pth", Preprocessing((224, 224)), one_of_several=True)
        found += [replace(each, blocks=start + each.blocks) for each in own]
    return tuple(sorted(found, key=lambda each: each.measure("macs")))


@pytest.fixture(scope="module")
def one(places):
    """The cuts of one network alone."""
    return tuple(
        replace(each, origin=replace(each.origin, one_of_several=False)) for each in places if each.family == SLOW
    )


def rising(top, count, start=0.4):
    return np.minimum(np.linspace(start, top + 0.1, count), top)


@pytest.fixture
def search(question, places):
    """A search for probes and gains of the fast and the slow network, cut by cut from shallow to deep."""

    def make(trainer, fast, slow, gains, space=None, **changes):
        space = space or places
        probed = {each.name: float((fast[each.blocks - SECOND]) if each.family == FAST else slow[each.blocks])
                  for each in space}  # fmt: skip
        fine_tuned = {each.blocks: probed[each.name] + gains[each.family] for each in space}
        paper = trainer(lambda blocks, epochs, seed: fine_tuned[blocks])
        asked = replace(question, minimize=Measure.MACS, weights=("a", "b"), **{"budget": 2.0, **changes})
        proposed = next((each for each in space if probed[each.name] >= asked.target), None)
        begun = beginning(asked, space, paper, probed, proposed or space[-1])
        return CutTargetSearch(asked, space, paper, lambda _: None, beginning=begun, probes=probed)

    return make


def folds(trainer, images=6000):
    return lambda truth: trainer(truth, images=images, folds=4)


def tried(job):
    return [candidate.architecture.family for candidate in job.tried]


def test_the_fast_network_that_fine_tuning_brings_to_the_target_is_found(search, trainer):
    """No probe reaches the target, and the best one is the slow network's: it was trained first, and shipped."""
    job = search(folds(trainer), rising(0.70, 14), rising(0.73, 9), {FAST: 0.13, SLOW: 0.13}, target=0.80)
    assert max(job.probes, key=job.probes.get).startswith(SLOW)
    verdict = job.run()
    assert (verdict.kind, verdict.chosen.architecture.family) == ("shown", FAST)
    assert set(tried(job)) == {FAST}
    assert job.events[0].what == f"beginning with {verdict.chosen.name}"
    assert job.events[0].why.startswith(
        "no probe of the search space reaches 80.0%; of the best cuts of each network it is the smallest"
    )


def test_it_begins_with_a_cheap_cut_if_the_budget_then_holds_a_better_one(search, trainer):
    """A cut that is shallow and dear has the best probe; of those that are better than the fast one some are held."""
    slow = (0.40, 0.50, 0.73, 0.72, 0.72, 0.72, 0.72, 0.72, 0.72)
    for budget, reason in ((1.0, Begin.BEST), (1.1, Begin.BEST), (1.5, Begin.MOST), (2.0, Begin.MOST)):
        gains = {FAST: 0.13, SLOW: 0.13}
        job = search(folds(trainer), rising(0.70, 14), slow, gains, target=0.80, budget=budget)
        assert job.beginning.reason is reason
        assert (job.beginning.architecture.family == FAST) == (reason is Begin.MOST)


def test_the_fast_network_is_found_by_the_gains_of_the_slow_one(search, trainer):
    """Half of its mistakes corrected the fast one would not reach the target, but fine-tuning gains more."""
    job = search(folds(trainer), rising(0.88, 14), rising(0.91, 9), {FAST: 0.085, SLOW: 0.085}, target=0.95, budget=9)
    verdict = job.run()
    assert tried(job)[0] == SLOW
    assert (verdict.kind, verdict.chosen.architecture.family) == ("shown", FAST)


def test_a_smaller_cut_of_one_network_is_found_by_what_was_gained(search, trainer, one):
    slow = (0.40, 0.50, 0.60, 0.70, 0.76, 0.80, 0.82, 0.83, 0.83)
    job = search(folds(trainer), (), slow, {SLOW: 0.10}, one, target=0.84, budget=9)
    verdict = job.run()
    assert verdict.chosen.architecture.blocks == 4
    assert verdict.text.endswith("the one in model/ is trained on all of them")
    assert f"; depths 2 to 8 {LEFT_OUT}" in verdict.text
    assert job.events[-1].what == "left out depths 2 to 8"


def test_a_larger_cut_with_a_worse_probe_is_found_where_its_network_gains_more(search, trainer):
    """The probes of the slow network are shown to be worse than those of the fast one, which is no reason."""
    gains = {FAST: 0.02, SLOW: 0.13}
    job = search(folds(trainer), rising(0.74, 14), rising(0.70, 9), gains, target=0.80)
    verdict = job.run()
    assert tried(job)[0] == FAST
    assert (verdict.kind, verdict.chosen.architecture.family) == ("shown", SLOW)


def test_where_a_probe_reaches_the_target_the_next_shallower_cut_alone_is_tried(search, trainer, one):
    slow = (0.40, 0.50, 0.60, 0.70, 0.78, 0.79, 0.82, 0.83, 0.83)
    job = search(folds(trainer), (), slow, {SLOW: 0.03}, one, target=0.80)
    verdict = job.run()
    assert job.beginning.reason is Begin.PROPOSED
    assert [c.architecture.blocks for c in job.tried] == [5]
    assert verdict.kind == "shown"
    assert verdict.advice == ("depth 10 was not tried; a larger --budget lets the search try it",)
    assert f"depths 2 to 8 {LEFT_OUT}" in verdict.text
    assert not any("beginning" in event.what for event in job.events)


def test_where_the_first_fails_the_next_is_chosen_by_its_gain(search, trainer, one):
    """From fire5 on cut by cut it was the third, over the budget."""
    slow = (0.40, 0.50, 0.60, 0.70, 0.76, 0.79, 0.815, 0.83, 0.83)
    job = search(folds(trainer), (), slow, {SLOW: 0.005}, one, target=0.81)
    verdict = job.run()
    assert [c.architecture.blocks for c in job.tried] == [5, 7]
    assert verdict.kind == "shown"


def test_where_nothing_meets_the_target_the_best_probed_and_the_whole_network_were_tried(search, trainer, one):
    slow = (0.40, 0.50, 0.60, 0.70, 0.74, 0.76, 0.78, 0.77, 0.75)
    job = search(folds(trainer), (), slow, {SLOW: 0.02}, one, target=0.83, budget=9)
    verdict = job.run()
    assert verdict.kind == "not met"
    assert {c.architecture.blocks for c in job.tried} == {6, 8}
    assert verdict.text.startswith("no network tried reached 83.0%; the best is squeezenet1_1-fire7 with ")
    assert f"depths 2 to 12 and 16 {LEFT_OUT}" in verdict.text


def drawn(seed):
    """Probes and gains of two networks, and a target that no probe may reach."""
    rng = np.random.default_rng(seed)
    fast, slow = rising(rng.uniform(0.65, 0.85), 14), rising(rng.uniform(0.65, 0.85), 9)
    gains = {FAST: rng.uniform(0.0, 0.12), SLOW: rng.uniform(0.0, 0.12)}
    return fast, slow, gains, max(fast[-1], slow[-1]) + rng.uniform(-0.02, 0.12)


@pytest.mark.parametrize("budget", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("seed", range(6))
def test_every_training_but_the_first_keeps_the_budget_and_the_estimate_holds(search, timed, seed, budget, count):
    fast, slow, gains, target = drawn(seed)
    job = search(
        lambda truth: timed(truth, images=3000, train=2500, folds=count), fast, slow, gains, target=target,
        budget=budget,
    )  # fmt: skip
    plan = estimate(job.question, job.search_space, job.trainer, [job.beginning.architecture])
    fresh = job.train

    def train(architecture, **how):
        assert not job.tried or job.spent + job.trainer.planned(architecture) <= budget * job.trainer.planned(
            architecture
        )
        return fresh(architecture, **how)

    job.train = train
    verdict = job.run()
    if verdict.kind == "shown":
        first, chosen = (job.trainer.planned(each) for each in (job.tried[0].architecture, verdict.chosen.architecture))
        assert job.spent <= max(budget * chosen, first)
    trained = 1e-9 * (job.spent + job.trainer.retraining(verdict.chosen.architecture))
    assert plan.least * (1 - 1e-9) <= trained <= plan.most * (1 + 1e-9)
    names = {c.architecture.name for c in job.tried}
    size = verdict.chosen.architecture.macs
    left = [e for e in job.search_space if e.name not in names and (verdict.kind != "shown" or e.macs < size)]
    named = {each.name for each in (*verdict.facts.unseen, *verdict.facts.left_out)}
    assert named == {each.name for each in left}, "no cut is passed over in silence"


def test_what_does_not_finish_in_time_gives_way_to_a_cheaper_cut(search, trainer):
    """The slow network alone is expected to be shown to meet the target, and takes too long."""
    fast, slow = np.linspace(0.4, 0.75, 14), rising(0.80, 9)
    job = search(folds(trainer), fast, slow, {FAST: 0.08, SLOW: 0.08}, target=0.81, budget=99)
    job.beginning = replace(job.beginning, architecture=next(e for e in job.search_space if e.blocks == SECOND + 11))
    most = max(job.trainer.planned(each) for each in job.search_space if each.family == FAST)
    job.trainer.in_time = lambda *architectures, epochs=None: job.trainer.planned(architectures[0]) <= most
    verdict = job.run()
    assert [c.architecture.blocks for c in job.tried][:2] == [SECOND + 11, SECOND + 13]
    assert {*tried(job), verdict.chosen.architecture.family} == {FAST}
    assert any(event.what.startswith(f"skipped {SLOW}") for event in job.events)


def test_what_would_reach_furthest_but_not_in_time_keeps_nothing_else_from_being_tried(search, trainer, one):
    """The budget holds the whole network or the cut before it, and the whole network takes too long."""
    slow = (0.40, 0.50, 0.60, 0.70, 0.74, 0.77, 0.79, 0.84, 0.87)
    job = search(folds(trainer), (), slow, {SLOW: 0.005}, one, target=0.81, budget=1.5)
    job.beginning = replace(job.beginning, architecture=one[5])
    job.trainer.in_time = lambda *architectures, epochs=None: architectures[0] is not one[8]
    verdict = job.run()
    assert [c.architecture.blocks for c in job.tried] == [5, 7]
    assert verdict.kind == "shown"


def test_a_network_that_is_slow_to_train_keeps_no_costlier_one_from_being_tried(search, trainer):
    """The time of a multiply-accumulate is another one in each network."""
    job = search(folds(trainer), rising(0.80, 14), rising(0.80, 9), {FAST: 0.05, SLOW: 0.05}, target=0.83, budget=9)
    job.beginning = replace(job.beginning, architecture=next(e for e in job.search_space if e.blocks == 2))
    job.trainer.in_time = lambda *architectures, epochs=None: architectures[0].family == SLOW
    verdict = job.run()
    assert (verdict.kind, set(tried(job))) == ("shown", {SLOW})
    skipped = [event.what for event in job.events if event.what.startswith("skipped")]
    assert skipped
    assert len(skipped) == len(set(skipped)), "each is said once"


def test_the_next_cut_is_the_first_to_be_begun_ahead_and_none_over_the_budget_is(search, trainer, one):
    slow = (0.40, 0.50, 0.60, 0.70, 0.76, 0.79, 0.815, 0.83, 0.83)
    job = search(folds(trainer), (), slow, {SLOW: 0.005}, one, target=0.81, budget=1.25)
    ahead = []

    def expect(architectures, seed):
        planned = job.trainer.planned
        assert all(job.spent + planned(each) <= 1.25 * planned(each) for each in architectures[1:])
        ahead.append(architectures[0].name)

    job.trainer.expect = expect
    job.run()
    assert ahead == [c.name for c in job.tried][: len(ahead)]
    assert len(ahead) > 1


def test_a_single_cut_that_was_left_out_is_named_in_the_singular(one):
    assert left_out_text(one[2:3]) == (
        "depth 6 was left out, since by the probes and what fine-tuning gains it would not be the answer"
    )


def test_where_time_ends_the_search_more_of_it_is_what_helps(search, trainer, one):
    slow = (0.40, 0.50, 0.60, 0.70, 0.74, 0.77, 0.79, 0.84, 0.87)
    job = search(folds(trainer), (), slow, {SLOW: 0.005}, one, target=0.81, budget=9)
    job.beginning = replace(job.beginning, architecture=one[5])
    job.trainer.in_time = lambda *architectures, epochs=None: False
    verdict = job.run()
    assert (verdict.kind, [c.architecture.blocks for c in job.tried]) == ("not met", [5])
    assert verdict.advice[0] == "depths 14 to 18 were not tried; a larger --time-limit lets the search try them"


def test_where_a_student_is_shown_to_meet_the_target_no_larger_cut_is_named(search, trainer, one):
    slow = (0.40, 0.50, 0.60, 0.70, 0.77, 0.70, 0.70, 0.87, 0.87)
    job = search(
        lambda truth: trainer(truth, images=6000, folds=4, gains={4: 0.09}),
        (), slow, {SLOW: 0.005}, one, target=0.81, budget=4, distill=True,
    )  # fmt: skip
    job.beginning = replace(job.beginning, architecture=one[4])
    verdict = job.run()
    assert (verdict.kind, verdict.chosen.name) == ("shown", f"{one[4].name}-distilled")
    named = {each.blocks for each in (*verdict.facts.unseen, *verdict.facts.left_out)}
    assert named == set(range(4))


def test_a_search_that_went_on_takes_the_same_order(search, trainer):
    fast, slow, gains, target = rising(0.75, 14), rising(0.77, 9), {FAST: 0.03, SLOW: 0.06}, 0.84
    whole = search(folds(trainer, images=1500), fast, slow, gains, target=target, budget=6)
    whole.run()
    assert len(whole.tried) > 2
    for stopped in range(1, len(whole.tried)):
        again = search(folds(trainer, images=1500), fast, slow, gains, target=target, budget=6)
        known = {candidate.name: candidate for candidate in whole.tried[:stopped]}
        fresh = again.trainer.train_candidate

        def replayed(attempt, known=known, fresh=fresh, **how):
            return known.get(attempt.architecture.name) or fresh(attempt, **how)

        again.trainer.train_candidate = replayed
        again.run()
        assert [c.name for c in again.tried] == [c.name for c in whole.tried]
        assert again.events == whole.events


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("level", [True, False])
def test_whole_searches_make_false_claims_in_at_most_5_percent(search, trainer, level, count):
    """Level with the target, or level but for the deepest; the probes are judged on the very images that decide."""
    repetitions, false, target, images = 50, 0, 0.90, 1000
    for repetition in range(repetitions):
        rng = np.random.default_rng(repetition)
        paper = trainer(lambda *_: 0.0, images=images, folds=count, noise=0.06)
        paper.difficulty = rng.random(images)
        truth = [np.full(n, target - 1e-9) for n in (14, 9)]
        if not level:
            truth[1][-2:] = 0.93
        probes = [np.array([np.mean((paper.difficulty + 0.06 * rng.standard_normal(images)) % 1 < t - 0.03)
                            for t in own]) for own in truth]  # fmt: skip
        job = search(
            lambda _, paper=paper: paper, *probes, {FAST: 0, SLOW: 0}, target=target, budget=9, seed=repetition
        )
        paper.truth = lambda blocks, *_, truth=truth: (
            truth[0][blocks - SECOND] if blocks >= SECOND else truth[1][blocks]
        )
        verdict = job.run()
        false += verdict.kind == "shown" and paper.truth(verdict.chosen.architecture.blocks) < target
    assert false / repetitions <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / repetitions)


def test_only_trainings_that_were_not_cut_short_tell_what_is_gained(places):
    def candidate(number, state, ended, accuracy):
        return SimpleNamespace(
            architecture=places[number], state=state, accuracy=accuracy, trainings=[SimpleNamespace(ended=ended)]
        )

    probes = {each.name: 0.5 for each in places}
    shallow, deep = (next(n for n, e in enumerate(places) if e.blocks == SECOND + k) for k in (5, 9))
    found = Gains.of(
        [
            candidate(shallow, Ending.PRUNED, Ending.FINISHED, 0.6),
            candidate(deep, Ending.PRUNED, Ending.PRUNED, 0.9),
            candidate(0, Ending.NOT_FINITE, Ending.NOT_FINITE, 0.1),
        ],
        probes,
    )
    assert found.gained == ((places[shallow], pytest.approx(0.1)),)
    assert found.most(SLOW) == found.most(FAST) == pytest.approx(0.1)
    assert found.tells_of(places[shallow])
    assert not found.tells_of(places[deep])
    assert Gains(()).most(FAST) == 0


def test_gains_are_said_to_be_of_the_network_that_was_trained(places):
    """Those of a network that nothing was tried of are taken to be another's."""
    fast, slow = (next(each for each in places if each.family == family) for family in (FAST, SLOW))
    what, why, figures = Gains(((fast, 0.1),)).left_out([slow])
    assert (what, figures["networks"]) == (f"left out {depths_text([slow])}", [slow.name])
    assert why.endswith(f"so far (10.0 points of {FAST}) would not make them the answer")
    assert (figures["families"], figures["gained"]) == ([FAST], ["10.0"])
