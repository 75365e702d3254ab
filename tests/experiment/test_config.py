"""`--config` takes what a run's args.yaml has; the command line wins, and mistakes are told with the file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import deepenough.experiment.fit as experiment
from deepenough.errors import DeepenoughError
from deepenough.experiment.config import override, read_config
from deepenough.experiment.options import Options, fit_options

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The data and the options with which the command begins a run; none is done."""
    heard: list[Any] = []

    def begin(data: Any, options: Options, *more: Any) -> None:
        heard.extend([data, options])
        raise DeepenoughError("heard")

    monkeypatch.setattr(experiment, "begin", begin)
    return heard


def test_the_arguments_of_a_run_ask_the_same(finished: Path, command: Command, asked: list[Any]) -> None:
    command("fit", "--config", finished / "args.yaml")
    before = yaml.safe_load((finished / "args.yaml").read_text(encoding="utf-8"))
    assert asked[0] == before["data"]
    assert asked[1].recipe["epochs"] == before["epochs"]
    assert asked[1] == Options.of(**{name: value for name, value in before.items() if value is not None})


def test_the_command_line_wins(finished: Path, command: Command, asked: list[Any]) -> None:
    command("fit", "digits", "--config", finished / "args.yaml", "--epochs", "9", "--target", "90%")
    data, options = asked
    assert (data, options.recipe["epochs"], options.target) == ("digits", 9, 0.9)
    assert options.threads == 1  # of the file


def test_units_are_read_in_a_file_too(tmp_path: Path, command: Command, asked: list[Any]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("data: digits\ntarget: 95%\ntime_limit: 20m\nlr: 1e-3\nflip: false\nfamily: plain\n")
    command("fit", "--config", path)
    options = asked[1]
    assert (options.target, options.time_limit, options.family) == (0.95, 1200, ("plain",))
    assert (options.recipe["lr"], options.switches["flip"]) == (0.001, False)


def test_the_arguments_of_an_older_run_are_understood(
    finished: Path, command: Command, asked: list[Any], tmp_path: Path
) -> None:
    text = (finished / "args.yaml").read_text(encoding="utf-8")
    assert "log: []" in text
    (tmp_path / "args.yaml").write_text(text.replace("log: []", "tensorboard: true"), encoding="utf-8")
    command("fit", "--config", tmp_path / "args.yaml")
    assert asked[1].log == ("tensorboard",)


@pytest.mark.parametrize(
    ("config", "given", "left"),
    [
        ({"scratch": True, "epochs": 3}, {"weights": "x"}, {"weights": "x", "epochs": 3}),
        ({"weights": "x", "framing": "source"}, {"scratch": True}, {"scratch": True}),
        ({"weights": "x", "network": "y"}, {"family": ("plain",)}, {"family": ("plain",)}),
        ({"weights": "x"}, {"epochs": 4}, {"weights": "x", "epochs": 4}),
        ({"weights": ["x"], "network": "y"}, {"among": "small"}, {"among": "small"}),
        ({"scratch": True}, {"among": "small"}, {"among": "small"}),
        ({"among": "mobile"}, {"scratch": True}, {"scratch": True}),
        ({"among": "mobile"}, {"weights": ("x",)}, {"weights": ("x",)}),
        ({"weights": ["x"], "network": "y"}, {"weights": ("z", "w")}, {"weights": ("z", "w")}),
    ],
)
def test_what_the_command_line_rules_out_is_put_away(
    config: dict[str, Any], given: dict[str, Any], left: dict[str, Any]
) -> None:
    assert override(config, given) == left


@given(st.binary(max_size=60))
def test_a_file_is_options_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("config") / "args.yaml"
    path.write_bytes(content)
    found: dict[str, Any] = {}
    said = f"--config {path}: "
    try:
        found = read_config(path)
    except DeepenoughError as error:
        said = str(error)
    assert set(found) <= set(fit_options())
    assert said.startswith(f"--config {path}: ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "it cannot be read: No such file"),
        ("target: [", "not YAML in line 1; expected lines such as `target: 0.95`"),
        ("seed: 2001-99-99", "not YAML"),
        ("- 1", "expected options, a line each"),
        ("lr: 0.1\nseed: 1\n'lr': 0.2", "'lr' is given twice, in lines 1 and 3; leave one of them"),
        ("{lr: 0.1, lr: 0.2}", "'lr' is given twice, in line 1; leave one of them"),
        ("", "expected options, a line each"),
        ("margn: 0.1", "option 'margn' is not known; nearest"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_a_mistake_in_a_file_is_told_in_a_line(
    tmp_path: Path, command: Command, text: str | None, expected: str
) -> None:
    path = tmp_path / "args.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    status, _, errors = command("fit", "digits", "--config", path)
    assert status == 2
    assert f"--config {path}: {expected}" in errors
    assert len(errors.splitlines()) == 1
