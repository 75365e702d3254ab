"""What is pushed to the hub is what is served, loads, and predicts the same; what can't be pushed is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hub_stand_in import HubStandIn, Repository, hub_of
from PIL import Image

import deepenough
from deepenough.errors import DamagedError, DeepenoughError
from deepenough.hub.card import card_text, read_finished
from deepenough.hub.push import push
from deepenough.hub.refusals import in_sentences

pytestmark = pytest.mark.seconds(15)
NAME = "ann/shapes"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with hub_of(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def pictures(shape: Callable[..., Image.Image]) -> list[Image.Image]:
    return [shape(kind, seed) for kind in ("circle", "cross", "square") for seed in range(1000, 1004)]


def test_what_is_pushed_is_what_is_served(finished: Path, hub: HubStandIn) -> None:
    done = push(finished, NAME, message="First")
    (_, message, files) = hub.repositories[NAME].commits[-1]
    assert (done.commit, done.url, message) == (hub.repositories[NAME].commits[-1][0], f"{hub.url}/{NAME}", "First")
    model = {path.name: path.read_bytes() for path in (finished / "model").iterdir()}
    assert {name: files[name] for name in model} == model
    assert set(files) == {*model, "README.md", "config.json", ".gitattributes"}
    assert files["README.md"].decode() == card_text(read_finished(finished), NAME)
    assert not hub.repositories[NAME].private
    assert list(hub.large.values()) == [model["weights.safetensors"]]  # large files by the protocol for them


def test_a_round_trip_predicts_the_same(finished: Path, hub: HubStandIn, pictures: list[Image.Image]) -> None:
    push(finished, NAME)
    there, here = deepenough.load(f"hf:{NAME}"), deepenough.load(finished)
    assert there.classes == here.classes
    np.testing.assert_array_equal(there.predict_proba(pictures), here.predict_proba(pictures))


def test_config_agrees_with_the_model(finished: Path, hub: HubStandIn) -> None:
    push(finished, NAME)
    model, config = deepenough.load(finished), json.loads(hub.repositories[NAME].commits[-1][2]["config.json"])
    assert tuple(config["id2label"][str(n)] for n in range(config["num_labels"])) == model.classes
    assert {v: int(k) for k, v in config["id2label"].items()} == config["label2id"]
    assert config["num_parameters"] == sum(each.numel() for each in model.module.parameters())
    assert tuple(config["input_shape"]) == model.inputs(np.zeros((1, *model.preprocess.size, 3), np.uint8)).shape[1:]
    assert config["architecture"] == model.network.name


def test_only_our_files_are_fetched(finished: Path, hub: HubStandIn, tmp_path: Path) -> None:
    push(finished, NAME)
    hub.repositories[NAME].commit("more", {"pytorch_model.bin": b"\x80\x04.", "code.py": b"raise SystemExit"})
    deepenough.load(f"hf:{NAME}")
    assert not [path for _, path in hub.requests if path.endswith((".bin", ".py"))]
    assert not [*(tmp_path / "hub").rglob("*.bin"), *(tmp_path / "hub").rglob("*.py")]


def test_a_revision_is_the_model_of_then(finished: Path, hub: HubStandIn) -> None:
    first = push(finished, NAME).commit
    hub.repositories[NAME].commit("worse", {"weights.safetensors": b"not what was pushed"})
    assert deepenough.load(f"hf:{NAME}@{first}").classes == deepenough.load(finished).classes
    with pytest.raises(DamagedError, match=r"weights\.safetensors"):
        deepenough.load(f"hf:{NAME}")
    with pytest.raises(DeepenoughError, match="no such repository or revision"):
        deepenough.load(f"hf:{NAME}@{'0' * 40}")


def test_a_model_that_was_fetched_loads_without_a_network(finished: Path, hub: HubStandIn) -> None:
    push(finished, NAME)
    deepenough.load(f"hf:{NAME}")
    hub.broken = 503
    assert deepenough.load(f"hf:{NAME}").classes == deepenough.load(finished).classes


def test_a_damaged_copy_is_fetched_anew(finished: Path, hub: HubStandIn, tmp_path: Path) -> None:
    push(finished, NAME)
    deepenough.load(f"hf:{NAME}")
    (weights,) = (tmp_path / "hub").rglob("snapshots/*/weights.safetensors")
    blob = weights.resolve()
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    hub.broken = 503
    with pytest.raises(DamagedError, match=r"weights\.safetensors"):
        deepenough.load(f"hf:{NAME}")
    hub.broken = None
    assert deepenough.load(f"hf:{NAME}").classes == deepenough.load(finished).classes
    assert weights.read_bytes() == whole


def test_offline_by_the_environment_is_named(finished: Path, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    push(finished, NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DeepenoughError, match="no copy of it was kept, and HF_HUB_OFFLINE is set"):
        deepenough.load(f"hf:{NAME}")


def test_an_error_without_an_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 1.0, the library's error for what it has no copy of was one of HTTP, without an answer."""
    from huggingface_hub import errors

    class Local(errors.HfHubHTTPError):
        def __init__(self) -> None:
            self.response = None

    monkeypatch.setattr(errors, "LocalEntryNotFoundError", Local)
    with pytest.raises(DeepenoughError, match="no copy of it was kept"), in_sentences("model", writing=False):
        raise Local


