"""The search among cuts, against the truth that the paper trainer holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepenough.nets import NETWORKS
from deepenough.nets.cut import cut_at, cuts
from deepenough.search.architectures import cut_architectures
from deepenough.search.cut_search import CutSearch, tried_cuts
from deepenough.search.target_search import TargetSearch

EIGHT = (0.5, 0.6, 0.7, 0.75, 0.8, 0.83, 0.85, 0.86)  # places 0 to 7, far under the whole


@pytest.fixture(scope="module")
def places():
    whole = NETWORKS["squeezenet1_1"]()
    return cut_architectures("squeezenet1_1", [(c.place, cut_at(whole, c.place, 10)) for c in cuts(whole)])


def truth(**of_places):
    """The accuracy of each place; unnamed ones get what a shallow one may have."""
    return lambda place, epochs, seed: of_places.get(f"p{place}", EIGHT[min(place, 7)])


def test_the_whole_network_stays_where_every_cut_is_worse(question, places, trainer):
    paper = trainer(truth(p8=0.88, p7=0.84, p6=0.80, p5=0.78), images=3400, folds=4)
    job = CutSearch(question, places, paper, lambda _: None, proposed=6)
    verdict = job.run()
    assert verdict.chosen.architecture.place == "fire9"
    assert verdict.kind == "best"
    assert "nothing shallower is shown" in verdict.text
    tried = {c.architecture.place: c for c in job.tried}
    assert list(tried) == ["fire9", "fire8", "fire7", "fire6"]
    assert tried["fire7"].state == "pruned"
    assert tried["fire7"].seen.sum() == 850  # shown on the first fold, so the others were not trained
    worse = {c.candidate.architecture.place: c for c in verdict.comparisons}
    assert worse["fire7"].difference.images == 850
    assert worse["fire7"].difference.lower > 0.01
    assert not any(c.enough for c in verdict.comparisons)


def test_a_cut_that_is_as_good_is_chosen_and_one_shallower_is_tried(question, places, trainer):
    paper = trainer(truth(p8=0.97, p7=0.971, p6=0.97, p5=0.969, p4=0.90), images=6000, folds=4)
    job = CutSearch(question, places, paper, lambda _: None, proposed=5)
    verdict = job.run()
    assert verdict.kind == "shown"
    assert verdict.chosen.architecture.place == "fire6"
    assert "fire5" in {c.architecture.place for c in job.tried}
    assert verdict.chosen.architecture.macs < verdict.best.architecture.macs
    last = job.events[-1]
    assert last.what == "squeezenet1_1-fire6 against the whole network"
    assert "and saves 6 layers" in last.why


def test_a_probe_that_proposes_too_shallow_does_not_decide(question, places, trainer):
    paper = trainer(truth(p8=0.97, p7=0.97, p6=0.968, p5=0.9, p4=0.88, p3=0.85), images=6000, folds=4)
    job = CutSearch(replace(question, budget=5.0), places, paper, lambda _: None, proposed=3)
    verdict = job.run()
    assert verdict.chosen.architecture.blocks in (6, 7)
    assert verdict.chosen.architecture.blocks == 6, "closing in finds the cut between those that were tried"


def test_the_whole_network_alone_is_not_called_enough(question, places, trainer):
    job = CutSearch(question, places, trainer(truth(p8=0.97), images=6000), lambda _: None, proposed=6)
    job.in_time = lambda architecture: False
    verdict = job.run()
    assert verdict.kind == "best"
    assert "nothing is known about shorter cuts" in verdict.text


def test_with_a_target_the_shallowest_cut_that_meets_it_is_chosen(question, places, trainer):
    paper = trainer(truth(p8=0.97, p7=0.965, p6=0.96, p5=0.93, p4=0.9), images=6000)
    verdict = TargetSearch(replace(question, target=0.95), places[4:], paper, lambda _: None).run()
    assert verdict.kind == "shown"
    assert verdict.chosen.architecture.place == "fire7"


def test_a_whole_network_that_fails_is_no_answer(question, places, trainer):
    paper = trainer(truth(p8=0.9), images=2000)
    original = paper.train_candidate
    paper.train_candidate = lambda attempt, **more: replace(original(attempt, **more), state="not finite")
    verdict = CutSearch(question, places, paper, lambda _: None, proposed=6).run()
    assert verdict.kind == "not met"
    assert not verdict.comparisons


@pytest.mark.parametrize("last", [1, 2, 8, 16, 50])
def test_the_proposed_cut_is_always_tried_and_never_the_whole_network_twice(last):
    for proposed in range(last + 1):
        tried = tried_cuts(proposed, last)
        assert last not in tried
        assert tried == sorted(set(tried), reverse=True)
        assert proposed in tried or proposed == last
        assert proposed - 1 in tried or proposed == 0
        assert len(tried) <= 4
