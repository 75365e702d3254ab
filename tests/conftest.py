"""A small set of pictures, a finished run on it, and the command, for all rooms."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from forkserver import ForkServer
from hypothesis import HealthCheck, settings
from PIL import Image, ImageDraw

CLASSES = ("circle", "cross", "square")
WRONG = 6  # every sixth picture shows the next class's shape, so that no network gets them all
# A search of two architectures in about a second: the validation split decides, the learning rate is given.
QUICK = {"folds": 1, "epochs": 4, "batch": 16, "lr": 0.1, "max_depth": 7, "threads": 1, "augment": "none"}

for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):  # reports are written in the language that these name
    os.environ.pop(variable, None)

# A property holds however long a busy machine takes to draw examples and to try them.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# TensorBoard imports TensorFlow to open files, where that is installed, unless there is a module of this name.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


def draw_shape(kind: str, seed: int, side: int = 16) -> Image.Image:
    """A bright shape of its class's colour on dark noise, a little elsewhere for each seed; every sixth is wrong."""
    draws = np.random.default_rng([seed, CLASSES.index(kind)])
    if seed % WRONG == 0:
        kind = CLASSES[(CLASSES.index(kind) + 1) % len(CLASSES)]
    picture = Image.fromarray(draws.integers(0, 60, (side, side, 3), dtype=np.uint8))
    x, y = (int(n) for n in draws.integers(2, 6, 2))
    box, colour = (x, y, x + 8, y + 8), {"circle": "red", "cross": "lime", "square": "blue"}[kind]
    draw = ImageDraw.Draw(picture)
    if kind == "circle":
        draw.ellipse(box, fill=colour)
    elif kind == "square":
        draw.rectangle(box, fill=colour)
    else:
        draw.line((x, y, x + 8, y + 8), fill=colour, width=2)
        draw.line((x, y + 8, x + 8, y), fill=colour, width=2)
    return picture


def write_shapes(root: Path, count: int, first: int = 0) -> Path:
    """A folder of class folders with `count` PNG files each."""
    for kind in CLASSES:
        (root / kind).mkdir(parents=True)
        for number in range(first, first + count):
            draw_shape(kind, number).save(root / kind / f"{kind}{number:03}.png")
    return root


def arguments(options: dict[str, Any]) -> list[str]:
    """Options of `fit` as the command line has them."""
    return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests together, in one worker of pytest-xdist, and begin with the files that take longest.

    A file's seconds are those of its mark; tests that are in a group already stay there.
    """
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(Path(__file__).parent).as_posix()))
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> float:
    mark = item.get_closest_marker("seconds")
    return mark.args[0] if mark else 0.0


@pytest.fixture
def _handled() -> Iterator[None]:
    """Signals as a terminal's process has them, also where the tests run in the background, with SIGINT ignored; what a
    test starts has them, too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """Starts commands in processes of their own that need no time to import."""
    if not hasattr(os, "fork"):
        pytest.skip("needs fork")
    with ForkServer() as server:
        yield server


@pytest.fixture
def _forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `multiprocessing` would spawn is forked from a process that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["deepenough.lab.run", "deepenough.lab.claims.batch_and_devices", "torch._dynamo"])
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)


@pytest.fixture(scope="session")
def quick() -> dict[str, Any]:
    return dict(QUICK)


@pytest.fixture(scope="session")
def quick_arguments() -> list[str]:
    return arguments(QUICK)


@pytest.fixture(scope="session")
def shape() -> Callable[..., Image.Image]:
    return draw_shape


@pytest.fixture(scope="session")
def shapes_in() -> Callable[..., Path]:
    return write_shapes


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decoded images go to a folder of this test session, in subprocesses too."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["DEEPENOUGH_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 pictures of circles, crosses and squares in class folders, without splits."""
    return write_shapes(tmp_path_factory.mktemp("data") / "shapes", 60)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, shapes: Path, cache: Path) -> Path:
    """The folder of a finished run on `shapes`. Tests read it; those that change something copy it first."""
    import torch

    from deepenough import fit

    threads = torch.get_num_threads()
    run = fit(shapes, out=tmp_path_factory.mktemp("runs") / "shapes", **QUICK)
    torch.set_num_threads(threads)
    return run.folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs `deepenough` with the words given in this process: its exit status, output and errors."""
    from deepenough.__main__ import run as run_command

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setenv("COLUMNS", "300")
        monkeypatch.setattr(sys, "argv", ["deepenough", *map(str, words)])
        capsys.readouterr()
        return run_command(), *capsys.readouterr()

    return run
