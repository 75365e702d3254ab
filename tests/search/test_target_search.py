"""What a search with a target trains and what it answers, against the truth that the paper trainer holds."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.search.target_search import TargetSearch

RISING = {1: 0.80, 2: 0.85, 3: 0.87, 4: 0.88, 8: 0.882, 16: 0.88}
LATE = {1: 0.860, 2: 0.862, 4: 0.863, 8: 0.90, 16: 0.90}


def search(question, architectures, trainer):
    job = TargetSearch(question, architectures, trainer, lambda s: None)
    return job, job.run()


def names(job, role="search space"):
    return [c.architecture.blocks for c in job.tried if c.role == role]


def test_a_target_above_one_less_the_margin_is_still_searched_for(question, architectures, trainer):
    nearly_all = {1: 0.97, 2: 0.992, 3: 0.994, 4: 0.998, 8: 0.998, 16: 0.998}
    paper = trainer(lambda blocks, epochs, seed: nearly_all[blocks])
    _, verdict = search(replace(question, target=0.995), architectures, paper)
    assert verdict.kind == "shown"
    assert verdict.chosen.architecture.blocks == 4


@pytest.mark.parametrize("target", [0.77, 0.83, 0.86, 0.875])
def test_the_budget_holds_with_a_target(question, architectures, trainer, approaching, target):
    job, verdict = search(replace(question, target=target, budget=2.0), architectures, trainer(approaching(RISING)))
    assert verdict.kind == "shown"
    assert verdict.chosen.lower >= target
    assert job.spent <= 2.0 * job.trainer.planned(verdict.chosen.architecture)
    shallower = [b for b, accuracy in RISING.items() if accuracy < target]
    assert verdict.chosen.architecture.blocks > max(shallower, default=0)


def test_a_hopeless_rung_is_ended_early(question, architectures, trainer, approaching):
    truth = {1: 0.70, 2: 0.71, 4: 0.90, 8: 0.90, 16: 0.90}
    job, verdict = search(replace(question, target=0.88, budget=2.0), architectures, trainer(approaching(truth)))
    ended = {c.architecture.blocks: c.state for c in job.tried}
    assert ended[2] == "pruned"
    assert verdict.chosen.architecture.blocks in (3, 4)


def test_closing_in_finds_the_rung_between(question, architectures, trainer, approaching):
    truth = {1: 0.70, 2: 0.71, 3: 0.90, 4: 0.90, 8: 0.90, 16: 0.90}
    job, verdict = search(replace(question, target=0.88, budget=10.0), architectures, trainer(approaching(truth)))
    assert names(job, "bisection") == [3]
    assert verdict.chosen.architecture.blocks == 3
    assert verdict.chosen.finished


def test_a_target_that_nothing_meets(question, architectures, trainer, approaching):
    job, verdict = search(replace(question, target=0.99, budget=2.0), architectures, trainer(approaching(RISING)))
    assert verdict.kind == "not met"
    assert verdict.chosen.finished
    assert verdict.advice
    assert verdict.chosen.accuracy == max(c.accuracy for c in job.tried)


def test_a_rung_ended_early_is_not_held_to_a_whole_training(question, architectures, trainer, approaching):
    """Deeper helps all the way, slowly: two architectures that can't make the target don't hide the one that does."""
    steady = {1: 0.80, 2: 0.82, 4: 0.84, 8: 0.93, 16: 0.95}
    job, verdict = search(replace(question, target=0.92), architectures, trainer(approaching(steady)))
    assert {c.state for c in job.tried} >= {"pruned"}
    assert verdict.kind == "shown"


def test_a_stalled_climb_goes_on_where_a_scout_of_the_deepest_promises(question, architectures, trainer, approaching):
    """Two gains of 0.2 points do not hide that depth 35 reaches the target."""
    asked = replace(question, target=0.88, budget=3.0)
    job, verdict = search(asked, architectures, trainer(approaching(LATE)))
    assert names(job, "scout") == [16]
    assert verdict.kind == "shown"
    assert verdict.chosen.architecture.blocks == 8


def test_what_the_budget_can_not_pay_for_is_jumped_over_and_named(question, architectures, trainer, approaching):
    job, verdict = search(
        replace(question, target=0.88, budget=2.0), architectures, trainer(approaching(LATE), noise=0.005)
    )
    assert names(job) == [1, 2, 4, 16]
    assert verdict.kind == "shown"
    assert job.spent <= 2.0 * job.trainer.planned(verdict.chosen.architecture)
    assert verdict.advice == ("depth 35 was not tried; a larger --budget lets the search try it",)


def test_depths_that_a_scout_rules_out_are_said_to_be(question, architectures, trainer, approaching):
    flat = {1: 0.860, 2: 0.862, 4: 0.863, 8: 0.863, 16: 0.863}
    asked = replace(question, target=0.90, budget=2.0)
    job, verdict = search(asked, architectures, trainer(approaching(flat), noise=0.005))
    assert names(job, "scout") == [16]
    assert (verdict.kind, names(job)) == ("not met", [1, 2, 4])
    assert verdict.text.startswith("no network reached 90.0%; the best is ")
    assert "; depths 35 and 67 can't be expected to reach it: a short training of the deepest leaves at" in verdict.text
    assert re.search(r"at most \d\d\.\d%, and those before it are taken to be no better$", verdict.text)
    assert not any("not tried" in advice for advice in verdict.advice)
    stopped = next(event for event in job.events if event.what == "stopped")
    assert stopped.why == "depths 35 and 67 can't be expected to reach the target"


def test_a_budget_too_small_to_look_deeper_names_what_was_not_tried(question, architectures, trainer, approaching):
    job, verdict = search(replace(question, target=0.88, budget=1.0), architectures, trainer(approaching(LATE)))
    assert (verdict.kind, names(job, "scout")) == ("not met", [])
    assert verdict.text.startswith("no network tried reached 88.0%")
    assert verdict.text.endswith("; depths 35 and 67 were not tried")
    assert verdict.advice[0] == "depths 35 and 67 were not tried; a larger --budget lets the search try them"


def test_a_scout_grows_from_the_largest_finished_network(question, architectures, trainer, approaching):
    """As in the search without a target: the nearest relative, be a smaller one a little more accurate."""
    level = {1: 0.863, 2: 0.866, 4: 0.864, 8: 0.863, 16: 0.863}
    asked = replace(question, target=0.90, budget=2.0)
    job, _ = search(asked, architectures, trainer(approaching(level), noise=0.005))
    (scout,) = (c for c in job.tried if c.role == "scout")
    done = [c for c in job.tried if c.role == "search space" and c.finished]
    assert scout.start == max(done, key=lambda c: c.architecture.macs).name
    assert scout.start != max(done, key=lambda c: c.accuracy).name


def test_a_training_that_diverged_is_named(question, architectures, trainer, approaching, diverging):
    paper = diverging(trainer(approaching(RISING)), lambda attempt: attempt.architecture.blocks in (1, 2))
    _, verdict = search(replace(question, target=0.86, budget=4.0), architectures, paper)
    assert verdict.kind == "shown"
    assert verdict.text.endswith("; the training of depths 7 and 11 diverged")
    paper = diverging(trainer(approaching(RISING)), lambda attempt: attempt.architecture.blocks == 16)
    _, verdict = search(replace(question, target=0.99, budget=9.0), architectures[3:], paper)
    assert verdict.kind == "not met"
    assert verdict.text.startswith("no network tried reached 99.0%")
    assert verdict.text.endswith("; the training of depth 67 diverged")


def test_a_time_limit_is_what_has_to_be_larger(question, architectures, trainer, approaching):
    paper = trainer(approaching(LATE))
    paper.time = False
    job, verdict = search(replace(question, target=0.88, budget=2.0), architectures, paper)
    assert names(job) == [1]
    assert verdict.advice[0] == "depths 11 to 67 were not tried; a larger --time-limit lets the search try them"


def test_where_every_depth_was_tried_nothing_reached_the_target(question, architectures, trainer, approaching):
    slow = {1: 0.80, 2: 0.81, 4: 0.82, 8: 0.83, 16: 0.84}
    job, verdict = search(replace(question, target=0.88, budget=2.0), architectures, trainer(approaching(slow)))
    assert names(job) == [1, 2, 4, 8, 16]
    assert verdict.text.startswith("no network reached 88.0%; the best is residual-67 with 8")
    assert "not tried" not in verdict.text


def named_depths(parts, architectures):
    """The depths that parts of a sentence name, as "depth 7", "depths 7 and 11" or "depths 7 to 67"."""
    found = set()
    for part in parts:
        listed, to, last = re.match(r"depths? ([\d, and]+?)(?:( to )(\d+))? (?:was|were|can)", part).groups()
        depths = [int(each) for each in re.findall(r"\d+", listed)]
        found |= {a.depth for a in architectures if depths[0] <= a.depth <= int(last)} if to else set(depths)
    return found


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], derandomize=True
)
@given(
    st.lists(st.floats(0.80, 0.95), min_size=5, max_size=5),
    st.floats(0.82, 0.93),
    st.sampled_from([1.0, 2.0, 4.0]),
    st.sampled_from([1, 4]),
)
def test_no_depth_is_passed_over_in_silence(question, architectures, trainer, accuracies, target, budget, folds):
    """Whatever the truth: what is shown is so at its level, and what was neither tried nor ruled out is named."""
    truth = dict(zip((1, 2, 4, 8, 16), accuracies, strict=True))
    paper = trainer(lambda blocks, epochs, seed: np.interp(blocks, list(truth), accuracies), folds=folds, images=2000)
    job, verdict = search(replace(question, target=target, budget=budget), architectures, paper)
    tried = {c.architecture.depth for c in job.tried if c.role != "scout"}
    for check in verdict.target_checks:
        assert check.shown == (check.candidate.finished and check.lower >= target)
        assert check.alpha <= 0.05 + 1e-12
    if verdict.kind == "shown":
        assert next(c for c in verdict.target_checks if c.candidate is verdict.chosen).shown
    if verdict.kind == "not met":
        left = {a.depth for a in architectures if a.depth not in tried}
        assert left == named_depths(verdict.text.split("; ")[2:], architectures)
        assert ("no network tried" in verdict.text) == ("not tried" in verdict.text)


def test_one_that_was_paused_and_is_not_shown_in_the_end_does_not_end_the_search(question, architectures, trainer):
    """Half-way depth 19 seems to meet the target, so that depth 15 is tried; in the end only deeper ones do."""

    def truth(blocks, epochs, seed):
        if blocks == 4:
            return 0.93 if epochs < 8 else 0.885
        return {1: 0.70, 2: 0.75, 3: 0.84}.get(blocks, 0.93)

    job, verdict = search(replace(question, target=0.90, budget=6.0), architectures, trainer(truth))
    assert names(job, "bisection")[:1] == [3]
    assert verdict.kind == "shown"
    assert verdict.chosen.architecture.blocks > 4
    four = next(c for c in verdict.target_checks if c.candidate.architecture.blocks == 4)
    assert four.candidate.finished
    assert not four.shown


def test_with_folds_it_says_of_which_networks_it_speaks(question, architectures, trainer, approaching):
    asked = replace(question, target=0.83, budget=2.0)
    _, verdict = search(asked, architectures, trainer(approaching(RISING), folds=4))
    assert verdict.text.endswith(
        "; shown for networks of this kind trained on three quarters of the images; the one in model/ is trained on "
        "all of them"
    )
    _, verdict = search(asked, architectures, trainer(approaching(RISING)))
    assert "model/" not in verdict.text


@pytest.mark.parametrize(
    "truth",
    [
        {1: 0.8999, 2: 0.8999, 3: 0.8999, 4: 0.8999, 8: 0.8999, 16: 0.8999},
        {1: 0.80, 2: 0.8999, 3: 0.8999, 4: 0.95, 6: 0.95, 8: 0.95, 16: 0.95},  # closing in meets one that is not
        {1: 0.80, 2: 0.89, 4: 0.8999, 6: 0.8999, 8: 0.8999, 12: 0.8999, 16: 0.8999},
    ],
)
def test_whole_searches_make_false_claims_in_at_most_5_percent(question, architectures, trainer, truth):
    """The shipped network is shown and yet under the target, over many draws of the images."""
    rng, repetitions, false = np.random.default_rng(5), 100, 0
    paper = trainer(lambda blocks, epochs, seed: np.interp(blocks, list(truth), list(truth.values())), images=1500)
    paper.noise = 0.06
    for repetition in range(repetitions):
        paper.difficulty = rng.random(1500)
        asked = replace(question, target=0.90, budget=8.0, seed=repetition)
        _, verdict = search(asked, architectures, paper)
        false += verdict.kind == "shown" and paper.truth(verdict.chosen.architecture.blocks, 8, 0) < 0.90
    assert false / repetitions <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / repetitions)


def test_a_target_that_no_bound_can_show_ends_in_an_answer(question, architectures, trainer, approaching):
    """Of 200 images all would have to be right and more, so nothing can be shown; nothing is ruled out either."""
    truth = dict.fromkeys((1, 2, 4, 8, 16), 0.993)
    paper = trainer(approaching(truth), images=200)
    job = TargetSearch(replace(question, target=0.99, budget=2.0), architectures, paper, lambda _: None)
    verdict = job.run()
    assert verdict.kind in ("seems", "not met")


def test_a_scout_that_diverges_rules_nothing_out(question, architectures, trainer, approaching, diverging):
    paper = trainer(approaching({1: 0.80, 2: 0.801, 4: 0.802, 8: 0.803, 16: 0.804}))
    diverging(paper, lambda attempt: attempt.role == "scout")
    job = TargetSearch(replace(question, target=0.9, budget=3.0), architectures, paper, lambda _: None)
    verdict = job.run()
    assert "can't be expected" not in verdict.text
    assert sum(c.role == "scout" for c in job.tried) <= 1
