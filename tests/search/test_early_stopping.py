from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from deepenough.search import search as searches
from deepenough.search.early_stopping import EarlyStopping, reachable
from deepenough.search.enough_search import EnoughSearch
from deepenough.training.callbacks import Action, Moment


def curve(*top1):
    return [SimpleNamespace(epoch=i + 1, top1=value) for i, value in enumerate(top1)]


def decide(early_stopping, *top1):
    return early_stopping.on_epoch_begin(Moment(0, 0, curve(*top1)))


SIBLING = curve(0.50, 0.60, 0.70, 0.75, 0.78, 0.80)


def test_without_siblings_nothing_is_said():
    assert reachable(curve(0.1, 0.1, 0.1), [], 1000) is None
    assert decide(EarlyStopping(0.99, [], 1000), 0.1, 0.1, 0.1) is Action.GO_ON


def test_too_early_nothing_is_said():
    assert reachable(curve(0.1), [SIBLING], 1000) is None


def test_far_below_is_pruned_and_near_goes_on():
    assert decide(EarlyStopping(0.95, [SIBLING], 10_000), 0.50, 0.60, 0.70) is Action.PRUNE
    assert decide(EarlyStopping(0.85, [SIBLING], 10_000), 0.50, 0.60, 0.70) is Action.GO_ON


@given(st.lists(st.floats(0.05, 0.95), min_size=6, max_size=6), st.integers(2, 5), st.integers(50, 10_000))
def test_a_candidate_that_repeats_its_sibling_is_never_denied_its_end(values, epoch, images):
    """Whatever the sibling reached from here stays within reach, unless it got worse."""
    sibling = curve(*values)
    ceiling = reachable(sibling[:epoch], [sibling], images)
    assert ceiling is None or ceiling >= sibling[-1].top1


def test_a_target_that_is_met_goes_first():
    assert decide(EarlyStopping(0.99, [SIBLING], 1000, lambda seen: True), 0.1, 0.1, 0.1) is Action.PAUSE


def test_curves_of_full_size_tell_nothing_of_a_training_that_begins_with_smaller_images(
    question, architectures, trainer, tried, approaching, monkeypatch
):
    """They flatten, where its own rises as its images reach their full size."""
    job = EnoughSearch(question, architectures, trainer(approaching({1: 0.9})), lambda search: None)
    job.tried = [tried(number, range(100)) for number in range(3)]
    smaller = {architectures[number].network for number in (0, 3)}
    monkeypatch.setattr(searches, "first_sizes", lambda recipe, network: ((8, 8),) if network in smaller else ())
    assert job._siblings(architectures[3]) == [job.tried[0]]
    assert job._siblings(architectures[4]) == job.tried[1:]
