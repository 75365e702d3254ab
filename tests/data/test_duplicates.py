from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepenough.data.decode import upright
from deepenough.data.duplicates import near_pairs, perceptual_hash, same_picture, thumbnail
from deepenough.preprocessing import Preprocessing

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def test_near_pairs_are_all_pairs_within_seven_bits() -> None:
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, 400, dtype=np.uint64)
    for row in range(0, 300, 3):  # near ones, 0 to 9 bits away
        bits = random.choice(64, row % 10, replace=False)
        hashes[row + 1] = hashes[row] ^ np.bitwise_or.reduce(
            np.uint64(1) << bits.astype(np.uint64), initial=np.uint64(0)
        )
    found = {tuple(pair) for pairs in near_pairs(hashes) for pair in pairs.tolist()}
    expected = {
        (i, j) for i in range(400) for j in range(i + 1, 400) if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= 7
    }
    assert len(expected) >= 75
    assert found == expected


def test_copies_of_real_photos_are_found_and_different_photos_are_not() -> None:
    if not (SHARED / "clothing").is_dir():
        pytest.skip("../shared/data/clothing is not here")
    files = sorted((SHARED / "clothing" / "train").rglob("*.jpg"))[::8]
    side = Preprocessing((64, 64)).reading_side
    thumbs = [thumbnail(upright(file, side)) for file in files]
    for file, thumb in list(zip(files, thumbs, strict=True))[::10]:
        photo = Image.open(file).convert("RGB")
        for quality in (30, 95):
            for scale in (0.5, 0.77, 2):
                size = (round(photo.width * scale), round(photo.height * scale))
                data = io.BytesIO()
                photo.resize(size, Image.Resampling.LANCZOS).save(data, "JPEG", quality=quality)
                copy = thumbnail(upright(data.getvalue(), side))
                assert bin(perceptual_hash(copy) ^ perceptual_hash(thumb)).count("1") <= 7
                assert same_picture(copy, thumb, (size[0] / size[1], photo.width / photo.height))
    # Pixels alone keep the different photos of this part apart, without the help of the hash.
    stack = np.array(thumbs, np.int16).reshape(len(thumbs), -1)
    for row in range(len(stack)):
        means = np.abs(stack[row + 1 :] - stack[row]).mean(axis=1)
        for near in np.flatnonzero(means < 8):
            assert not same_picture(thumbs[row], thumbs[row + 1 + near])


def test_another_crop_or_aspect_is_another_picture() -> None:
    noise = np.random.default_rng(3).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((200, 200), Image.Resampling.BICUBIC)
    thumb = thumbnail(picture)
    assert not same_picture(thumb, thumbnail(picture.crop((40, 40, 200, 200))))
    assert not same_picture(thumb, thumb, (1.0, 1.2))
    assert perceptual_hash(np.full((32, 32, 3), 200, np.uint8)) == 0
