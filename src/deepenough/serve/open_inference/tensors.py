"""Tensors of the protocol, from bytes and to bytes. Nothing is made that is larger than what came.

Multi-byte numbers are little-endian, and the last axis varies fastest.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.serve.open_inference.messages import InputTensor
from deepenough.serve.refusals import RefusedError

INPUT = "images"
"""The only input: images of the model's size, UINT8 (N, H, W, C), or files of images of any size, BYTES (N,)."""
_LENGTH = 4  # bytes that give the length of an element of BYTES


def bad(detail: str) -> RefusedError:
    """The refusal of a request that is not as the protocol has it."""
    return RefusedError(400, "bad-request", detail)


def split_binary(inputs: Sequence[InputTensor], content: memoryview) -> list[memoryview | None]:
    """The bytes of each input, of those that follow the JSON; None where its data is in the JSON."""
    found: list[memoryview | None] = []
    start = 0
    for each in inputs:
        size = each.parameters.binary_data_size
        if (size is None) is (each.data is None):
            raise bad(f"input {each.name!r} needs either data or the parameter binary_data_size")
        if size is None:
            found.append(None)
            continue
        if size > len(content) - start:
            raise bad(f"input {each.name!r}: binary_data_size is {size}, and {len(content) - start} bytes are left")
        found.append(content[start : start + size])
        start += size
    if start != len(content):
        raise bad(f"{len(content) - start} bytes follow the inputs; the binary_data_size of these say where they end")
    return found


def read_input(
    tensor: InputTensor, binary: memoryview | None, shape: tuple[int, int, int], most: int
) -> NDArray[np.uint8] | list[bytes]:
    """The images of the input: pixels uint8 (N, H, W, C), or the bytes of N files.

    Args:
        tensor: the input.
        binary: its data where it is not in the JSON.
        shape: (H, W, C) of an image as the model takes it.
        most: N at most.

    Raises RefusedError.
    """
    count = tensor.shape[0] if tensor.shape else 0
    if not 1 <= count <= most:
        code, status = ("too-many-files", 413) if count else ("no-image", 400)
        raise RefusedError(status, code, f"the first axis of {INPUT!r} counts the images: 1 to {most}, not {count}")
    if tensor.datatype == "BYTES":
        if tensor.shape != [count]:
            raise bad(f"BYTES of {INPUT!r} have the shape [N], a file of an image each, not {tensor.shape}")
        return _files_in_json(tensor.data or [], count) if binary is None else _files(binary, count)
    if tensor.datatype != "UINT8":
        raise bad(f"{INPUT!r} is UINT8 or BYTES, not {tensor.datatype[:20]!r}")
    if tensor.shape != [count, *shape]:
        raise bad(f"{INPUT!r} is UINT8 of the shape {[-1, *shape]}, not {tensor.shape}; files of any size go as BYTES")
    content = _pixels_in_json(tensor.data or [], tensor.shape) if binary is None else binary
    if len(content) != (expected := math.prod(tensor.shape)):
        raise bad(f"{INPUT!r} of the shape {tensor.shape} has {expected} values, not {len(content)}")
    return np.frombuffer(content, np.uint8).reshape(tensor.shape)


def _files(content: memoryview, count: int) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    for number in range(count):
        size = int.from_bytes(content[at : at + _LENGTH], "little")
        left = len(content) - at - _LENGTH
        if left < 0 or size > left:
            raise bad(f"element {number} of {INPUT!r} is {size} bytes long, and {max(left, 0)} are left")
        at += _LENGTH
        found.append(bytes(content[at : at + size]))
        at += size
    if at != len(content):
        raise bad(f"{len(content) - at} bytes follow the {count} elements of {INPUT!r}")
    return found


def _files_in_json(data: Sequence[Any], count: int) -> list[bytes]:
    if len(data) != count or not all(isinstance(each, str) for each in data):
        raise bad(f"BYTES of {INPUT!r} in JSON are {count} strings, the files in base64")
    try:
        return [base64.b64decode(each, validate=True) for each in data]
    except (binascii.Error, ValueError):
        raise bad(
            f"BYTES of {INPUT!r} in JSON are files in base64; to send them as they are, use binary data"
        ) from None


def _pixels_in_json(data: Sequence[Any], shape: Sequence[int]) -> bytes:
    """Numbers in one list, or in lists as deep as the shape."""
    values: Sequence[Any] = data
    if values and isinstance(values[0], list):
        for size in shape[1:]:
            if not all(isinstance(each, list) and len(each) == size for each in values):
                raise bad(f"the lists of {INPUT!r} are not of the shape {list(shape)}")
            values = list(chain.from_iterable(values))
    try:
        return bytes(values)
    except (TypeError, ValueError):
        raise bad(f"UINT8 of {INPUT!r} are whole numbers from 0 to 255") from None


def bytes_tensor(texts: Sequence[str]) -> bytes:
    """Texts as BYTES, in UTF-8."""
    encoded = [text.encode() for text in texts]
    return b"".join(len(each).to_bytes(_LENGTH, "little") + each for each in encoded)
