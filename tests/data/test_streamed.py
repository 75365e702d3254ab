"""Image sets that are larger than the cache may be: decoded anew, the same to the last bit."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from deepenough import DeepenoughError
from deepenough.data.augment import STRENGTHS
from deepenough.data.images import Images, prepare
from deepenough.data.sources import open_source
from deepenough.data.sources.base import WINDOW
from deepenough.data.streamed import Streamed
from deepenough.training.feed import Feed, Loader, batches


def pictures(count: int) -> list[tuple[str, bytes]]:
    """Labels and JPEG files of different sizes."""
    draws = np.random.default_rng(0)
    found = []
    for number in range(count):
        height, width = draws.integers(20, 60, 2)
        file = io.BytesIO()
        Image.fromarray(draws.integers(0, 256, (height, width, 3), np.uint8)).save(file, "JPEG")
        found.append(("ab"[number % 2], file.getvalue()))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, (label, content) in enumerate(pictures(40)):
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / label / f"{number:03}.jpg").write_bytes(content)
    return tmp_path / "photos"


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    labels, files = zip(*pictures(400), strict=True)
    table = pa.table({"image": [{"bytes": file, "path": None} for file in files], "label": labels})
    pq.write_table(table, tmp_path / "photos.parquet", row_group_size=10)
    return tmp_path / "photos.parquet"


def add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    root = tmp_path / "shards"
    root.mkdir()
    for number, part in enumerate(np.array_split(np.arange(40), 3)):
        with tarfile.open(root / f"{'test' if number == 2 else 'train'}-{number:06}.tar", "w") as shard:
            for row in part:
                label, content = pictures(40)[row]
                add(shard, f"some/{row:04}.jpg", content)
                if number:
                    add(shard, f"some/{row:04}.cls", str("ab".index(label)).encode())
                else:
                    add(shard, f"some/{row:04}.json", json.dumps({"label": "ab".index(label)}).encode())
    (root / "classes.txt").write_text("a\nb\n")
    return root


def same_images(one: Any, other: Any) -> None:
    assert one.fingerprint == other.fingerprint
    assert list(one.names) == list(other.names)
    assert one.preprocess == other.preprocess
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(one.split, part), getattr(other.split, part))
    some = np.array([3, 17, 0, 3])
    np.testing.assert_array_equal(one.pixels[some], other.pixels[some])
    np.testing.assert_array_equal(one.pixels[5], other.pixels[5])
    assert one.pixels.shape == other.pixels.shape


@pytest.mark.parametrize("kind", ["folder", "parquet", "shards"])
def test_streamed_images_are_those_of_the_cache(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(kind)
    streamed = prepare(open_source(path), cache=tmp_path / "small", cache_limit=1000)
    kept = prepare(open_source(path), cache=tmp_path / "large")
    assert isinstance(streamed.pixels, Streamed)
    assert not isinstance(kept.pixels, Streamed)
    assert (
        sum(file.stat().st_size for file in (tmp_path / "small").rglob("*.npy")) < np.asarray(kept.pixels).nbytes / 10
    )
    same_images(streamed, kept)
    again = prepare(open_source(path), cache=tmp_path / "small", cache_limit=1000)
    same_images(again, kept)
    same_images(pickle.loads(pickle.dumps(streamed)), kept)  # as another process gets them


def test_where_there_is_room_by_now_the_cache_is_filled(folder: Path, tmp_path: Path) -> None:
    assert isinstance(prepare(open_source(folder), cache=tmp_path / "c", cache_limit=1000).pixels, Streamed)
    assert not isinstance(prepare(open_source(folder), cache=tmp_path / "c").pixels, Streamed)
    # What is there is taken, however small the limit: it costs nothing any more.
    assert not isinstance(prepare(open_source(folder), cache=tmp_path / "c", cache_limit=1000).pixels, Streamed)


def test_an_image_that_changes_meanwhile_is_named(folder: Path, tmp_path: Path) -> None:
    images = prepare(open_source(folder), cache=tmp_path / "c", cache_limit=1000)
    (folder / "a" / "000.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    with pytest.raises(DeepenoughError, match=r"a/000\.jpg can't be read any more"):
        images.pixels[np.arange(len(images))]
    (folder / "a" / "000.jpg").unlink()
    with pytest.raises(DeepenoughError, match="can't be read any more"):
        images.pixels[np.arange(len(images))]


def test_blocks_are_drawn_from_window_by_window() -> None:
    blocks = np.repeat(np.arange(60), 25)
    index = np.random.default_rng(0).permutation(len(blocks))[:1200]
    found = batches(index, 32, seed=1, epoch=2, blocks=blocks)
    whole = np.concatenate(found)
    np.testing.assert_array_equal(np.sort(whole), np.sort(index))
    for place in range(len(whole)):  # no more blocks are under way than a window has
        begun, later = set(blocks[whole[: place + 1]]), set(blocks[whole[place + 1 :]])
        assert len(begun & later) <= WINDOW
    again = np.concatenate(batches(index, 32, seed=1, epoch=2, blocks=blocks))
    np.testing.assert_array_equal(whole, again)
    assert not np.array_equal(whole, np.concatenate(batches(index, 32, seed=1, epoch=3, blocks=blocks)))


def test_tar_shards_are_read_as_what_they_hold(shards: Path, folder: Path) -> None:
    source = open_source(shards)
    assert source.classes == ("a", "b")
    files = dict(zip(source.names, range(len(source)), strict=True))
    for row, (label, content) in enumerate(pictures(40)):
        place = next(place for name, place in files.items() if name.endswith(f"{row:04}.jpg"))
        assert source.read(place) == content
        assert source.classes[source.labels[place]] == label
    assert (source.splits == open_source(shards / "test-000002.tar").splits[0]).sum() == 13
    one = open_source(shards / "train-000001.tar")
    assert len(one) == 13


def test_what_is_wrong_with_tar_shards_is_said(shards: Path, tmp_path: Path) -> None:
    with tarfile.open(shards / "train-000003.tar", "w") as shard:
        add(shard, "x.jpg", pictures(1)[0][1])
    assert [finding.kind for finding in open_source(shards).findings] == ["unlabelled"]
    with tarfile.open(shards / "train-000004.tar", "w") as shard:
        add(shard, "x.jpg", pictures(1)[0][1])
        add(shard, "x.cls", b"7")
    with pytest.raises(DeepenoughError, match="label 7 has no line among the 2 class names"):
        open_source(shards)
    (tmp_path / "broken.tar").write_bytes(b"no tar at all")
    with pytest.raises(DeepenoughError, match="not a readable tar file"):
        open_source(tmp_path / "broken.tar")


def test_two_classes_of_shards_with_one_name_stay_two(shards: Path) -> None:
    """ImageNet's list of classes has two cranes and two maillots."""
    (shards / "classes.txt").write_text("crane\ncrane\n")
    source = open_source(shards)
    assert source.classes == ("crane", "crane (1)")
    assert np.bincount(source.labels).tolist() == [20, 20]


