"""A cache that was damaged anywhere gives the pixels that were written, and says that it was mended."""

from __future__ import annotations

import pickle
import threading
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepenough.data import cached_pixels
from deepenough.data.cached_pixels import CachedPixels, checksums, images_in_block
from deepenough.data.images import Images, prepare
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError

SHAPE = (57, 6, 5, 3)


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_pixels, "BLOCK_BYTES", 1000)  # 11 images of 90 bytes, and six blocks


def flip(file: Path, place: int, bit: int = 0) -> None:
    with file.open("r+b") as opened:
        opened.seek(place)
        (value,) = opened.read(1)
        opened.seek(place)
        opened.write(bytes([value ^ 1 << bit]))


def stored(folder: Path) -> tuple[np.ndarray, Path]:
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    np.save(folder / "pixels.npy", pixels)
    return pixels, folder / "pixels.npy"


@pytest.mark.usefixtures("_small_blocks")
def test_the_checksums_are_those_of_zlib_over_each_block(tmp_path: Path) -> None:
    pixels, _ = stored(tmp_path)
    step = images_in_block(SHAPE[1:])
    assert step == 11
    assert checksums(pixels).tolist() == [zlib.crc32(pixels[i : i + 11].tobytes()) for i in range(0, 57, 11)]
    assert images_in_block((1000, 1000, 3)) == 1


@pytest.mark.usefixtures("_small_blocks")
@settings(max_examples=60)
@given(harm=st.data())
def test_whatever_is_flipped_or_zeroed_what_is_read_is_what_was_written(
    harm: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pixels, file = stored(tmp_path_factory.mktemp("cache"))
    size = file.stat().st_size
    if harm.draw(st.booleans()):
        flip(file, harm.draw(st.integers(0, size - 1)), harm.draw(st.integers(0, 7)))
    else:
        start = harm.draw(st.integers(0, size - 1))
        with file.open("r+b") as opened:
            opened.seek(start)
            opened.write(bytes(harm.draw(st.integers(1, size - start))))
    again = CachedPixels(file, SHAPE, checksums(pixels), lambda rows: pixels[rows])
    index = harm.draw(
        st.one_of(
            st.integers(-57, 56),
            st.slices(57),
            st.lists(st.integers(0, 56), max_size=20).map(lambda rows: np.array(rows, np.int64)),
            st.lists(st.booleans(), min_size=57, max_size=57).map(np.array),
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        np.testing.assert_array_equal(again[index], pixels[index])
        np.testing.assert_array_equal(np.asarray(again), pixels)
    assert file.read_bytes()[-pixels.nbytes :] == pixels.tobytes()


@pytest.mark.usefixtures("_small_blocks")
def test_a_block_is_checked_once_and_only_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, file = stored(tmp_path)
    sums, counted = checksums(pixels), []
    plain = zlib.crc32
    monkeypatch.setattr(cached_pixels.zlib, "crc32", lambda data: counted.append(1) or plain(data))
    found = CachedPixels(file, SHAPE, sums, lambda rows: pixels[rows])
    assert counted == []
    found[[0, 12]], found[5], found[1:3]
    assert len(counted) == 2
    found[:], found[:]
    assert len(counted) == 6


@pytest.mark.usefixtures("_small_blocks")
def test_threads_that_read_at_once_see_the_same(tmp_path: Path) -> None:
    pixels, file = stored(tmp_path)
    sums = checksums(pixels)
    for place in (300, 2000, 4900):
        flip(file, place)
    shared = CachedPixels(file, SHAPE, sums, lambda rows: pixels[rows])
    seen: list[np.ndarray] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        threads = [threading.Thread(target=lambda: seen.append(np.array(shared[:]))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(seen) == 8
    assert all((each == pixels).all() for each in seen)


@pytest.mark.usefixtures("_small_blocks")
def test_another_process_gets_a_plain_array_that_was_checked(tmp_path: Path) -> None:
    pixels, file = stored(tmp_path)
    sums = checksums(pixels)
    flip(file, 3000)
    with pytest.warns(RuntimeWarning, match="decoded again"):
        sent = pickle.loads(pickle.dumps(CachedPixels(file, SHAPE, sums, lambda rows: pixels[rows]), protocol=5))
    assert type(sent) is np.ndarray
    np.testing.assert_array_equal(sent, pixels)


def ready(root: Path, cache: Path) -> Images:
    return prepare(open_source(root), size=32, cache=cache)


def entry_of(cache: Path) -> Path:
    (entry,) = [path for path in (cache / "images").iterdir() if path.is_dir()]
    return entry


def test_a_set_whose_cache_was_damaged_is_decoded_again_where_it_was(two_classes: Path, tmp_path: Path) -> None:
    expected = np.array(ready(two_classes, tmp_path).pixels)
    file = entry_of(tmp_path) / "pixels.npy"
    written = file.stat().st_ino
    with file.open("r+b") as opened:  # a hole of zeros, in the middle
        opened.seek(20_000)
        opened.write(bytes(8192))
    images = ready(two_classes, tmp_path)
    with pytest.warns(RuntimeWarning, match=r"pixels.npy: damaged; its images 0 to 23 were decoded again"):
        np.testing.assert_array_equal(images.pixels[3:9], expected[3:9])
    assert file.stat().st_ino == written
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(ready(two_classes, tmp_path).pixels, expected)


@pytest.mark.parametrize("gone", [False, True])
def test_what_cannot_be_mended_is_made_anew_by_the_next_command(
    two_classes: Path, tmp_path: Path, photo: Any, gone: bool
) -> None:
    """The images changed after the training began, or can't be read."""
    ready(two_classes, tmp_path)
    file = entry_of(tmp_path) / "pixels.npy"
    images = ready(two_classes, tmp_path)
    flip(file, 40_000)
    if gone:
        (two_classes / "cat/00.png").unlink()
    else:
        photo(99).save(two_classes / "cat/00.png")
    with pytest.raises(DeepenoughError, match=r"can't be mended.*start again.*--resume"):
        images.pixels[0]
    expected = ready(two_classes, tmp_path / "other").pixels
    np.testing.assert_array_equal(ready(two_classes, tmp_path).pixels, expected)


@pytest.mark.parametrize("kind", ["checksums", "labels", "rows", "groups", "sums", "names", "splits", "ends", "meta"])
def test_the_other_files_of_the_cache_are_checked_as_it_is_opened(kind: str, two_classes: Path, tmp_path: Path) -> None:
    first = ready(two_classes, tmp_path)
    expected, labels = np.array(first.pixels), first.labels.copy()
    (file,) = entry_of(tmp_path).glob(f"{kind}.*")
    flip(file, file.stat().st_size - 2, 1)
    with pytest.warns(RuntimeWarning, match=rf"{file.name}: .*making it anew"):
        again = ready(two_classes, tmp_path)
    np.testing.assert_array_equal(again.pixels, expected)
    np.testing.assert_array_equal(again.labels, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ready(two_classes, tmp_path)
