"""Decoding of pictures: what is little work in the threads of the service, all else in processes that can be ended.

A picture of a few kilobytes can ask for seconds of work and gigabytes of memory. Other clients must not wait for it,
and no thread can be ended from outside. So what may take long is decoded by processes with bounds on time and memory.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pebble import CONSTS, ProcessExpired, ProcessPool

from deepenough.data.bounds.jpeg import count_scans
from deepenough.data.decode import framed, upright
from deepenough.data.finding import ImageError
from deepenough.preprocessing import Preprocessing
from deepenough.serve.limits import Header, Limits, check_picture
from deepenough.serve.refusals import FullError

Pixels = NDArray[np.uint8]

LIGHT_FORMATS = frozenset({"BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "WEBP"})
LIGHT_BYTES = 2**20
LIGHT_PIXELS = 1_500_000
LIGHT_SCANNED = 12_000_000
"""Pixels times scans of a JPEG: some tens of milliseconds."""
VIEWED_SIDE = 1_280
"""Longest side, in pixels, of what stands for a picture of more work where it is only looked at."""
ENDING = 0.1
"""Seconds that a process has to end when asked to, before it is killed; it has nothing to lose."""


def is_light(content: bytes, header: Header) -> bool:
    """Tell if a picture takes some tens of milliseconds and megabytes at most."""
    pixels = header.width * header.height
    scans = count_scans(content) if header.kind in ("JPEG", "MPO") else 1
    light = header.kind in LIGHT_FORMATS and not header.mode.startswith(("I", "F"))
    return light and pixels <= LIGHT_PIXELS and pixels * scans <= LIGHT_SCANNED


def decode(content: bytes, preprocess: Preprocessing, limits: Limits) -> Pixels:
    """Decode and preprocess a picture, uint8 (H, W, C). Raises RefusedError or ImageError."""
    check_picture(content, limits)
    return framed(content, preprocess)


def shrink(content: bytes, preprocess: Preprocessing, limits: Limits) -> Pixels:
    """Decode a picture to be looked at, uint8 (H, W) or (H, W, 3), at most `VIEWED_SIDE` pixels a side.

    Raises RefusedError or ImageError.
    """
    check_picture(content, limits)
    picture = upright(content, VIEWED_SIDE, preprocess.levels)
    picture.thumbnail((VIEWED_SIDE, VIEWED_SIDE))
    return np.asarray(picture)


def decode_light(content: bytes, preprocess: Preprocessing, limits: Limits) -> Pixels | Heavy:
    """Decode and preprocess a picture that is little work. Raises RefusedError or ImageError."""
    if len(content) > LIGHT_BYTES or not is_light(content, check_picture(content, limits)):
        return HEAVY
    return framed(content, preprocess)


class Heavy:
    """Stands for a picture that is left to the processes."""


HEAVY = Heavy()


@dataclass
class DecodingProcesses:
    """Processes that decode pictures of more work, started when the first one comes."""

    preprocess: Preprocessing
    limits: Limits
    waiting: int = field(default=0, init=False)
    _scheduled: set[Future[Pixels]] = field(default_factory=set, init=False)

    async def run(self, work: Callable[[bytes, Preprocessing, Limits], Pixels], content: bytes) -> Pixels:
        """Do what `decode` or `shrink` does, with bounds on time and memory; ended where the client hangs up.

        Raises FullError where too many wait, and ImageError (bomb) for what takes too long or too much. Processes can
        be ended from outside, so that what they had is done once again.
        """
        if self.waiting >= self.limits.decodings:
            raise FullError(f"{self.waiting} large pictures are already waiting to be decoded")
        self.waiting += 1
        try:
            try:
                return await self._once(work, content)
            except BrokenProcessPool:
                return await self._once(work, content)
            except ProcessExpired as error:
                if error.exitcode == -signal.SIGKILL:  # as Linux ends what takes the memory of all
                    raise
                return await self._once(work, content)
        except TimeoutError:
            text = f"decoding it took more than {self.limits.decoding:g} s; send it smaller, or as a baseline JPEG"
            raise ImageError("bomb", text) from None
        except (MemoryError, ProcessExpired):
            raise ImageError("bomb", "decoding it takes more memory than a picture gets; send it smaller") from None
        except BrokenProcessPool:
            raise FullError("the processes that decode large pictures were ended twice") from None
        finally:
            self.waiting -= 1

    async def _once(self, work: Callable[[bytes, Preprocessing, Limits], Pixels], content: bytes) -> Pixels:
        """Run work in the pool. Raises BrokenProcessPool where it is broken, and leaves a new one then."""
        pool, given = self._pool, (content, self.preprocess, self.limits)
        try:
            future = pool.schedule(work, args=given, timeout=self.limits.decoding)
        except RuntimeError as error:  # a process of it had ended while it had nothing to do
            self._drop(pool)
            raise BrokenProcessPool from error
        self._scheduled.add(future)
        try:
            return await asyncio.wrap_future(future)
        except BrokenProcessPool:
            self._drop(pool)
            raise
        finally:
            self._scheduled.discard(future)

    def _drop(self, pool: Any) -> None:
        """Forget a broken pool, and tell all who wait for it: the pool tells only those whose work it had begun."""
        if "_pool" not in self.__dict__ or self._pool is not pool:  # another has done so
            return
        del self._pool
        for future in self._scheduled:
            with suppress(InvalidStateError):
                future.set_exception(BrokenProcessPool())
        threading.Thread(target=pool.join, daemon=True).start()  # it waits for processes to end

    @cached_property
    def _pool(self) -> Any:
        CONSTS.term_timeout = ENDING
        context = multiprocessing.get_context("spawn")  # forked, it would have the locks of threads that it has not
        count = max((os.cpu_count() or 2) // 2, 2)  # beside them the model goes on; one picture leaves another a turn
        return ProcessPool(count, context=context, initializer=prepare_process, initargs=(self.limits.memory,))

    def close(self) -> None:
        """End the processes, whatever they do."""
        if "_pool" in self.__dict__:
            self._pool.stop()
            self._pool.join(5)


def prepare_process(memory: int) -> None:
    """Bound the memory of this process, where the system can, and leave signals to the service."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a group of processes gets it as one; the service ends these itself
    with suppress(OSError):
        os.nice(5)  # answers to others come first
    if sys.platform == "linux":
        import resource

        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.getrlimit(resource.RLIMIT_DATA)[1]))
