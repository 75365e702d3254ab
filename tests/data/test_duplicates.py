"""Near-duplicates: what is proposed, what is confirmed, and how it is grouped."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.datasets import load_digits

from deepenough.data.decode import upright
from deepenough.data.descriptors import MIRROR, UNIT, describe, is_flat, tangents
from deepenough.data.duplicates import NearDuplicates, NearPairs, thumbnail
from deepenough.data.grouping import completed, connected, representatives, scenes
from deepenough.data.nearest import InvertedFile
from deepenough.data.registration import plain_residual, register, residual, whole
from deepenough.preprocessing import Preprocessing

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG": lambda p: _jpeg(p, 60),
    "half the size": lambda p: _jpeg(p.resize((p.width // 2, p.height // 2), Image.Resampling.LANCZOS), 90),
    "mirrored": ImageOps.mirror,
    "brighter": lambda p: _jpeg(p.point(lambda v: min(round(1.1 * v), 255)), 90),
    "darker": lambda p: p.point(lambda v: round(0.9 * v)),
    "cropped": lambda p: _jpeg(p.crop((5, 4, p.width - 5, p.height - 4)), 90),
    "a corner cut": lambda p: p.crop((6, 0, p.width, p.height - 4)),
    "black border": lambda p: _jpeg(ImageOps.expand(p, (5, 4), "black"), 90),
    "white border": lambda p: ImageOps.expand(p, (5, 4), "white"),
}


def _jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert(picture.mode)


def texture(seed: int, width: int = 96, height: int = 80) -> Image.Image:
    """A picture with structure at several scales, unlike any of another seed."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((3, 1.0), (6, 0.6), (12, 0.35)):
        small = random.integers(0, 256, (cells, cells + 1, 3), dtype=np.uint8)
        total += weight * np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    return Image.fromarray((total / 1.95).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.5))


def search(pictures: list[Image.Image]) -> NearDuplicates:
    thumbs = np.array([thumbnail(picture) for picture in pictures])
    sizes = np.array([picture.size for picture in pictures])
    return NearDuplicates(thumbs, np.arange(len(pictures)), sizes[:, 1], sizes[:, 0])


def found(pictures: list[Image.Image]) -> set[tuple[int, int]]:
    pairs = search(pictures).pairs()
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def near(edges: list[tuple[int, int]]) -> NearPairs:
    ends = np.array(sorted(edges), np.int64).reshape(-1, 2)
    no = np.zeros(len(ends), np.bool_)
    return NearPairs(ends[:, 0], ends[:, 1], np.zeros(len(ends)), no, no, no)


def test_planted_copies_of_textures_are_found_and_nothing_else() -> None:
    originals = [texture(seed) for seed in range(90)]
    copies = [way(originals[number]) for number, way in enumerate([*COPIES.values()] * 10)]
    pairs = found([*originals, *copies])
    expected = {(number, 90 + number) for number in range(90)}
    assert pairs <= expected
    missed = [[*COPIES][number % len(COPIES)] for number, copy in expected - pairs]
    assert len(missed) <= 2, missed


def test_the_way_a_copy_was_made_is_told() -> None:
    originals = [texture(seed) for seed in range(40)]
    ways = {"mirrored": "mirrored", "cropped": "cropped", "brighter": "brightened"}
    for name, field in ways.items():
        pairs = search([*originals, COPIES[name](originals[7])]).pairs()
        assert (pairs.first.tolist(), pairs.second.tolist()) == ([7], [40])
        told = {other: bool(getattr(pairs, other)[0]) for other in ways.values()}
        assert told == {other: other == field for other in ways.values()}


def test_small_pictures_are_found_re_encoded_mirrored_and_of_another_brightness() -> None:
    originals = [texture(seed, 32, 32) for seed in range(60)]
    ways = [lambda p: _jpeg(p, 85), *(COPIES[name] for name in ("mirrored", "brighter", "darker"))]
    copies = [ways[number % 4](original) for number, original in enumerate(originals)]
    pairs = found([*originals, *copies])
    assert pairs <= {(number, 60 + number) for number in range(60)}
    assert len(pairs) >= 57


def test_digits_that_look_alike_are_no_duplicates() -> None:
    digits = [Image.fromarray((image * 15).astype(np.uint8)) for image in load_digits().images]
    assert found(digits) == set()


