"""Convolutions and pools of a foreign file as ours: square windows, the same padding on all sides or TensorFlow's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deepenough.errors import DeepenoughError
from deepenough.nets.layer import Shape, ShapeError
from deepenough.nets.layers import AvgPool, Conv, Pool

Pads = tuple[tuple[int, int], tuple[int, int]]
"""Pixels around an image: ((above, below), (left, right))."""


class WindowError(DeepenoughError):
    """A window that none of our layers slides; its message is the reason, to be put behind the layer's name."""


def one_side(values: Sequence[int], word: str) -> int:
    """The one number of a side that is given for height and width."""
    if not values or any(value != values[0] for value in values):
        raise WindowError(f"its {word} is {' x '.join(map(str, values))}; only squares are known here")
    return int(values[0])


def no_dilation(values: Sequence[int]) -> None:
    """Refuse a dilation other than 1."""
    if any(value != 1 for value in values):
        raise WindowError(f"its dilation is {' x '.join(map(str, values))}; only 1 is known of a pool")


def same_pads(shape: Shape, kernel: int, stride: int, *, more_at_end: bool = True) -> Pads:
    """TensorFlow's padding of an image (C, H, W) for size / stride values, or with more of it at the start."""
    sides = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in shape[1:]]
    pairs = [(side // 2, side - side // 2) for side in sides]
    height, width = pairs if more_at_end else [pair[::-1] for pair in pairs]
    return height, width


def count(side: int, kernel: int, stride: int, pads: tuple[int, int]) -> int:
    """Count the windows along a padded side."""
    return (side + sum(pads) - kernel) // stride + 1


def conv_layer(shape: Shape, made: Conv, pads: Pads, output: tuple[int, ...] | None = None) -> Conv:
    """The convolution `made` with padding that gives the same windows of an image (C, H, W).

    `output` is the height and width that it gives, by default all windows that fit.
    """
    sides = [count(side, made.extent, made.stride, pad) for side, pad in zip(shape[1:], pads, strict=True)]
    wanted = tuple(sides) if output is None else output
    before = [pad[0] for pad in pads]
    halves = made.extent // 2
    choices = []
    if before[0] == before[1]:
        choices.append(_with(made, None if before[0] == halves else before[0]))
    choices.append(_same(made))
    for choice in choices:
        starts = [pad[0] for pad in choice.pads(shape)]
        try:
            if starts == before and choice.output(shape)[1:] == wanted:
                return choice
        except ShapeError as error:
            raise WindowError(f"it is given {' x '.join(map(str, shape))}; it needs {error}") from None
    (above, below), (left, right) = pads
    raise WindowError(
        f"it pads {above} rows above and {below} below, {left} columns to the left and {right} to the right; "
        "known here are the same number on all sides, and TensorFlow's"
    )


def _with(made: Conv, padding: int | None) -> Conv:
    return replace(made, padding=padding)


def _same(made: Conv) -> Conv:
    return replace(made, padding=None, same=True)


def pool_layer(shape: Shape, made: Pool, pads: Pads, output: tuple[int, ...] | None = None) -> Pool:
    """The pool `made` with padding that gives the same windows of an image (C, H, W) as these pads do.

    What is padded is neutral for a maximum and counted by an average. `output` is the height and width that it gives,
    by default all windows that fit, or with `ceil` those that begin inside.
    """
    kernel, stride, ceil = made.kernel, made.step, made.ceil
    before = {pad[0] for pad in pads}
    if len(before) > 1:
        raise WindowError(f"it pads {pads[0][0]} rows above and {pads[1][0]} columns to the left; one number is known")
    padding = before.pop()
    sides = (count(side, kernel, stride, pad) for side, pad in zip(shape[1:], pads, strict=True))
    wanted = output if output is not None else None if ceil else tuple(sides)
    step = None if stride == kernel else stride
    for rounded in (ceil,) if wanted is None else (False, True):
        try:
            fitted = type(made)(kernel, step, padding, ceil=rounded)
            found = fitted.output(shape)[1:]
        except DeepenoughError as error:
            raise WindowError(str(error)) from None
        if wanted is None or found == wanted:
            _check_average(fitted, shape, pads, found)
            return fitted
    raise WindowError(
        f"it gives maps of {' x '.join(map(str, wanted or ()))} of {' x '.join(map(str, shape[1:]))}, which no pool "
        f"here with a kernel of {kernel} and a stride of {stride} does"
    )


def _check_average(made: Pool, shape: Shape, pads: Pads, found: tuple[int, ...]) -> None:
    """Refuse an average whose windows reach farther beyond the image than our padding, where ours divides by less."""
    if not isinstance(made, AvgPool):
        return
    reach = [
        (number - 1) * made.step + made.kernel - side - made.padding
        for number, side in zip(found, shape[1:], strict=True)
    ]
    if any(beyond > made.padding for beyond in reach) and any(pad[1] > made.padding for pad in pads):
        raise WindowError("its average counts more padding at the end than at the start, which none here does")
