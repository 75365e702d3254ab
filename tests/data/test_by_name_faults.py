"""Data sets by name that can't be had as they should be: broken downloads, hostile archives, damaged copies."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import tarfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import FileServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from permissions import permissions_hold
from published_files import (
    EXPECTED,
    cifar10_binary,
    cifar10_python,
    flower_folder,
    matlab,
    packed,
    pixels,
    python2_pickle,
    svhn_files,
    write,
)
from published_sets_server import Told, publish

from deepenough import download
from deepenough.data.sources import open_source, published_sets
from deepenough.data.sources.published_sets import SETS
from deepenough.data.sources.unpack import Bounds
from deepenough.errors import DeepenoughError
from deepenough.files import can_be_written
from deepenough.user_folders import cache_root

pytestmark = pytest.mark.usefixtures("alone")


def test_a_broken_download_goes_on_and_a_wrong_one_is_refused(server: FileServer) -> None:
    server.script = [1000, 2000]
    content = server.files["cifar10/cifar-10-binary.tar.gz"]
    assert len(open_source("cifar10")) == 60
    assert [asked.partition(" ")[2] for asked in server.asked] == ["None", "bytes=1000-", "bytes=3000-"]
    server.files["cifar100/cifar-100-binary.tar.gz"] = content
    with pytest.raises(DeepenoughError, match="SHA-256 expected") as error:
        open_source("cifar100")
    assert hashlib.sha256(content).hexdigest() in str(error.value)
    folder = cache_root() / "datasets/cifar100"
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == []


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(breaks=st.lists(st.integers(1, 40_000), max_size=6), kept=st.integers(0, 60_000))
def test_whatever_breaks_the_bytes_are_the_same(
    server: FileServer, tmp_path: Path, breaks: list[int], kept: int
) -> None:
    content = server.files["svhn/test_32x32.mat"]
    path = tmp_path / "resumed" / "test_32x32.mat"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.part").write_bytes(content[:kept])
    server.script = list(breaks)
    file = SETS["svhn"].files[1]
    wanted = download.Published("svhn", f"{SETS['svhn'].url}{file.name}", file.sha256, file.megabytes)
    try:
        assert download.download(wanted, path).read_bytes() == content
    finally:
        server.script = []


def test_a_damaged_file_of_the_cache_is_fetched_anew(server: FileServer) -> None:
    open_source("svhn")
    file = cache_root() / "datasets/svhn/train_32x32.mat"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    told = Told()
    assert len(open_source("svhn", reporter=told)) == 50
    assert file.read_bytes() == whole
    assert "damaged" in told.lines[0]


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("name", ["svhn", "cifar10"])
def test_a_whole_copy_in_a_read_only_cache_is_used(server: FileServer, name: str) -> None:
    open_source(name)
    folder = cache_root() / "datasets"
    (folder / f".{name}.lock").unlink()
    folder.chmod(0o555)
    try:
        with permissions_hold():
            assert not can_be_written(folder)
            assert len(open_source(name)) == sum(EXPECTED[name][1].values())
    finally:
        folder.chmod(0o755)


def test_two_processes_fetch_once(server: FileServer) -> None:
    sources: list[int] = []
    threads = [threading.Thread(target=lambda: sources.append(len(open_source("cifar10")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sources == [60] * 4
    assert len(server.asked) == 1


def test_a_server_that_sends_without_end_is_stopped(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["svhn/train_32x32.mat"] = bytes(4 << 20)
    with pytest.raises(DeepenoughError, match="sends more than twice"):
        open_source("svhn")
    assert not list((cache_root() / "datasets/svhn").glob("*.part"))


def link(kind: bytes, target: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.type, member.linkname = kind, target
        tar.addfile(member)
    return stream.getvalue()


HOSTILE = {
    "a path upwards": (packed({"../../escaped": b"x"}), "leads out of its folder"),
    "an absolute path": (packed({"/tmp/escaped": b"x"}), "leads out of its folder"),
    "a path of Windows": (packed({"C:\\escaped": b"x"}), "leads out of its folder"),
    "a symbolic link": (link(tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
    "a hard link": (link(tarfile.LNKTYPE, "../../x"), "link or a device"),
    "a device": (link(tarfile.CHRTYPE, ""), "link or a device"),
    "too many files": (packed({f"{n}.bin": b"" for n in range(200)}), "more than 100 files"),
    "too many bytes": (packed({"zeros": bytes(2_000_000)}), "more than 100 files or 1 MB"),
    "an end too early": (packed(cifar10_binary())[:-4000], "cannot be unpacked"),
    "no archive": (b"hello", "cannot be unpacked"),
    "another archive": (packed({"readme": b"x"}), "files of cifar10 are missing"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_archives_do_no_harm(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    content, message = HOSTILE[kind]
    publish(monkeypatch, server, "cifar10", {"cifar-10-binary.tar.gz": content})
    monkeypatch.setitem(published_sets.SETS, "cifar10", replace(SETS["cifar10"], bounds=Bounds(1, 100)))
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    with pytest.raises(DeepenoughError, match=message):
        open_source("cifar10")
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
    folder = cache_root() / "datasets/cifar10"
    assert not (folder / ".unpacking").exists()
    assert not (folder / "cifar-10-batches-bin").exists()


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data_batch_1", pickle.dumps(Runs()), "could run code"),
        ("batches.meta", pickle.dumps({"label_names": Runs()}), "could run code"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 4, 3072), "labels": [1, 2]}), "one label for each of 4"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 4, 99), "labels": [1]}), "an array uint8"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 1, 3072), "labels": [10]}), "labels from 0 to 9"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 1, 3072), "labels": ["cat"]}), "a list of whole numbers"),
        ("data_batch_1", b"", "can't be read"),
        ("batches.meta", python2_pickle({"label_names": [1]}), "the names of the classes"),
    ],
)
def test_pickles_run_nothing_and_say_what_is_wrong(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    folder = write(tmp_path / "cifar-10-batches-py", cifar10_python() | {file: content})
    with pytest.raises(DeepenoughError, match=message):
        open_source(folder)
    assert not Path("ran").exists()


def test_a_pickle_of_python_3_is_read_too(tmp_path: Path) -> None:
    batch = pickle.dumps({"data": pixels(5, 10, 3072), "labels": list(range(10))}, protocol=2)
    folder = write(tmp_path / "cifar-10-batches-py", cifar10_python() | {"data_batch_1": batch})
    np.testing.assert_array_equal(
        open_source(folder).read(3), pixels(5, 10, 3072)[3].reshape(3, 32, 32).transpose(1, 2, 0)
    )


@pytest.mark.parametrize(
    ("folder", "files", "message"),
    [
        ("cifar-10-batches-bin", cifar10_binary() | {"test_batch.bin": b"12345"}, "rows of 3,073 bytes"),
        ("cifar-10-batches-bin", cifar10_binary() | {"batches.meta.txt": b"cat\ndog\n"}, "labels from 0 to 1"),
        ("svhn", svhn_files() | {"test_32x32.mat": b"MATLAB"}, "a MATLAB file with X and y"),
        ("svhn", svhn_files() | {"test_32x32.mat": matlab(X=pixels(0, 3, 3))}, "y is none"),
        ("svhn", svhn_files() | {"test_32x32.mat": matlab(X=pixels(0, 3, 3), y=pixels(1, 3))}, "the shape"),
        ("flowers", flower_folder() | {"imagelabels.mat": matlab(labels=np.uint8([[0, 1]]))}, "labels from 1 to 102"),
        ("flowers", flower_folder() | {"imagelabels.mat": matlab(labels=np.uint8([[1] * 13]))}, "1 of 13 images"),
        (
            "flowers",
            flower_folder() | {"setid.mat": matlab(**dict.fromkeys(("trnid", "valid", "tstid"), np.uint8([[1]])))},
            "splits that share no image",
        ),
        (
            "flowers",
            flower_folder() | {"setid.mat": matlab(**dict.fromkeys(("trnid", "valid", "tstid"), np.uint8([[99]])))},
            "numbers of images from 1 to 12",
        ),
    ],
)
def test_damaged_copies_are_named(tmp_path: Path, folder: str, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DeepenoughError, match=message):
        open_source(write(tmp_path / folder, files))


def test_an_npz_of_something_else_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "objects.npz", x_train=np.array([{}], object), y_train=[0], x_test=[0], y_test=[0])
    (tmp_path / "no.npz").write_bytes(b"PK\3\4 nothing")
    for name in ("other.npz", "objects.npz", "no.npz"):
        with pytest.raises(DeepenoughError, match="x_train, y_train, x_test, y_test"):
            open_source(tmp_path / name)
