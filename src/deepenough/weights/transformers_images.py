"""The images of a network of transformers, by its `preprocessor_config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.nets.network import Network
from deepenough.preprocessing import Preprocessing
from deepenough.weights.families.family import TransformersKind

FILTERS = {2: "bilinear", 3: "bicubic"}
"""Interpolations by Pillow's numbers, as `resample` has them."""

WARPED_FROM = 384
"""Images of this side and more are not cropped, where smaller ones of the kind are."""


def images_of(
    kind: TransformersKind, processor: Mapping[str, Any], file: Path, network: Network
) -> tuple[Preprocessing | None, tuple[str, ...]]:
    """The images, and lines on what is otherwise here; None where there is no `processor`, which is read from `file`.

    Pictures that transformers squeezes into a square of `size` are scaled until they cover it here, and their centre is
    cut out.
    """
    if not processor:
        return None, ()
    try:
        return _images_of(kind, processor, network)
    except LookupError as error:
        raise DeepenoughError(f"{file} lacks {error}; mend it, or move it away") from None
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise DeepenoughError(f"{file} can't be read ({error}); mend it, or move it away") from None


def _images_of(
    kind: TransformersKind, processor: Mapping[str, Any], network: Network
) -> tuple[Preprocessing, tuple[str, ...]]:
    given = processor.get("resample", 3 if kind.crops else 2)
    interpolation = FILTERS.get(given, "bicubic")
    notes = [] if given in FILTERS else [f"its images are scaled by Pillow's filter {given!r:.20}; here it is bicubic"]
    size, shorter, squeezed = _framing(processor, network, crops=kind.crops)
    if squeezed:
        notes.append("its pictures are squeezed into a square there; here their centre is cut out")
    channels = network.input[0]
    mean, std = [0.0] * channels, [1.0] * channels
    if processor.get("do_normalize", True):
        mean, std = (
            [float(each) for each in (value if isinstance(value, list) else [value] * channels)]
            for value in (processor[key] for key in ("image_mean", "image_std"))
        )
    factor = 1.0
    if processor.get("do_rescale", True):
        factor = float(processor.get("rescale_factor", 1 / 255))
    scale = 1.0 if abs(255 * factor - 1) < 1e-6 else 255 * factor  # ours divides by 255 first
    wanted = Preprocessing(
        size,
        shorter,
        interpolation,
        mean=tuple(each / scale for each in mean),
        std=tuple(each / scale for each in std),
    )
    return wanted, tuple(notes)


def _framing(
    processor: Mapping[str, Any], network: Network, *, crops: bool
) -> tuple[tuple[int, int], int | None, bool]:
    """Size of the images, their shorter side before the crop, and whether pictures are squeezed into a square."""
    if not processor.get("do_resize", True):
        return (network.input[1], network.input[2]), None, False
    size = processor.get("size", network.input[1])
    if crops and (isinstance(size, int) or "shortest_edge" in size) and not processor.get("do_center_crop"):
        side = _whole(size if isinstance(size, int) else size["shortest_edge"])
        if side >= WARPED_FROM:
            return (side, side), None, True
        return (side, side), _whole(int(side / float(processor.get("crop_pct", 224 / 256)))), False
    shortest = isinstance(size, dict) and "shortest_edge" in size
    before = _sides(size)
    if processor.get("do_center_crop"):
        crop = _sides(processor.get("crop_size", network.input[1]))
        return crop, max(min(before), min(crop)), not shortest
    return before, None, not shortest


def _sides(size: Any) -> tuple[int, int]:
    """Height and width of a size, which is a number, or says them by name."""
    if isinstance(size, dict):
        if "shortest_edge" in size:
            return (_whole(size["shortest_edge"]),) * 2
        return _whole(size["height"]), _whole(size["width"])
    return (_whole(size),) * 2


def _whole(side: Any) -> int:
    if type(side) is not int or not 0 < side < 10_000:
        raise ValueError(f"size {side!r:.60}")
    return side
