"""Augmentation against NumPy, SciPy and Pillow, and the promises that training relies on."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.ndimage import affine_transform
from scipy.special import betaincinv

from deepenough.data.augment import STREAMS, STRENGTHS, Augment, apply, asked
from deepenough.data.colour import colour_matrices
from deepenough.data.geometry import matrices, resample
from deepenough.data.mixing import box, erase, mix, share
from deepenough.data.rng import uniform
from deepenough.errors import DeepenoughError

SIZES = st.tuples(st.integers(2, 6), st.integers(1, 5), st.integers(8, 33), st.integers(8, 33))


def batch(shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape, np.float32))


def one_hot(count, classes=4):
    return torch.eye(classes)[torch.arange(count) % classes]


def drawn(count=1, **numbers):
    """Numbers in the middle, which change nothing, but for those given."""
    values = {name: torch.full((count,), 0.5) for name in (*STREAMS, "mixup_share", "cutmix_share")}
    return values | {name: torch.full((count,), float(value)) for name, value in numbers.items()}


def run(policy, images, index=None, **kinds):
    index = np.arange(len(images)) if index is None else index
    return apply(policy, images, one_hot(len(images)), seed=1, epoch=2, index=index, **kinds)


@settings(max_examples=40)
@given(SIZES, st.sampled_from(sorted(STRENGTHS)), st.booleans())
def test_range_shape_and_targets_hold(shape, name, channels_last):
    images = batch(shape)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    out, targets = run(Augment.named(name, mirror=True), images)
    assert out.shape == images.shape
    assert out.isfinite().all()
    assert out.min() >= -1e-6
    assert out.max() <= 1 + 1e-6
    assert torch.allclose(targets.sum(dim=1), torch.ones(len(images)))


@settings(max_examples=20)
@given(SIZES, st.permutations(range(6)))
def test_an_image_is_changed_alike_in_every_batch(shape, order):
    policy = replace(STRENGTHS["strong"], mixup=0, cutmix=0)
    images = batch((6, *shape[1:]))
    index = np.arange(100, 106)
    whole, _ = run(policy, images, index)
    shuffled, _ = run(policy, images[list(order)], index[list(order)])
    assert torch.allclose(shuffled, whole[list(order)], atol=1e-5)  # vector lanes round differently
    alone, _ = run(policy, images[2:3], index[2:3])
    assert torch.allclose(alone[0], whole[2], atol=1e-5)


def test_nothing_asked_changes_nothing():
    images = batch((3, 3, 9, 11))
    out, targets = run(Augment(), images)
    assert out is images
    assert torch.equal(targets, one_hot(3))


def test_other_epochs_and_seeds_change_otherwise():
    images = batch((4, 3, 16, 16))
    first = apply(STRENGTHS["standard"], images, one_hot(4), seed=0, epoch=0, index=np.arange(4))[0]
    for seed, epoch in ((1, 0), (0, 1)):
        other = apply(STRENGTHS["standard"], images, one_hot(4), seed=seed, epoch=epoch, index=np.arange(4))[0]
        assert not torch.allclose(first, other, atol=1e-3)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 14), (28, 28)])
def test_flips_and_shifts_are_exact(height, width):
    images = batch((1, 2, height, width))
    flip = Augment(flip=True, vertical_flip=True)
    both = resample(images, matrices(flip, drawn(flip=0.1, vertical_flip=0.1), height, width))
    assert torch.allclose(both, images.flip(2, 3), atol=1e-5)
    unmoved = resample(images, matrices(flip, drawn(flip=0.9, vertical_flip=0.9), height, width))
    assert torch.allclose(unmoved, images, atol=1e-5)
    pixels = 2
    numbers = drawn(shift_x=1.0)
    moved = resample(images, matrices(Augment(shift=pixels / width), numbers, height, width))
    expected = np.pad(images.numpy(), ((0, 0), (0, 0), (0, 0), (0, pixels)), "symmetric")[..., pixels:]
    assert np.allclose(moved.numpy(), expected, atol=1e-5)


def test_shifts_alone_blur_nothing():
    board = torch.from_numpy(np.indices((28, 28)).sum(axis=0) % 2).float().expand(20, 1, 28, 28).contiguous()
    out, _ = run(Augment(shift=0.1), board)
    assert out.std() == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(("degrees", "zoom"), [(25, 1.0), (-40, 1.0), (0, 1.3), (15, 0.8)])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (24, 40)])
def test_rotation_and_zoom_are_scipys(degrees, zoom, height, width):
    smooth = np.random.default_rng(0).random((height, width))
    for _ in range(4):
        smooth = (smooth + np.roll(smooth, 1, 0) + np.roll(smooth, 1, 1)) / 3
    images = torch.from_numpy(smooth[None, None].astype(np.float32))
    policy = Augment(rotation=90, zoom=0.5)
    numbers = drawn(rotation=0.5 + degrees / 180, zoom=0.5 + math.log(zoom) / math.log(1.5) / 2)
    out = resample(images, matrices(policy, numbers, height, width))[0, 0].numpy()
    # Output pixel (y, x) comes from a turn and a zoom about the centre, in square pixels.
    turn = math.radians(degrees)
    matrix = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]) / zoom
    centre = (np.array([height, width]) - 1) / 2
    expected = affine_transform(smooth, matrix, centre - matrix @ centre, order=1, mode="reflect")
    inner = (slice(height // 3, -height // 3), slice(width // 3, -width // 3))
    assert np.abs(out[inner] - expected[inner]).max() < 2e-3


def test_a_crop_keeps_inside_the_picture():
    ramp = torch.linspace(0, 1, 40).expand(1, 1, 40, 40).contiguous()
    numbers = drawn(crop_area=1.0, crop_ratio=0.5, crop_x=0.0)
    out = resample(ramp, matrices(Augment(crop=0.25), numbers, 40, 40))
    assert out.max() == pytest.approx(0.5, abs=0.02)  # the left half, enlarged
    assert out.min() == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize(
    ("enhancer", "place"), [(ImageEnhance.Brightness, 0), (ImageEnhance.Contrast, 1), (ImageEnhance.Color, 2)]
)
@pytest.mark.parametrize("factor", [0.6, 1.0, 1.35])
def test_colours_are_pillows(enhancer, place, factor):
    pixels = (np.random.default_rng(0).random((20, 24, 3)) * 200).astype(np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    factors = [torch.ones(1) for _ in range(3)]
    factors[place] = torch.full((1,), factor)
    matrix, offset = colour_matrices(images, *factors)
    out = torch.baddbmm(offset, matrix, images.flatten(2)).view_as(images).clamp(0, 1)
    expected = np.asarray(enhancer(Image.fromarray(pixels)).enhance(factor), np.float32) / 255
    assert np.abs(out[0].permute(1, 2, 0).numpy() - expected).max() < 2 / 255


@settings(max_examples=50)
@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(2, 30), st.integers(2, 30))
def test_boxes_are_whole_and_inside(width, height, x, y, rows, columns):
    images = torch.zeros(1, 1, rows, columns)
    found = box(images, *(torch.tensor([value], dtype=torch.float32) for value in (width, height, x, y)))[0, 0]
    wanted = round(float(np.float32(width)) * columns), round(float(np.float32(height)) * rows)
    assert abs(int(found.any(dim=0).sum()) - wanted[0]) <= 1 or wanted[1] == 0
    assert int(found.sum()) == int(found.any(dim=0).sum()) * int(found.any(dim=1).sum())


def test_erasing_covers_a_rectangle_with_the_mean():
    images = batch((1, 3, 32, 32))
    out = erase(Augment(erase=1.0), images, drawn(erase=0.0, erase_area=0.5))
    changed = (out != images).any(dim=1)[0]
    assert changed.sum() == changed.any(dim=0).sum() * changed.any(dim=1).sum()
    assert float(changed.float().mean()) == pytest.approx(0.135, abs=0.02)
    colour = images.mean(dim=(2, 3))[0]
    assert torch.allclose(out[0, :, changed], colour[:, None].expand(-1, int(changed.sum())))
    assert torch.equal(erase(Augment(erase=0.2), images, drawn(erase=0.5)), images)


def test_mixup_blends_neighbours_by_their_share():
    images, targets = batch((4, 1, 8, 8)), one_hot(4)
    own = float(share(0.4, np.array([0.3], np.float32))[0])
    assert 0 < own < 0.5
    out, mixed = mix(Augment(mixup=0.4), images, targets, drawn(4, mixup_share=own))
    assert torch.allclose(out, own * images + (1 - own) * images.roll(1, 0), atol=1e-6)
    assert torch.allclose(mixed, own * targets + (1 - own) * targets.roll(1, 0), atol=1e-6)


def test_cutmix_counts_its_share_in_pixels():
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 17, 23) / 4
    numbers = drawn(4, mixup_share=1.0, cutmix_share=0.4, cut_x=0.2)
    out, mixed = mix(Augment(cutmix=1.0), images.contiguous(), torch.eye(4), numbers)
    for row in range(4):
        own = float((out[row] == images[row]).float().mean())
        assert 0 < own < 1
        assert mixed[row, row] == pytest.approx(own, abs=1e-6)
        assert mixed[row, row - 1] == pytest.approx(1 - own, abs=1e-6)


def test_shares_have_the_beta_distribution():
    numbers = share(0.4, np.linspace(0.0005, 0.9995, 1000, dtype=np.float32))
    assert float(numbers.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(numbers.var()) == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.01)
    assert (share(0.0, numbers) == 1).all()


def test_every_image_is_mixed_by_the_share_it_drew():
    images, index = batch((8, 1, 8, 8)), np.arange(30, 38)
    number = uniform(1, 2, index, STREAMS["mix_share"]).astype(np.float32)
    own = torch.from_numpy(betaincinv(0.4, 0.4, number.astype(np.float64)).astype(np.float32))[:, None, None, None]
    out, _ = run(Augment(mixup=0.4), images, index)
    assert torch.equal(out, torch.lerp(images.roll(1, 0), images, own))


@pytest.mark.parametrize("more", [{}, {"mixup": 0.0}, {"cutmix": 0.0}])
@pytest.mark.parametrize("name", sorted(STRENGTHS))
def test_nothing_is_fetched_back_from_the_device(name, more):
    """On torch's device that has no numbers, which refuses whatever would wait for a GPU."""
    policy = replace(STRENGTHS[name], **{"mixup": 0.2, "cutmix": 1.0, **more})
    nowhere = [tensor.to("meta") for tensor in (batch((4, 3, 12, 12)), one_hot(4))]
    out, targets = apply(policy, *nowhere, seed=1, epoch=2, index=np.arange(4))
    assert (out.device.type, out.shape, targets.shape) == ("meta", (4, 3, 12, 12), (4, 4))


