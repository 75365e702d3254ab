"""Fixtures: a stand-in for the publishers of data sets, and a home without any copy of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import FileServer
from published_files import published

from deepenough import download
from deepenough.data.sources import by_name, published_sets
from deepenough.data.sources.published_sets import SETS, SetFile
from deepenough.progress import Advance, Reporter


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a working folder and a cache of their own, with nothing in them; gives the home."""
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME", "KERAS_HOME", "FASTAI_HOME", "TORCHVISION_DATASETS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setattr(by_name.Path, "home", lambda: home)
    monkeypatch.setattr(by_name, "user_cache_dir", lambda name: str(tmp_path / "old" / name))
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.chdir(work)
    # Debian's folder, which a machine may have, is no part of these tests.
    folders = by_name._folders
    monkeypatch.setattr(by_name, "_folders", lambda: [f for f in folders() if not f.is_relative_to("/usr")])
    return home


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    server = FileServer()
    for name, files in published().items():
        publish(monkeypatch, server, name, files)
    with server.running():
        yield server


def publish(monkeypatch: pytest.MonkeyPatch, server: FileServer, name: str, files: dict[str, bytes]) -> None:
    """Have the server publish these files, and the table know their checksums."""
    assert [file.name for file in SETS[name].files] == list(files)
    known = tuple(SetFile(f, hashlib.sha256(c).hexdigest(), len(c) / 1e6) for f, c in files.items())
    monkeypatch.setitem(published_sets.SETS, name, replace(SETS[name], url=f"{server.url}{name}/", files=known))
    server.files |= {f"{name}/{file}": content for file, content in files.items()}


class Told(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tasks: list[str] = []

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        self.tasks.append(label)
        with super().task(label) as advance:
            yield advance

    def say(self, text: str) -> None:
        self.lines.append(text)
