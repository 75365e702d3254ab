"""Tensors and arrays as bytes, and files that are checked when they are read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from deepenough.errors import DeepenoughError
from deepenough.files import digest_of


class DamagedError(DeepenoughError):
    """A file that is not what was written."""


def read_checked(path: Path, digest: str) -> bytes:
    """The file's bytes, whose SHA-256 has to begin with `digest`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedError(f"{path}: {error.strerror}") from None
    if not digest or not digest_of(content).startswith(digest):
        raise DamagedError(f"{path}: its SHA-256 is not the one recorded when it was written; the file is damaged")
    return content


def pack(tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """Tensors as the bytes of a safetensors file."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(plain, metadata)


def unpack(path: Path, content: bytes) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file."""
    try:
        return load(content)
    except (SafetensorError, ValueError) as error:
        raise DamagedError(f"{path}: not a whole safetensors file ({error})") from None


def array_bytes(array: npt.NDArray[np.float32]) -> bytes:
    """An array as the bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def read_array(content: bytes) -> npt.NDArray[np.float32]:
    """The array of a .npy file's bytes."""
    found: npt.NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
    return found