def test_mirrors_only_where_sensible():
    assert Augment.named("standard", mirror=True).flip
    assert not Augment.named("standard", mirror=False).flip


@pytest.mark.parametrize(
    ("given_", "message"),
    [({"rotation": 181}, "--rotation 181: expected 0 to 180"), ({"crop": 0}, "--crop 0: expected 0.01 to 1"),
     ({"mixup": -1}, "--mixup -1: expected at least 0"), ({"vertical_flip": 2}, "--vertical-flip 2")],
)  # fmt: skip
def test_limits_name_the_option(given_, message):
    with pytest.raises(DeepenoughError, match=message):
        Augment(**given_)


def test_misspelt_strengths_have_near_matches():
    with pytest.raises(DeepenoughError, match="nearest is standard"):
        Augment.named("standart", mirror=True)


def test_choices_keep_their_streams() -> None:
    """Else old runs could not be gone on with: these numbers are for good, and new choices come after them."""
    numbers = {"rotation": 0, "flip": 8, "saturation": 12, "erase_y": 17, "mix_kind": 18, "cut_y": 21}
    assert {name: STREAMS[name] for name in numbers} == numbers
    assert sorted(STREAMS.values()) == list(range(len(STREAMS))), "a number is used twice, or was left out"
    assert set(asked(STRENGTHS["strong"])) == set(STREAMS)
    assert asked(Augment(flip=True)) == ("flip",)