def test_copies_of_real_photos_are_found_and_different_photos_are_not() -> None:
    if not (SHARED / "clothing").is_dir():
        pytest.skip("../shared/data/clothing is not here")
    files = sorted((SHARED / "clothing" / "train").rglob("*.jpg"))[::12]
    photos = [upright(file, Preprocessing((64, 64)).reading_side).convert("RGB") for file in files]
    copies = [way(photo) for photo, way in zip(photos, [*COPIES.values()] * 4, strict=False)]
    pairs = found([*photos, *copies])
    planted = {(number, len(photos) + number) for number in range(len(copies))}
    assert len(planted & pairs) >= 35
    assert not pairs - planted


def test_another_picture_or_a_large_crop_is_no_duplicate() -> None:
    picture = texture(3, 200, 200)
    rest = [texture(seed, 200, 200) for seed in range(10, 40)]
    others = [picture.crop((60, 60, 200, 200)), picture.resize((200, 150)), ImageOps.flip(picture)]
    assert found([picture, *others, *rest]) == set()
    assert is_flat(thumbnail(Image.new("RGB", (200, 150), (200, 200, 200))))
    assert not is_flat(thumbnail(picture))


@settings(max_examples=8)
@given(st.integers(0, 2**32), st.sampled_from([20, 300, 2500]), st.integers(1, 5))
def test_neighbours_are_those_of_comparing_all_with_all(seed: int, count: int, most: int) -> None:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(max(count // 30, 1), 63))
    points = centres[random.integers(len(centres), size=count)] + 0.3 * random.normal(size=(count, 63))
    rows = np.rint(points * (UNIT / np.linalg.norm(points, axis=1, keepdims=True))).astype(np.int16)
    found = InvertedFile(rows).neighbours(rows, most, 0.9)
    exact = rows.astype(np.int64) @ rows.T.astype(np.int64)
    np.fill_diagonal(exact, -1)
    best = np.sort(exact, axis=1)[:, ::-1][:, :most]
    expected = np.count_nonzero(best >= 0.9 * UNIT * UNIT)
    true = exact[found.query, found.row]
    np.testing.assert_allclose(found.similarity, true / UNIT**2, rtol=1e-6)
    assert len(set(zip(found.query.tolist(), found.row.tolist(), strict=True))) == len(found.query)
    if count <= 2048:  # one cell
        assert len(found.query) == expected
    else:
        assert len(found.query) >= 0.97 * expected


def test_descriptors_of_mirrored_pictures_change_the_signs_of_odd_frequencies() -> None:
    thumbs = np.array([thumbnail(texture(seed)) for seed in range(20)])
    rows = np.arange(20)
    for own, mirrored in zip(describe(thumbs, rows), describe(thumbs[:, :, ::-1], rows), strict=True):
        np.testing.assert_allclose(own * MIRROR, mirrored, atol=1)
        np.testing.assert_allclose(np.linalg.norm(own, axis=1), UNIT, rtol=0.003)


def test_tangents_are_orthonormal() -> None:
    grey = np.array([np.asarray(texture(seed).convert("L").resize((16, 16)), np.float32) for seed in range(10)])
    basis = tangents(grey)
    np.testing.assert_allclose(basis @ basis.transpose(0, 2, 1), np.tile(np.eye(5), (10, 1, 1)), atol=1e-4)


@settings(max_examples=20)
@given(
    st.integers(0, 10**6), st.floats(1.0, 1.1), st.floats(-0.04, 0.04), st.floats(-0.04, 0.04), st.floats(0.85, 1.15)
)
def test_registration_finds_the_box_and_the_gain(seed: int, scale: float, x: float, y: float, gain: float) -> None:
    picture = texture(seed, 320, 320).filter(ImageFilter.GaussianBlur(4))
    inside = picture.crop((32, 32, 288, 288))  # the first; the second shows a little more, elsewhere
    centre, half = 160, 128 * scale
    box = (centre + 128 * x - half, centre + 128 * y - half, centre + 128 * x + half, centre + 128 * y + half)
    second = picture.resize((256, 256), Image.Resampling.BICUBIC, box=box).point(lambda v: 0.8 * gain * v + 5)
    first = inside.point(lambda v: 0.8 * v)
    thumbs = [np.asarray(p.resize((32, 32), Image.Resampling.BOX))[None] for p in (first, second)]
    greys = [
        np.asarray(p.convert("L").resize((16, 16), Image.Resampling.BOX), np.float32)[None] for p in (first, second)
    ]
    found = register(greys[0], greys[1], whole(1))
    np.testing.assert_allclose([part[0] for part in found], [scale, x, scale, y], atol=0.02)
    left, seen_gain = residual(thumbs[0], thumbs[1], found)
    assert left[0] < 0.1
    assert abs(seen_gain[0] - gain) < 0.05


edges_of = st.integers(2, 25).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.sets(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda pair: pair[0] < pair[1])),
        st.lists(st.integers(1, 3), min_size=count, max_size=count),
    )
)


