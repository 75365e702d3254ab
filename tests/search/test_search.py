"""What the search trains and what it answers, against the truth that the paper trainer holds."""

from dataclasses import replace

import pytest

from deepenough.search.architectures import search_space
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.reach import within_reach
from deepenough.search.target_search import TargetSearch

FLAT = {1: 0.90, 2: 0.90, 4: 0.901, 8: 0.897, 16: 0.896}
RISING = {1: 0.80, 2: 0.85, 3: 0.87, 4: 0.88, 8: 0.882, 16: 0.88}
NOT_35 = 0.65  # a budget that holds short looks at depths 35 and 67 and neither in full


def search(kind, question, architectures, trainer):
    changes = []
    job = kind(question, architectures, trainer, lambda s: changes.append(len(s.tried)))
    verdict = job.run()
    assert changes, "nothing was kept"
    assert all(c.candidate.finished for c in verdict.comparisons), "half a training was compared"
    return job, verdict


def names(job, role="search space"):
    return [c.architecture.blocks for c in job.tried if c.role == role]


def test_flat_truth_gives_the_shallowest(question, architectures, trainer, approaching):
    job, verdict = search(
        EnoughSearch, replace(question, budget=1.5), architectures, trainer(approaching(FLAT), images=20000)
    )
    assert verdict.chosen.architecture.blocks == 1
    assert verdict.kind == "shown"
    assert names(job) == [
        1,
        2,
        4,
        8,
        16,
    ]  # the budget holds the whole search space and second seeds: nobody has to guess
    assert not names(job, "scout")
    assert names(job, "second seed")
    assert job.spent <= 1.5 * job.whole_space


def test_a_budget_of_the_whole_search_space_keeps_something_for_seeds(question, architectures, trainer, approaching):
    job, _ = search(
        EnoughSearch, replace(question, budget=1.0), architectures, trainer(approaching(FLAT), images=20000)
    )
    assert names(job, "scout") == [16, 8]
    assert 16 not in names(job)  # it alone would take more than half of the budget
    assert set(names(job, "second seed")) >= {1, 2}
    assert job.spent <= job.whole_space


def test_rising_truth_gives_the_first_within_the_margin(question, architectures, trainer, approaching):
    asked = replace(question, budget=NOT_35)
    _, verdict = search(EnoughSearch, asked, architectures, trainer(approaching(RISING)))
    assert verdict.chosen.architecture.blocks in (3, 4)
    (failing,) = [c for c in verdict.comparisons if c.candidate.architecture.blocks == 2]
    assert not failing.enough
    assert "residual-7" not in verdict.not_ruled_out
    assert verdict.chosen.architecture.name in verdict.not_ruled_out


def test_goes_no_deeper_where_the_margin_is_not_left_to_gain(question, architectures, trainer, approaching):
    """One training leaves in doubt what other seeds would come to; seeds of the small network that agree don't."""
    nearly_all = {1: 0.97, 2: 0.996, 4: 0.997, 8: 0.997, 16: 0.998}
    job, verdict = search(EnoughSearch, question, architectures, trainer(approaching(nearly_all)))
    assert names(job) == [1, 2, 4]
    assert not names(job, "scout")
    assert {2} <= set(names(job, "second seed")) <= {2, 4}
    assert verdict.chosen.architecture.blocks == 2
    assert verdict.kind == "shown"
    assert not any("not looked at" in advice for advice in verdict.advice)


def test_no_look_is_spent_where_none_could_change_the_answer(question, architectures, trainer, approaching):
    """The chosen network is wrong on half the margin, on too few images to show that nothing can be better by it."""
    few = {1: 0.97, 2: 0.994, 4: 0.994, 8: 0.994, 16: 0.994}
    job, verdict = search(EnoughSearch, question, architectures, trainer(approaching(few), images=400))
    assert 1 - verdict.chosen.lower > question.margin
    assert not names(job, "scout")
    assert sum(event.what == "no short looks" for event in job.events) == 1
    assert verdict.chosen.architecture.blocks == 2
    assert verdict.kind == "shown among those tried"
    assert {"residual-35", "residual-67"} <= set(verdict.not_ruled_out)