def test_export_and_evaluate_take_it_by_name(
    finished: Path, hub: HubStandIn, shapes: Path, tmp_path: Path, command: Command
) -> None:
    push(finished, NAME)
    status, _, err = command("export", f"hf:{NAME}", "--to", "onnx", "--out", tmp_path / "out")
    assert status == 0, err
    assert (tmp_path / "out" / "README.md").is_file()
    there, here = (command("evaluate", each, shapes, "--split", "all", "--json") for each in (f"hf:{NAME}", finished))
    assert (there[0], here[0]) == (0, 0), there
    assert json.loads(there[1])["top1"]["count"] > 0


def test_explain_takes_it_by_name(
    finished: Path, hub: HubStandIn, shapes: Path, tmp_path: Path, command: Command
) -> None:
    push(finished, NAME)
    image = min((shapes / "cross").iterdir())
    there = command("explain", f"hf:{NAME}", image, "--out", tmp_path / "there.png")
    here = command("explain", finished, image, "--out", tmp_path / "here.png")
    assert (there[0], here[0]) == (0, 0), there
    assert (tmp_path / "there.png").read_bytes() == (tmp_path / "here.png").read_bytes()


def test_pushing_again_is_another_commit(finished: Path, hub: HubStandIn) -> None:
    assert push(finished, NAME, message="1").commit != push(finished, NAME, message="2").commit
    assert [message for _, message, _ in hub.repositories[NAME].commits] == ["initial commit", "1", "2"]


def test_a_card_of_ones_own_is_pushed(finished: Path, hub: HubStandIn, tmp_path: Path, command: Command) -> None:
    own = tmp_path / "own.md"
    own.write_text(
        card_text(read_finished(finished), NAME).replace("---\n", "---\nlicense: mit\n", 1), encoding="utf-8"
    )
    assert command("push", finished, NAME, "--card", own)[0] == 0
    assert hub.repositories[NAME].commits[-1][2]["README.md"] == own.read_bytes()
    status, _, err = command("push", finished, NAME, "--card", tmp_path / "none.md")
    assert (status, "it can't be read (No such file or directory)" in err) == (2, True)