@given(edges_of)
def test_groups_do_not_chain(drawn: tuple[int, set[tuple[int, int]], list[int]]) -> None:
    count, edges, ranks = drawn
    parent = representatives(count, near(list(edges)), np.array(ranks))
    assert (parent[parent] == parent).all()
    linked = edges | {(second, first) for first, second in edges}
    for row in range(count):
        assert parent[row] == row or (row, int(parent[row])) in linked
        assert ranks[parent[row]] >= ranks[row]
    lone = [row for row in range(count) if not any(row in edge for edge in edges)]
    assert parent[lone].tolist() == lone
    for first, second in edges:  # of two near-duplicates one at least is in a group with more
        assert (np.count_nonzero(parent == parent[first]) > 1) or (np.count_nonzero(parent == parent[second]) > 1)


def test_a_chain_is_no_group_and_a_star_is_one() -> None:
    ranks = np.ones(5, np.int64)
    chain = representatives(5, near([(0, 1), (1, 2), (2, 3), (3, 4)]), ranks)
    assert len(set(chain.tolist())) == 2
    star = representatives(5, near([(0, 2), (1, 2), (2, 3), (2, 4)]), ranks)
    assert star.tolist() == [2] * 5


def test_copies_of_copies_join_where_they_are_like_the_representative() -> None:
    original = texture(1)
    pictures = [original, *(way(original) for way in COPIES.values()), *(texture(seed) for seed in range(50, 80))]
    asked = search(pictures)
    pairs = asked.pairs()
    ranks = np.ones(len(pictures), np.int64)
    parent = representatives(len(pictures), completed(asked, pairs, ranks), ranks)
    assert len(set(parent[: len(COPIES) + 1].tolist())) == 1
    assert parent[len(COPIES) + 1 :].tolist() == list(range(len(COPIES) + 1, len(pictures)))


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_connected_rows_are_those_that_scipy_connects(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = drawn
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(pairs)), (first, second)), (count, count))
    _, theirs = connected_components(graph, directed=False)
    _, heads = np.unique(theirs, return_index=True)
    assert connected(count, first, second).tolist() == heads[theirs].tolist()


@pytest.mark.parametrize(
    ("members", "others", "is_scene"),
    [(9, 9, True), (9, 200, False), (8, 1, False), (40, 300, True), (4, 0, True), (3, 0, False)],
)
def test_a_scene_is_many_pictures_that_are_alike_and_a_good_part_of_a_class(
    members: int, others: int, is_scene: bool
) -> None:
    labels: NDArray[np.int64] = np.append(np.zeros(members + others, np.int64), np.ones(1000, np.int64))
    seen = scenes(near([(row, row + 1) for row in range(members - 1)]), labels)
    assert [rows.tolist() for rows in seen] == ([list(range(members))] if is_scene else [])


def test_what_is_left_over_in_one_patch_counts_more_than_the_same_all_over() -> None:
    """Another print on a shirt is no encoding."""
    draws = np.random.default_rng(0)
    first = np.repeat(draws.integers(60, 200, (20, 32, 32, 1)), 3, axis=3).astype(np.uint8)
    noise = np.repeat(draws.choice((-4, 4), (20, 32, 32, 1)), 3, axis=3)
    patch = np.zeros((20, 32, 32, 3), np.int64)
    patch[:, 8:12, 16:20] = 32  # 16 of 1024 pixels: the same sum of squares
    plain, _ = plain_residual(first, (first + noise).astype(np.uint8))
    printed, _ = plain_residual(first, (first + patch).astype(np.uint8))
    contrast = first[..., 0].std((1, 2))
    np.testing.assert_allclose(plain, 4 / contrast, rtol=0.05)
    assert (printed > 4 * plain).all()