def test_a_network_with_more_mistakes_than_the_margin_has_larger_ones_looked_at(
    question, architectures, trainer, approaching
):
    several = {1: 0.97, 2: 0.985, 4: 0.985, 8: 0.985, 16: 0.985}
    job, _ = search(EnoughSearch, question, architectures, trainer(approaching(several), images=1000))
    assert names(job, "scout") == [16, 8]
    assert not any(event.what == "no short looks" for event in job.events)


def test_a_rise_after_a_plateau_is_found(question, architectures, trainer, approaching):
    """Three architectures gain nothing, a scout of the deepest does: what is chosen is deep."""
    late = {1: 0.80, 2: 0.801, 4: 0.802, 8: 0.85, 16: 0.852}
    job, verdict = search(EnoughSearch, replace(question, budget=0.7), architectures, trainer(approaching(late)))
    assert 8 in names(job)
    assert verdict.chosen.role == "search space"
    assert verdict.chosen.architecture.blocks == 8


def test_a_scout_proposes_and_never_decides(question, architectures, trainer, approaching):
    late = {1: 0.80, 2: 0.801, 4: 0.802, 8: 0.803, 16: 0.85}
    _, verdict = search(EnoughSearch, question, architectures, trainer(approaching(late)))
    assert verdict.chosen.role != "scout"
    assert verdict.kind != "shown"  # the budget does not reach to the deepest, which seems better
    assert "residual-67" in verdict.not_ruled_out
    assert all(c.candidate.role != "scout" for c in verdict.comparisons)


def test_a_small_budget_looks_at_less_and_says_so(question, architectures, trainer, approaching):
    job, verdict = search(EnoughSearch, replace(question, budget=0.2), architectures, trainer(approaching(FLAT)))
    assert names(job, "scout") == [8]
    assert verdict.kind != "shown"
    assert "depths 19 and 67 were not looked at" in verdict.advice[-1]
    assert "residual-67" in verdict.not_ruled_out


def test_few_images_can_not_show_and_the_likeliest_is_named(question, architectures, trainer, approaching):
    """With 150 images half a point can't be shown to lie under one point, and it says so."""
    truth = {1: 0.88, 2: 0.90, 4: 0.91, 8: 0.91, 16: 0.91}
    _, verdict = search(EnoughSearch, question, architectures, trainer(approaching(truth), images=150, noise=0.05))
    assert verdict.kind != "shown"
    assert len(verdict.not_ruled_out) > 1
    assert "95% confidence" in verdict.text


def test_further_seeds_are_trained_where_they_can_tell(question, architectures, trainer, approaching):
    truth = {1: 0.80, 2: 0.896, 4: 0.9005, 8: 0.900, 16: 0.90}
    job, verdict = search(EnoughSearch, replace(question, budget=5.0), architectures, trainer(approaching(truth)))
    contested = next(c for c in verdict.comparisons if c.candidate.architecture.blocks == 2)
    assert contested.seeds >= 2
    assert {2, 4} <= set(names(job, "second seed"))
    assert 1 not in names(job, "second seed")  # ten points below the best


@pytest.mark.parametrize("truth", [FLAT, RISING, {1: 0.5, 2: 0.6, 4: 0.7, 8: 0.8, 16: 0.9}])
def test_the_budget_holds_without_a_target(question, architectures, trainer, approaching, truth):
    job, _ = search(EnoughSearch, question, architectures, trainer(approaching(truth)))
    assert job.spent <= question.budget * job.whole_space


