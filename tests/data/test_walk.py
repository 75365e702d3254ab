"""One walk lists the files of a folder: all of them, or it says which not and why."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.data import links, walk
from deepenough.data.finding import NAMED_ALONE, PassedOver
from deepenough.data.walk import count_files, files_below, subfolders


def listed(root: Path, folder: str, passed: PassedOver | None = None) -> list[str]:
    found = files_below(root, folder, PassedOver() if passed is None else passed)
    return [walk.below(place, name) for place, files in found for name, _ in files]


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())


NAMES = st.text(st.sampled_from("abC.ä1 "), min_size=1, max_size=4).filter(lambda name: name.strip(". ") != "")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.lists(NAMES, min_size=1, max_size=5), max_size=12))
def test_the_walk_finds_what_rglob_finds(tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]]) -> None:
    root = tmp_path_factory.mktemp("tree")
    for parts in paths:
        path = root.joinpath(*parts)
        if not path.is_dir() and not any(parent.is_file() for parent in path.parents):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    expected = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
    found = listed(root, "")
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_files_come_before_folders_and_both_in_order(tmp_path: Path) -> None:
    make(tmp_path, "c/b.png", "c/a.png", "c/B/1.png", "c/A/2.png", "c/A/deep/3.png")
    assert listed(tmp_path, "c") == ["c/a.png", "c/b.png", "c/A/2.png", "c/A/deep/3.png", "c/B/1.png"]


def test_no_folder_is_too_deep(tmp_path: Path) -> None:
    deep = "/".join(map(str, range(60)))
    make(tmp_path, f"c/{deep}/x.png")
    assert listed(tmp_path, "c") == [f"c/{deep}/x.png"]


def test_what_is_no_file_is_named_and_never_opened(tmp_path: Path) -> None:
    make(tmp_path, "c/a.png")
    os.mkfifo(tmp_path / "c/pipe.png")
    (tmp_path / "c/zero.png").symlink_to("/dev/zero")
    (tmp_path / "c/self.png").symlink_to("self.png")
    (tmp_path / "c/gone.png").symlink_to("nowhere")
    (tmp_path / "c/link.png").symlink_to("a.png")
    here = Path.cwd()
    os.chdir(tmp_path / "c")  # the path of a socket has at most 107 characters
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("socket")
        os.chdir(here)
        passed = PassedOver()
        assert listed(tmp_path, "c", passed) == ["c/a.png", "c/link.png"]
    found = {(f.name, f.kind): f.detail for f in passed.findings()}
    assert dict(found.keys()) == {
        "c/pipe.png": "not-a-file",
        "c/zero.png": "not-a-file",
        "c/socket": "not-a-file",
        "c/self.png": "missing",
        "c/gone.png": "missing",
    }
    assert "named pipe" in found["c/pipe.png", "not-a-file"]
    assert "back to itself" in found["c/self.png", "missing"]


def test_linked_folders_are_followed_once_and_never_back(tmp_path: Path) -> None:
    make(tmp_path, "set/c/1.png", "set/d/2.png", "store/3.png", "store/deep/4.png")
    for name, target in {
        "set/c/more": "../../store",
        "set/c/again": "../../store",
        "set/c/up": "..",
        "set/c/root": "/",
        "set/c/own": ".",
        "store/deep/back": "../../set/c",
        "set/c/proc": "/proc",
        "set/c/d": "../d",
    }.items():
        (tmp_path / name).symlink_to(target)
    passed = PassedOver()
    found = files_below(tmp_path / "set", "c", passed, {(tmp_path / "set" / name).resolve() for name in "cd"})
    names = [walk.below(place, name) for place, files in found for name, _ in files]
    assert names == ["c/1.png", "c/again/3.png", "c/again/deep/4.png"]
    left = {f.name: f.kind for f in passed.findings()}
    assert left == dict.fromkeys(
        ("c/more", "c/up", "c/root", "c/own", "c/again/deep/back", "c/proc", "c/d"), "linked-folder"
    )


def test_a_link_to_an_enormous_tree_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "set/c/1.png", *(f"many/{n}/x.png" for n in range(12)), *(f"few/{n}/x.png" for n in range(8)))
    (tmp_path / "set/c/many").symlink_to(tmp_path / "many")
    (tmp_path / "set/c/few").symlink_to(tmp_path / "few")
    monkeypatch.setattr(links, "MOST_FOLDERS", 10)
    passed = PassedOver()
    assert len(listed(tmp_path / "set", "c", passed)) == 9
    assert [(f.kind, f.name) for f in passed.findings()] == [("linked-folder", "c/many")]


def test_a_class_folder_that_is_a_link_to_the_root_is_none(tmp_path: Path) -> None:
    make(tmp_path, "a/1.png", "elsewhere/2.png")
    (tmp_path / "set").mkdir()
    for name, target in {"whole": "/", "above": "..", "good": "../a"}.items():
        (tmp_path / "set" / name).symlink_to(target)
    passed = PassedOver()
    assert subfolders(tmp_path / "set", "", passed) == ["good"]
    assert {f.name for f in passed.findings()} == {"whole", "above"}


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "c/1.png", "c/shut/2.png")
    scan = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(walk.os, "scandir", refuse)
    passed = PassedOver()
    assert listed(tmp_path, "c", passed) == ["c/1.png"]
    (finding,) = passed.findings()
    assert (finding.kind, finding.name) == ("unreadable", "c/shut")
    assert "Permission denied" in finding.detail


def test_system_folders_and_hidden_files_are_named_together(tmp_path: Path) -> None:
    make(tmp_path, "c/1.png", *(f"c/@eaDir/{n}.jpg" for n in range(3)), "d/@eaDir/x.jpg", "d/2.png")
    make(tmp_path, *(f"{name}/x.png" for name in ("$RECYCLE.BIN", "System Volume Information", "lost+found")))
    make(tmp_path, *(f"c/._{n}.png" for n in range(50)), "c/Thumbs.db", "c/.ipynb_checkpoints/1.png")
    passed = PassedOver()
    assert subfolders(tmp_path, "", passed) == ["c", "d"]
    assert listed(tmp_path, "c", passed) + listed(tmp_path, "d", passed) == ["c/1.png", "d/2.png"]
    names = sorted(finding.name for finding in passed.findings())
    assert names == [
        "$RECYCLE.BIN",
        "System Volume Information",
        "c/._0.png, c/._1.png, c/._10.png and 48 more",
        "c/@eaDir, d/@eaDir",
        "c/Thumbs.db",
        "lost+found",
    ]


def test_many_findings_of_a_kind_are_counted() -> None:
    passed = PassedOver()
    for number in range(NAMED_ALONE + 30):
        passed.add("missing", f"{number}.png", f"a link to {number}")
    found = passed.findings()
    assert len(found) == NAMED_ALONE + 1
    assert found[-1].name == "30 more"


def test_files_are_counted_no_further_than_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "1", "a/2", "a/b/3")
    assert count_files(tmp_path) == "3 files"
    assert count_files(tmp_path / "a/b") == "1 file"
    monkeypatch.setattr(walk, "COUNTED", 2)
    assert count_files(tmp_path) == "more than 2 files"
