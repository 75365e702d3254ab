"""The networks that are considered where no weights are named: those that are here, or that can be fetched."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepenough import DeepenoughError, download
from deepenough.experiment.options import Options
from deepenough.nets import NETWORKS, depth, macs, parameters
from deepenough.probing import choice
from deepenough.probing.choice import MOST_NAMES, choose_weights
from deepenough.progress import Reporter
from deepenough.weights import fetch
from deepenough.weights.among import AMONG, WITH_GPU
from deepenough.weights.names import NAMED

SMALL = [names[0] for names in AMONG["small"]]


class Words(Reporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Weights that are on this machine, those whose download works, and whether a server answers; what was fetched."""
    state = SimpleNamespace(here=set(), served=set(), answers=True, fetched=[], asked=0)

    def load(name: str, **_: Any) -> Any:
        if name not in state.here:
            state.fetched.append(name)
            if name not in state.served:
                raise DeepenoughError(f"{name} can't be fetched (no network)")
        network = SimpleNamespace(name=NAMED[name].network)
        return SimpleNamespace(name=name, network=network, sha256=NAMED[name].sha256)

    def answers(_: Any) -> bool:
        state.asked += 1
        return bool(state.answers)

    monkeypatch.setattr(choice, "load_weights", load)
    monkeypatch.setattr(choice, "named_apart", lambda found, *_: tuple(found))
    monkeypatch.setattr(choice, "are_photos", lambda _: True)
    monkeypatch.setattr(fetch, "cached", lambda named: named.name in state.here)
    monkeypatch.setattr(download, "answers", answers)
    return state


def chosen(**options: Any) -> tuple[list[str], list[str]]:
    words = Words()
    found = choose_weights(Options.of(device="cpu", **options), None, words)  # type: ignore[arg-type]
    return [each.name for each in found], words.said


@pytest.mark.parametrize("asked", [{}, {"weights": "auto"}, {"among": "small"}])
def test_all_are_fetched_where_that_works(world: Any, asked: dict[str, Any]) -> None:
    world.served = set(NAMED)
    found, said = chosen(**asked)
    assert found == SMALL == world.fetched
    assert any(all(name in line for name in SMALL) for line in said)


def test_weights_that_are_here_are_preferred_to_others_of_the_same_network(world: Any) -> None:
    other = AMONG["small"][-1][-1]
    world.here, world.served = {other}, set(NAMED)
    found, _ = chosen()
    assert found == [*SMALL[:-1], other]


def test_without_a_network_those_that_are_here_are_taken_and_the_others_named(world: Any) -> None:
    world.here, world.answers = {SMALL[0]}, False
    found, said = chosen()
    assert found == SMALL[:1]
    assert world.fetched == []
    assert world.asked == 1
    assert all(any(line.startswith(f"left out: {name}") for line in said) for name in SMALL[1:])


def test_no_server_is_asked_where_everything_is_here(world: Any) -> None:
    world.here = set(SMALL)
    assert chosen()[0] == SMALL
    assert world.asked == 0


def test_after_a_download_that_fails_no_other_is_tried(world: Any) -> None:
    world.here = {SMALL[0]}
    assert chosen()[0] == SMALL[:1]
    assert world.fetched == SMALL[1:2]


def test_where_none_can_be_had_photos_are_trained_from_scratch_unless_weights_were_asked_for(world: Any) -> None:
    found, said = chosen()
    assert found == []
    assert world.fetched == SMALL[:1]
    assert "from scratch" in said[-1]
    assert "no network" in said[-1]
    with pytest.raises(DeepenoughError, match="can be had"):
        chosen(weights="auto")


@pytest.mark.parametrize(("among", "more"), [("small", ""), ("mobile", ""), ("all", " and {} more")])
@pytest.mark.parametrize("answers", [True, False])
def test_where_none_can_be_had_all_are_named_or_the_first_few(world: Any, among: str, more: str, answers: bool) -> None:
    """Where a server answers, the first download fails, and no other is tried."""
    world.answers = answers
    names = [several[0] for several in AMONG[among]]
    tried, others = names[:answers], names[answers:]
    with pytest.raises(DeepenoughError) as error:
        chosen(weights="auto", among=among)
    said = str(error.value)
    assert all(f"({name}: {name} can't be fetched (no network); " in said for name in tried)
    listed = ", ".join(others[:MOST_NAMES]) + more.format(len(others) - MOST_NAMES)
    assert f"{listed}: not on this machine, and can't be fetched now); give a file of weights, or --scratch" in said


def test_layers_can_t_be_frozen_where_no_weights_can_be_had(world: Any) -> None:
    """`--weights auto` is not told to give weights, which it did, nor to train from scratch with frozen layers."""
    with pytest.raises(DeepenoughError, match=r"^--freeze 0\.4: .*none .* can be had .*; leave it out, or give a file"):
        chosen(freeze=0.4)
    with pytest.raises(DeepenoughError, match=r"can be had .*; give a file of weights, or leave out --freeze and give"):
        chosen(weights="auto", freeze=0.4)


def test_other_images_take_none_unless_asked_to(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "are_photos", lambda _: False)
    world.here = set(SMALL)
    assert chosen()[0] == []
    assert chosen(weights="auto")[0] == SMALL
    assert chosen(among="small")[0] == SMALL


def test_the_groups_are_what_they_say() -> None:
    assert all(
        NAMED[name].network in NETWORKS for group in (*AMONG.values(), WITH_GPU) for names in group for name in names
    )
    for names in AMONG["small"]:
        network = NETWORKS[NAMED[names[0]].network]()
        assert parameters(network) <= 6e6
        assert macs(network.with_input((3, 224, 224))) <= 0.5e9
        assert depth(network) > 1
    everything = [name for names in AMONG["all"] for name in names]
    assert sorted(everything) == sorted(NAMED)
    assert len({NAMED[names[0]].network for names in AMONG["all"]}) == len(AMONG["all"])
    for names in AMONG["all"]:
        assert len({NAMED[name].network for name in names}) == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"weights": ("auto", "x")}, "auto chooses the networks"),
        ({"weights": "x", "among": "small"}, "which networks --weights auto considers"),
        ({"among": "all", "scratch": True}, "which networks --weights auto considers"),
        ({"among": "tiny"}, "--among"),
        ({"weights": ("x", "y"), "network": "alexnet"}, "one file of --weights"),
        ({"weights": "auto", "preprocess": "timm"}, "one file of --weights"),
        ({"weights": ("x", "y"), "scratch": True}, "--weights x y"),
    ],
)
def test_options_that_do_not_go_together_are_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(DeepenoughError, match=said):
        Options.of(**given)


def test_a_server_answers_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr("urllib.request.getproxies", dict)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}/weights.pth"
        assert download.answers(url)
    assert not download.answers(url)
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"http": "http://proxy"})
    assert download.answers(url), "only fetching tells"


def test_a_record_of_one_name_is_read_as_a_list(tmp_path: Path) -> None:
    assert Options.from_json({"weights": "squeezenet1_1.tv_in1k"}).weights == ("squeezenet1_1.tv_in1k",)
    assert Options.from_json({"weights": None}).weights == ()