def test_no_time_left_answers_from_what_there_is(question, architectures, trainer, approaching):
    bench = trainer(approaching(RISING))
    bench.time = False
    job, verdict = search(EnoughSearch, question, architectures, bench)
    assert names(job) == [1]
    assert verdict.chosen.architecture.blocks == 1
    assert verdict.kind == "best"  # nothing is known of deeper ones


def test_the_same_search_twice_is_the_same(question, architectures, trainer, approaching):
    first = search(EnoughSearch, question, architectures, trainer(approaching(RISING)))
    again = search(EnoughSearch, question, architectures, trainer(approaching(RISING)))
    assert first[0].trainer.trained == again[0].trainer.trained
    assert first[1].text == again[1].text


@pytest.mark.parametrize("asked", [{}, {"budget": 1.0}, {"target": 0.83}, {"target": 0.875, "budget": 3.0}])
@pytest.mark.parametrize("final", [FLAT, RISING, {1: 0.84, 2: 0.86, 3: 0.872, 4: 0.879, 8: 0.8795, 16: 0.89}])
def test_a_replayed_search_is_the_search_that_was_never_stopped(
    question, architectures, trainer, approaching, asked, final
):
    """Killed after any training, the search starts over on the folders that are there."""
    asked = replace(question, **asked)
    kind = EnoughSearch if asked.target is None else TargetSearch

    def answer(paper):
        job, verdict = search(kind, asked, architectures, paper)
        tried = [(c.name, c.role, c.state, c.cost) for c in job.tried]
        return verdict.text, verdict.kind, tried, job.events

    def on_disk(kept, lives):
        paper = trainer(approaching(final))
        fresh = paper.train_candidate

        def train_candidate(attempt, **how):
            place = (attempt.architecture.name, attempt.role, attempt.seed)
            watched = bool(how.get("early_stopping"))
            if watched and (*place, "paused") in kept:
                return kept[*place, "paused"]
            if place in kept:
                return kept[place]
            if len(paper.trained) == lives:
                raise KeyboardInterrupt
            done = fresh(attempt, **how)
            kept[place if done.finished else (*place, "paused")] = done
            return done

        paper.train_candidate = train_candidate
        return paper

    whole = trainer(approaching(final))
    wanted = answer(whole)
    for lives in range(len(whole.trained)):
        kept = {}
        with pytest.raises(KeyboardInterrupt):
            answer(on_disk(kept, lives))
        assert answer(on_disk(kept, -1)) == wanted


def test_what_the_budget_reaches_is_what_a_search_looks_at(question, architectures, trainer, approaching):
    for budget in (0.1, 0.2, 0.3, 0.4, 0.5):
        asked = replace(question, budget=budget)
        paper = trainer(approaching(FLAT))
        reach = within_reach(asked, architectures, paper)
        job, _ = search(EnoughSearch, asked, architectures, paper)
        looked_at = {candidate.architecture.name for candidate in job.tried}
        assert looked_at == {architecture.name for architecture in reach.architectures}
        assert set(names(job, "scout")) <= {architecture.blocks for architecture in reach.short_looks}


def test_a_budget_for_all_has_no_short_looks(question, architectures, trainer, approaching):
    asked = replace(question, budget=1.5)
    reach = within_reach(asked, architectures, trainer(approaching(FLAT)))
    job, _ = search(EnoughSearch, asked, architectures, trainer(approaching(FLAT)))
    assert not names(job, "scout")
    assert not reach.short_looks
    assert list(reach.architectures) == list(architectures)


def test_what_scouts_can_not_rule_out_is_named(question, architectures, trainer, approaching):
    level = dict.fromkeys(FLAT, 0.9)
    asked = replace(question, budget=NOT_35)
    job, verdict = search(EnoughSearch, asked, architectures, trainer(approaching(level), images=20000))
    assert names(job, "scout") == [16, 8]
    assert verdict.kind == "shown among those tried"
    assert "is enough among depths 7 to 19" in verdict.text
    assert "depths 35 and 67 only had a short look" in verdict.advice[-1]
    assert {"residual-35", "residual-67"} <= set(verdict.not_ruled_out)