def test_a_training_s_order_does_not_hang_on_the_cache(parquet: Path, tmp_path: Path) -> None:
    """Blocks of images that are cheap to read together are known, whether there is need of them or not."""
    streamed = prepare(open_source(parquet), cache=tmp_path / "small", cache_limit=1000)
    kept = prepare(open_source(parquet), cache=tmp_path / "large")
    assert (streamed.in_blocks, kept.in_blocks) == (True, False)
    np.testing.assert_array_equal(streamed.blocks, kept.blocks)
    rows = kept.split.train

    def epoch(images: Images) -> list[np.ndarray]:
        feed = Feed(Loader(images, torch.device("cpu")), rows, 32, STRENGTHS["none"], seed=1)
        return [batch.images.numpy() for batch in feed.epoch(0)]

    for one, other in zip(epoch(streamed), epoch(replace(kept, in_blocks=True)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(epoch(streamed)[0], epoch(kept)[0])


def test_a_damaged_row_group_is_a_finding(parquet: Path, tmp_path: Path) -> None:
    column = pq.ParquetFile(parquet).metadata.row_group(3).column(0)
    with parquet.open("r+b") as file:
        file.seek(column.dictionary_page_offset or column.data_page_offset)
        file.write(b"\xff" * 16)
    images = prepare(open_source(parquet), cache=tmp_path / "c")
    damaged = [finding.name for finding in images.findings if finding.kind == "damaged"]
    assert damaged == [f"photos.parquet[{row}]" for row in range(30, 40)]
    assert len(images) == 390


def test_of_a_damaged_row_group_what_is_before_the_damage_can_be_streamed(tmp_path: Path) -> None:
    labels, files = zip(*pictures(700), strict=True)
    table = pa.table({"image": pa.array(files, pa.binary()), "label": labels})
    path = tmp_path / "photos.parquet"
    plain: Any = {"use_dictionary": False, "compression": "none", "data_page_size": 1, "write_batch_size": 1}
    pq.write_table(table, path, row_group_size=600, **plain)  # a page for each image
    place = path.read_bytes().index(files[599])
    with path.open("r+b") as file:  # the header of the page, which lies before what it holds
        file.seek(place - 40)
        file.write(b"\xff" * 36)
    images = prepare(open_source(path), cache=tmp_path / "c", cache_limit=1000)
    damaged = [finding.name for finding in images.findings if finding.kind == "damaged"]
    assert damaged == [f"photos.parquet[{row}]" for row in range(512, 600)]
    kept = np.setdiff1d(np.arange(700), np.arange(512, 600))
    assert images.pixels[np.arange(len(images))].shape[0] == len(kept) == 612
    whole = prepare(open_source(path), cache=tmp_path / "d")
    np.testing.assert_array_equal(images.pixels[np.arange(400, 612)], whole.pixels[400:612])