def test_private_is_private(finished: Path, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    push(finished, NAME, private=True)
    assert hub.repositories[NAME].private
    push(finished, NAME, private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_bob")
    with pytest.raises(DeepenoughError, match="there is no such repository or revision, or it is private"):
        deepenough.load(f"hf:{NAME}")


def test_private_is_not_promised_of_a_public_repository(finished: Path, hub: HubStandIn) -> None:
    push(finished, NAME)
    before = len(hub.repositories[NAME].commits)
    with pytest.raises(DeepenoughError, match="it exists and is public"):
        push(finished, NAME, private=True)
    assert len(hub.repositories[NAME].commits) == before


def test_a_repository_that_is_not_ours_is_left_as_it_is(finished: Path, hub: HubStandIn) -> None:
    other = hub.repositories[NAME] = Repository(private=False)
    other.commit("theirs", {"model.safetensors": b"x", "README.md": b"theirs"})
    with pytest.raises(DeepenoughError, match=r"something other than a model of deepenough \(model.safetensors\)"):
        push(finished, NAME)
    assert len(other.commits) == 2
    with pytest.raises(DeepenoughError, match="not a model of deepenough"):
        deepenough.load(f"hf:{NAME}")


@pytest.mark.parametrize(
    ("token", "name", "said"),
    [
        ("", NAME, "no token of the Hugging Face hub; log in"),
        ("hf_wrong", NAME, "the hub doesn't know the token"),
        ("hf_bob", NAME, "you have no permission; use a token that can write there"),
        ("hf_reader", "reader/shapes", "you have no permission"),
        ("hf_ann", "shapes", "expected USER/NAME"),
        ("hf_ann", "ann/shapes/more", "expected USER/NAME"),
        ("hf_ann", "ann/", "expected USER/NAME"),
        ("hf_ann", "../shapes", "expected USER/NAME"),
    ],
)
def test_refusals_are_sentences(
    token: str, name: str, said: str, finished: Path, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    status, out, err = command("push", finished, name)
    assert (status, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not hub.repositories


def test_no_network_is_a_sentence(
    finished: Path, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    for words in (("push", finished, NAME), ("predict", f"hf:{NAME}", "x.png")):
        status, _, err = command(*words)
        assert status == 2
        assert "http://127.0.0.1:1 can't be reached" in err


def test_a_hub_that_fails_is_a_sentence(finished: Path, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.broken = 500
    with pytest.raises(DeepenoughError, match=r"HTTP 500 .*broken on purpose"):
        push(finished, NAME)


def test_a_run_without_a_model_is_not_pushed(finished: Path, hub: HubStandIn, tmp_path: Path) -> None:
    shutil.copytree(finished, run := tmp_path / "run", ignore=shutil.ignore_patterns("model"))
    with pytest.raises(DeepenoughError, match="it has no model yet; finish it with"):
        push(run, NAME)
    assert not hub.requests


def test_a_damaged_model_is_not_pushed(finished: Path, hub: HubStandIn, tmp_path: Path) -> None:
    shutil.copytree(finished, run := tmp_path / "run")
    weights = run / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0\1")
    with pytest.raises(DamagedError, match=r"weights\.safetensors"):
        push(run, NAME)
    assert not hub.requests


def test_without_the_library_it_says_what_to_install(
    finished: Path, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for words in (("push", finished, NAME), ("predict", f"hf:{NAME}", "x.png")):
        status, _, err = command(*words)
        assert status == 2
        assert "pip install 'deepenough[hub]'" in err


def test_the_commands_go_by_the_environment(finished: Path, hub: HubStandIn, shapes: Path, tmp_path: Path) -> None:
    """Another process, which knows of the hub by HF_ENDPOINT only, pushes; a third predicts."""
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_ann", "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1", "COLUMNS": "200",
    }  # fmt: skip

    def deepenough_command(*words: object) -> str:
        call = [sys.executable, "-m", "deepenough", *map(str, words)]
        return subprocess.run(call, env=environment, check=True, capture_output=True, text=True).stdout

    pushed = deepenough_command("push", finished, NAME, "--private", "--message", "By hand")
    assert f"pushed: {hub.url}/{NAME}" in pushed
    assert hub.repositories[NAME].commits[-1][1] == "By hand"
    assert hub.repositories[NAME].private
    image = next(iter(sorted((shapes / "cross").iterdir())))
    there, here = (
        deepenough_command("predict", each, image, "--json", "--engine", "torch") for each in (f"hf:{NAME}", finished)
    )
    assert there == here