def test_why_a_smaller_one_that_is_enough_among_those_trained_is_not_shipped(
    question, architectures, trainer, approaching
):
    late = {1: 0.88, 2: 0.9, 4: 0.9, 8: 0.904, 16: 0.906}
    _, verdict = search(
        EnoughSearch, replace(question, budget=0.5), architectures, trainer(approaching(late), noise=0.001, images=9000)
    )
    assert verdict.chosen.architecture.depth == 19
    assert (verdict.facts.also_enough, verdict.facts.beside) == ((architectures[1],), tuple(architectures[3:]))
    assert (
        "depth 11 is shown to be enough among those trained in full, but less likely than depth 19 to be so beside "
        "depths 35 and 67" in verdict.advice
    )
    _, verdict = search(EnoughSearch, question, architectures, trainer(approaching(late), images=9000))
    assert not verdict.facts.also_enough
    assert not any("less likely" in advice for advice in verdict.advice)


def test_scouts_rule_out_what_ends_clearly_lower(question, architectures, trainer, approaching):
    peaked = {1: 0.90, 2: 0.91, 4: 0.905, 8: 0.88, 16: 0.86}
    job, verdict = search(EnoughSearch, question, architectures, trainer(approaching(peaked), images=20000))
    assert names(job, "scout") == [16, 8]
    assert verdict.kind == "shown"
    assert verdict.chosen.architecture.blocks in (1, 2)


def test_a_seed_that_diverges_is_not_trained_again(question, architectures, trainer, approaching, diverging):
    paper = trainer(approaching({1: 0.80, 2: 0.892, 4: 0.9005, 8: 0.900, 16: 0.90}))
    diverging(paper, lambda attempt: attempt.role == "second seed")
    job, verdict = search(EnoughSearch, replace(question, budget=50.0), architectures, paper)
    tried = [(c.architecture.name, c.seed) for c in job.tried if c.role == "second seed"]
    assert len(tried) == len(set(tried)) > 0
    assert verdict.chosen.finished


def test_a_blocker_that_diverges_is_not_trained_again(question, architectures, trainer, approaching, diverging):
    paper = trainer(approaching(dict.fromkeys(FLAT, 0.9)), images=20000)
    diverging(paper, lambda attempt: attempt.architecture.blocks >= 8 and attempt.role == "search space")
    job, _ = search(EnoughSearch, replace(question, budget=0.9), architectures, paper)
    full = [c.architecture.name for c in job.tried if c.role == "search space"]
    assert len(full) == len(set(full))


def test_families_that_can_not_be_grown_are_trained_as_the_budget_allows(question, trainer, approaching):
    space = search_space(["plain"], [1.0], (1, 28, 28), 10)
    paper = trainer(approaching(dict.fromkeys((1, 2, 4, 8, 16), 0.9)))
    reach = within_reach(question, space, paper)
    job, verdict = search(EnoughSearch, question, space, paper)
    assert not names(job, "scout")
    assert {c.architecture.name for c in job.tried} == {architecture.name for architecture in reach.architectures}
    assert len(reach.architectures) < len(space)
    assert not reach.short_looks
    assert verdict.kind != "shown"
    assert "not looked at" in verdict.advice[-1]


def test_every_width_is_begun_with_its_own_smallest(question, trainer, approaching):
    space = search_space(["residual"], [1.0, 8.0], (1, 28, 28), 10, minimize="parameters")
    paper = trainer(approaching(dict.fromkeys((0, 1, 2, 4, 8, 16), 0.9)))
    job, _ = search(EnoughSearch, replace(question, minimize="parameters", budget=0.9), space, paper)
    assert {c.architecture.width for c in job.tried if c.role == "search space"} == {1.0, 8.0}
    assert {c.architecture.name for c in job.tried} == {architecture.name for architecture in space}
