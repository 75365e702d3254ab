"""PixelArray in a file of the cache, each block of which is checked when it is first read."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.errors import DamagedError, DamageWarning, DeepenoughError
from deepenough.machine import cores

BLOCK_BYTES = 1 << 20
"""About the bytes of one block: so few that a batch of images far apart reads little more than it needs, so many that
their checksums take no room."""

PixelArray = NDArray[np.uint8]


def images_in_block(shape: tuple[int, ...]) -> int:
    """The number of images (H, W, C) in a block: whole images, at least one."""
    return max(BLOCK_BYTES // int(np.prod(shape)), 1)


def checksums(pixels: PixelArray) -> NDArray[np.uint32]:
    """The CRC-32 of every block of `pixels` uint8 (n, H, W, C)."""
    step = images_in_block(pixels.shape[1:])
    found = [zlib.crc32(pixels[start : start + step].data) for start in range(0, len(pixels), step)]
    return np.array(found, np.uint32)


class CachedPixels:
    """A read-only memory map uint8 (n, H, W, C): indexing it gives arrays whose blocks were checked.

    A block is checked when this process first reads it. One that is damaged is decoded again from the images, written
    back and checked again, so that a training goes on with the same pixels.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self, file: Path, shape: tuple[int, ...], sums: NDArray[np.uint32], decode: Callable[[slice], PixelArray]
    ) -> None:
        """Open the pixels.

        Args:
            file: a .npy file, of which the last bytes are the pixels.
            shape: (n, H, W, C).
            sums: uint32 (blocks,), as `checksums` gives them.
            decode: gives the pixels of a range of the images from their source.
        """
        self.file, self.shape, self._sums, self._decode = file, shape, sums, decode
        self._offset = file.stat().st_size - int(np.prod(shape))
        self._map: PixelArray = np.asarray(np.memmap(file, np.uint8, "r", self._offset, shape))
        self._step = images_in_block(shape[1:])
        self._block = np.arange(shape[0]) // self._step
        self._checked = np.zeros(len(sums), bool)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> PixelArray:
        blocks = self._block[index[0] if isinstance(index, tuple) else index]
        new = np.unique(blocks[~self._checked[blocks]])
        if len(new):
            self._check(new.tolist())
        found: PixelArray = self._map[index]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> PixelArray:
        return np.array(self[:], dtype, copy=True) if copy else np.asarray(self[:], dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        """As a plain array, checked once and for all, for other processes that may not have the cache."""
        return np.asarray, (self[:],)

    def _check(self, blocks: list[int]) -> None:
        with ThreadPoolExecutor(min(cores(), len(blocks), 16)) as pool:  # which zlib leaves the interpreter to
            whole = list(pool.map(self._is_whole, blocks))
        for block, good in zip(blocks, whole, strict=True):
            if not good:
                self._mend(block)
            self._checked[block] = True

    def _rows(self, block: int) -> slice:
        return slice(block * self._step, min((block + 1) * self._step, len(self)))

    def _is_whole(self, block: int) -> bool:
        return zlib.crc32(self._map[self._rows(block)].data) == int(self._sums[block])

    def _mend(self, block: int) -> None:
        """Decode a damaged block again; where that can't be, have the next command make the whole cache anew."""
        rows = self._rows(block)
        try:
            pixels = np.ascontiguousarray(self._decode(rows))
            if zlib.crc32(pixels.data) != int(self._sums[block]):
                raise DamagedError("the images are decoded to other pixels now")
            with self.file.open("r+b") as file:
                file.seek(self._offset + rows.start * pixels[0].nbytes)
                file.write(pixels.tobytes())
                file.flush()
                os.fsync(file.fileno())
            if not self._is_whole(block):
                raise DamagedError("the disk does not keep what is written")
        except (OSError, DeepenoughError) as error:
            raise DeepenoughError(f"{self.file}: {self._abandoned(str(error))}") from None
        warnings.warn(
            f"{self.file}: damaged; its images {rows.start:,} to {rows.stop - 1:,} were decoded again",
            DamageWarning,
            stacklevel=4,
        )

    def _abandoned(self, why: str) -> str:
        """Give the cache's entry up, and say what becomes of it."""
        try:
            (self.file.parent / "meta.json").unlink(missing_ok=True)
        except OSError:
            then = f"remove {self.file.parent}, or name another folder in DEEPENOUGH_CACHE, and start again"
        else:
            then = "start again, and it is made anew"
        return f"the cache is damaged and can't be mended ({why}); {then} (`deepenough fit --resume RUN` in a run)"
