"""Files that carry their checksum: what comes back is what was written, or the file is named as damaged."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from permissions import read_only

from deepenough.errors import DamagedError, DeepenoughError
from deepenough.files import CHECKSUM, SUMS, check_new, check_sums, read_checked_json, write_checked_json, write_sums
from deepenough.training.serialization import pack, pack_checked, unpack_checked

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(st.text(max_size=6).filter(lambda key: key != "content_sha256"), plain, max_size=5)


@settings(max_examples=50)
@given(content=objects)
def test_an_object_comes_back_and_its_checksum_is_the_one_described(
    content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("json") / "file.json"
    write_checked_json(file, content)
    assert read_checked_json(file) == content
    stored = json.loads(file.read_text(encoding="utf-8"))
    digest = stored.pop("content_sha256")
    compact = json.dumps(stored, sort_keys=True, separators=(",", ":"))
    assert digest == hashlib.sha256(compact.encode()).hexdigest()


@settings(max_examples=80)
@given(content=objects, harm=st.data())
def test_a_file_with_a_changed_byte_is_damaged_or_says_the_same(
    content: dict[str, Any], harm: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same where a blank became another blank, or where it is the checksum's name that was hit."""
    file = tmp_path_factory.mktemp("json") / "file.json"
    write_checked_json(file, content)
    data = bytearray(file.read_bytes())
    data[harm.draw(st.integers(0, len(data) - 1))] ^= 1 << harm.draw(st.integers(0, 7))
    file.write_bytes(data)
    try:
        found = read_checked_json(file)
    except DamagedError:
        return
    assert {key: value for key, value in found.items() if key in content} == content


@pytest.mark.parametrize("cut", [0, 1, 10, -2])
def test_a_file_that_was_cut_is_damaged(cut: int, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    write_checked_json(file, {"margin": 0.01, "data": "photos"})
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DamagedError, match=r"file\.json: not JSON"):
        read_checked_json(file)


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 6_000, "[1]", "\xff"])
def test_what_is_no_object_is_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DamagedError, match=r"file\.json"):
        read_checked_json(tmp_path / "file.json")


def test_a_file_of_before_has_no_checksum_and_line_ends_do_not_count(tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text('{"a": 1}')
    assert read_checked_json(file) == {"a": 1}
    write_checked_json(file, {"name": "café \udcff", "b": [1.5, None]})
    assert "café" in file.read_text(encoding="utf-8")
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_checked_json(file) == {"name": "café \udcff", "b": [1.5, None]}


@settings(max_examples=100)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(place=0.1, bit=0)  # in the name of the checksum
def test_a_flipped_bit_in_checked_tensors_is_noticed(place: float, bit: int) -> None:
    tensors = {"weight": torch.arange(12.0).view(3, 4), "bias": torch.ones(3)}
    content = bytearray(pack_checked(tensors))
    content[int(place * len(content))] ^= 1 << bit
    with pytest.raises(DamagedError):
        unpack_checked(Path("head.safetensors"), bytes(content))


def test_checked_tensors_come_back_also_without_a_checksum() -> None:
    tensors = {"weight": torch.arange(12.0).view(3, 4)}
    for content in (pack_checked(tensors), pack(tensors)):
        assert torch.equal(unpack_checked(Path("head"), content)["weight"], tensors["weight"])


def test_sums_name_the_file_that_changed_or_is_gone(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    write_sums(tmp_path, ("a.png", "b.png"))
    assert (tmp_path / SUMS).read_text().splitlines()[0] == f"{hashlib.sha256(b'a.png').hexdigest()}  a.png"
    check_sums(tmp_path)
    (tmp_path / "a.png").write_bytes(b"other")
    check_sums(tmp_path, ["b.png"])
    with pytest.raises(DamagedError, match=r"a\.png: its SHA-256 is not the one in SHA256SUMS"):
        check_sums(tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DamagedError, match=r"a\.png: there is no such file"):
        check_sums(tmp_path)


def test_a_folder_that_can_not_be_made_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DeepenoughError, match=r"file is a file, and no folder can be made in it"):
        check_new(tmp_path / "file" / "run")
    check_new(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_folder_that_can_not_be_written_is_refused(tmp_path: Path) -> None:
    check_new(tmp_path)
    with (
        read_only(tmp_path),
        pytest.raises(DeepenoughError, match=r"run: nothing can be written there \(no permission\)"),
    ):
        check_new(tmp_path / "run")


def test_a_changed_name_of_the_checksum_does_not_make_it_an_earlier_versions_file(tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    write_checked_json(file, {"a": 1, "b": [2.5]})
    file.write_text(file.read_text().replace(CHECKSUM, CHECKSUM.replace("2", "3")))
    with pytest.raises(DamagedError, match=r"facts\.json: the name of its checksum is 'content_sha356'"):
        read_checked_json(file)
