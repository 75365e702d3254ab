"""The search among the cuts of several networks, against the truth that the paper trainer holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepenough.nets import NETWORKS
from deepenough.nets.cut import cut_at, cuts
from deepenough.preprocessing import Preprocessing
from deepenough.search.architectures import cut_architectures
from deepenough.search.cut_search import CutSearch
from deepenough.search.verdict import depths_text

SECOND = 100  # the paper trainer knows networks by their blocks: those of the second network count from here


@pytest.fixture(scope="module")
def places():
    """All cuts of two networks, from shallow to deep."""
    found = []
    for start, name in ((0, "squeezenet1_1"), (SECOND, "mobilenet_v3_small")):
        whole = NETWORKS[name]()
        named = [(c.place, cut_at(whole, c.place, 10)) for c in cuts(whole)]
        own = cut_architectures(name, named, f"{name}.pth", Preprocessing((224, 224)), one_of_several=True)
        found += [replace(each, blocks=start + each.blocks) for each in own]
    return tuple(sorted(found, key=lambda each: each.measure("depth")))


def truth(first, second):
    """The accuracies after fine-tuning, of a network's cuts shallow to deep."""
    return lambda place, epochs, seed: second[place - SECOND] if place >= SECOND else first[place]


@pytest.fixture
def search(question, places):
    def make(paper, gain, **changes):
        probes = {each.name: paper.truth(each.blocks, 0, 0) - gain(each) for each in places}
        names = [each.name for each in places]
        best = names.index(max(names, key=lambda name: probes[name]))
        proposed = next(n for n, name in enumerate(names) if probes[name] > probes[names[best]] - 0.01)
        asked = replace(question, weights=("a", "b"), **changes)
        return CutSearch(asked, places, paper, lambda _: None, proposed=proposed, best_probe=best, probes=probes)

    return make


def rising(top, count=14, start=0.5):
    return np.minimum(np.linspace(start, top + 0.15, count), top)


FIRST, SECOND_BETTER = rising(0.85, 9), rising(0.95)


def test_the_smallest_of_the_better_network_is_chosen_and_the_other_one_is_hardly_trained(search, trainer):
    paper = trainer(truth(FIRST, SECOND_BETTER), images=6000, folds=4)
    job = search(paper, gain=lambda each: 0.02)
    verdict = job.run()
    chosen = verdict.chosen.architecture
    enough = [each for each in job.search_space if paper.truth(each.blocks, 0, 0) >= 0.94]
    assert chosen.family == "mobilenet_v3_small"
    assert chosen.depth <= enough[1].depth, "the shallowest that is within the margin, or the next one"
    assert all(c.architecture.family == chosen.family for c in job.tried), "no cut of the other comes within 5 points"
    assert verdict.kind == "shown among those tried"
    assert verdict.title == f"MobileNetV3-Small cut after {chosen.place}"
    assert verdict.text.startswith(f"{verdict.title} (depth {chosen.depth}) is enough among MobileNetV3-Small after ")
    assert "SqueezeNet 1.1 after conv1 to fire9" in verdict.text
    assert "left out" in verdict.text
    assert not any("--budget" in each and "SqueezeNet" in each for each in verdict.advice)


def test_a_network_whose_probes_mislead_is_tried_where_fine_tuning_gains_much(search, trainer):
    """The probes of the first network are 8 points too low, those of the second 6: it stays within reach."""
    first = rising(0.95, 9)
    paper = trainer(truth(first, rising(0.95)), images=6000, folds=4)
    job = search(paper, gain=lambda each: 0.06 if each.blocks >= SECOND else 0.065, budget=3.0)
    verdict = job.run()
    assert {c.architecture.family for c in job.tried} == {"squeezenet1_1", "mobilenet_v3_small"}
    enough = min((each for each in job.search_space if paper.truth(each.blocks, 0, 0) >= 0.945), key=lambda e: e.depth)
    assert verdict.chosen.architecture.family == "squeezenet1_1" == enough.family
    assert verdict.chosen.architecture.depth == enough.depth


def test_what_was_left_out_is_named_whatever_the_answer_is_worth(search, trainer):
    """A few hundred images, on which a network with a better truth may look worse, give answers of several kinds."""
    kinds = set()
    for images in (60, 120, 240, 480):
        paper = trainer(truth(rising(0.6, 9), rising(0.8)), images=images, folds=4, noise=0.3)
        job = search(paper, gain=lambda each: 0.02)
        verdict = job.run()
        kinds.add(verdict.kind)
        names = {c.architecture.name for c in job.tried}
        out = [each for each in job.search_space if each.name not in names and not job._can_win(each)]
        assert out
        assert any(f"{depths_text(out)} were left out" in said for said in (verdict.text, *verdict.advice))
    assert kinds & {"seems", "best"}


@pytest.mark.parametrize("seed", range(6))
def test_the_best_probe_comes_first_and_all_that_was_not_tried_is_named(search, trainer, seed):
    rng = np.random.default_rng(seed)
    first, second = rising(rng.uniform(0.7, 0.95), 9), rising(rng.uniform(0.7, 0.95))
    gains = {"squeezenet1_1": rng.uniform(0, 0.05), "mobilenet_v3_small": rng.uniform(0, 0.05)}
    job = search(trainer(truth(first, second), images=3000, folds=4), gain=lambda each: gains[each.family])
    verdict = job.run()
    assert job.tried[0].architecture is job.search_space[job.best_probe]
    assert verdict.chosen.finished
    assert job.spent <= job.question.budget * (job.whole_space + max(map(job.trainer.retraining, job.search_space)))
    names = {c.architecture.name for c in job.tried}
    left = [each for each in job.search_space if each.name not in names]
    assert left
    out = [each for each in left if not job._can_win(each)]
    unseen = [each for each in left if job._can_win(each)]
    for group in (out, unseen):
        assert not group or any(depths_text(group) in said for said in (verdict.text, *verdict.advice))


def test_cuts_of_several_networks_are_named_by_their_places(places):
    own = [each for each in places if each.family == "squeezenet1_1"]
    other = next(each for each in places if each.family != "squeezenet1_1")
    assert depths_text([own[0], *own[2:6]]) == "SqueezeNet 1.1 after conv1 and fire3 to fire6"
    assert depths_text([other, own[0]]) == "MobileNetV3-Small after stem.conv and SqueezeNet 1.1 after conv1"
    assert own[-1].title == "the whole SqueezeNet 1.1"
