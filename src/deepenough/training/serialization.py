"""Tensors and arrays as bytes, and files that are checked when they are read."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from deepenough.errors import DamagedError
from deepenough.files import CHECKSUM, digest_of

BLANK = b"0" * 64  # in the place of a checksum, while it is computed


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


def pack_checked(tensors: dict[str, torch.Tensor]) -> bytes:
    """Tensors as the bytes of a safetensors file, whose header has the SHA-256 of the file, with zeros in its place."""
    content = pack(tensors, {CHECKSUM: BLANK.decode()})
    return content.replace(BLANK, digest_of(content).encode(), 1)


def unpack_checked(path: Path, content: bytes) -> dict[str, torch.Tensor]:
    """The tensors that `pack_checked` packed; a file without a checksum, as of earlier versions, is taken as it is."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        metadata = header.get("__metadata__", {})
        digest = metadata.get(CHECKSUM)
        # Where only the name is damaged, the value still is the checksum: such a file is none of an earlier version.
        renamed = digest is None and any(
            _is_digest(content.replace(name.encode(), CHECKSUM.encode(), 1), value) for name, value in metadata.items()
        )
    except (ValueError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{path}: not a whole safetensors file ({error})") from None
    if renamed or (digest is not None and not _is_digest(content, digest)):
        raise DamagedError(f"{path}: its SHA-256 is not the one recorded when it was written; the file is damaged")
    return unpack(path, content)


def _is_digest(content: bytes, digest: object) -> bool:
    """Tell if this is the SHA-256 of a file that has zeros in its place."""
    return digest_of(content.replace(str(digest).encode(), BLANK, 1)) == digest


def array_bytes(array: npt.NDArray[np.float32]) -> bytes:
    """An array as the bytes of a .npy file."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def read_array(content: bytes) -> npt.NDArray[np.float32]:
    """The array of a .npy file's bytes."""
    found: npt.NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
    return found
