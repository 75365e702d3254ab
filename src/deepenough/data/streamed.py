"""Pixels that are decoded whenever they are asked for: for image sets that are larger than the cache may be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.cache_writer import threads
from deepenough.data.decode import upright
from deepenough.data.finding import ImageError
from deepenough.data.sources.base import Raw, Source
from deepenough.errors import DeepenoughError
from deepenough.preprocessing import Preprocessing


class Streamed:
    """A stand-in for `pixels` uint8 (n, H, W, C): indexing it decodes those images, on all cores.

    `rows` (n,) are the images' rows in the source. An image that can't be read any more is an error: it was whole when
    the set was looked through.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, source: Source, rows: NDArray[np.int64], framing: Preprocessing, channels: int) -> None:
        self.source, self.rows, self.framing, self.channels = source, rows, framing, channels
        self.shape = (len(rows), *framing.size, channels)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> NDArray[np.uint8]:
        wanted = np.asarray(self.rows[index], np.int64)
        found = np.empty((wanted.size, *self.shape[1:]), np.uint8)
        flat = wanted.ravel()

        def decode(place: int, raw: Raw) -> None:
            try:
                picture = upright(raw, self.framing.reading_side, self.framing.levels)
                found[place] = self.framing.frame(picture, self.channels)
            except ImageError as problem:
                raise self._gone(flat[place], problem) from None

        try:
            list(self._pool.map(decode, range(len(flat)), self.source.read_many(flat, self._pool)))
        except (OSError, ImageError) as error:
            raise DeepenoughError(f"{self.source.name}: an image can't be read any more ({error})") from None
        return found.reshape(*wanted.shape, *self.shape[1:])

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(threads(), "decode")

    def _gone(self, row: int, problem: ImageError) -> DeepenoughError:
        return DeepenoughError(
            f"{self.source.name}: {self.source.names[int(row)]} can't be read any more ({problem}); it has changed "
            "since the images were looked through. Start again"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the threads, which no other process can have."""
        return {key: value for key, value in self.__dict__.items() if key != "_pool"}
