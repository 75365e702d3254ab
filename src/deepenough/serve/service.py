"""The model behind the routes. Pictures are decoded in threads, and the networks run in one thread of their own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from deepenough.attribution import METHODS
from deepenough.data.decode import framed
from deepenough.data.finding import ImageError
from deepenough.model import Model
from deepenough.nets import depth, parameters
from deepenough.record import Record
from deepenough.serve.answers import About, ServedArchitecture
from deepenough.serve.batcher import Batcher
from deepenough.serve.decoding import HEAVY, DecodingProcesses, Heavy, Pixels, decode, decode_light, shrink
from deepenough.serve.depths import Sibling, open_run
from deepenough.serve.explanations import warm_up
from deepenough.serve.limits import Limits, Upload, errors_named_by
from deepenough.serve.metrics import ServiceMetrics
from deepenough.serve.refusals import RefusedError

STUCK = 60.0  # seconds without a sign of life from a model that has something to do

_Result = TypeVar("_Result")


class Service:
    """The model of a run with its siblings, and the threads that decode and compute."""

    def __init__(self, run: Path, limits: Limits, device: str, engine: str, metrics: ServiceMetrics) -> None:
        self.limits = limits
        self.batcher: Batcher[bytes | Pixels, Any] = Batcher(
            self.classify, limits.waiting, metrics.batch.observe, limits.heavy, limits.admission
        )
        self.answering: asyncio.Task[None] | None = None
        # OpenMP's workers are awake for one thread only: if another had computed before, an image would take 2.5 times
        # as long. So the thread that will use the model loads it.
        self.model: Model
        self.record: Record | None
        self.siblings: list[Sibling]
        opening = self.batcher.thread.submit(open_run, run, device, engine)
        try:
            self.model, self.record, self.siblings = opening.result()
            self.batcher.thread.submit(self._first_pass).result()
        except BaseException:
            self.batcher.close()
            raise
        self.decoding = ThreadPoolExecutor(os.cpu_count(), "decode")
        self.processes = DecodingProcesses(self.model.preprocess, limits)
        warm_up()

    def _first_pass(self) -> None:
        """Run the network once: much is only made ready then."""
        self.model.probabilities(np.zeros((1, *self.pixel_shape), np.uint8))

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """The shape of a picture as the network takes it: (H, W, C)."""
        channels, height, width = self.model.preprocess.shape
        return height, width, channels

    def classify(self, pictures: Sequence[bytes | Pixels]) -> list[Any]:
        """Probabilities (classes,) of each picture, the error of one that can't be used, or `HEAVY`.

        Bytes are decoded here where that is little work; what else it is comes back as it was decoded elsewhere.
        """
        several = len(pictures) > 1
        found: list[Any] = list((self.decoding.map if several else map)(self._pixels, pictures))
        readable = [number for number, pixels in enumerate(found) if isinstance(pixels, np.ndarray)]
        if readable:
            rows = self.model.probabilities(np.stack([found[number] for number in readable]))
            for number, row in zip(readable, rows, strict=True):
                found[number] = row
        return found

    def _pixels(self, picture: bytes | Pixels) -> Pixels | Heavy | Exception:
        if isinstance(picture, np.ndarray):
            return picture
        try:
            return self._decode_light(picture)
        except (RefusedError, ImageError) as error:
            return error

    def _decode_light(self, content: bytes) -> Pixels | Heavy:
        return decode_light(content, self.model.preprocess, self.limits)

    async def classified(self, content: bytes, turns: asyncio.Semaphore) -> Any:
        """Probabilities (classes,) of a picture; `turns` are its request's. Raises RefusedError or ImageError."""
        found = await self.batcher.ask(content)
        if found is not HEAVY:
            return found
        async with turns:
            pixels = await self.processes.run(decode, content)
        return await self.batcher.ask(pixels)

    async def decoded(self, content: bytes) -> Pixels:
        """The pixels of a picture. Raises RefusedError or ImageError."""
        found = await self.in_thread(self._decode_light, content)
        return await self.processes.run(decode, content) if isinstance(found, Heavy) else found

    async def viewable(self, content: bytes) -> tuple[bytes | Pixels, Pixels]:
        """The picture to be looked at, with its pixels as the network takes them: its bytes, or what it is when shrunk,
        where it is more work than little."""
        found = await self.in_thread(self._decode_light, content)
        if not isinstance(found, Heavy):
            return content, found
        shrunk = await self.processes.run(shrink, content)
        return shrunk, framed(shrunk, self.model.preprocess)

    async def in_thread(self, work: Callable[..., _Result], *given: Any) -> _Result:
        """Run work that needs no model in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self.decoding, work, *given)

    async def compute(self, pixels: Pixels, work: Callable[..., _Result]) -> _Result:
        """Run heavier work on pixels in the model's thread, when it is its turn."""
        return await self.batcher.alone(partial(work, pixels), self.limits.patience, self.limits.computing)

    def trouble(self) -> str | None:
        """The reason that nothing is answered any more; None where all is well."""
        if self.answering is None or self.answering.done():
            return "predictions are no longer answered"
        seconds = self.batcher.stalled()
        return f"the model has not responded for {seconds:.0f} s" if seconds > STUCK else None

    async def rows(self, images: NDArray[np.uint8] | Sequence[bytes]) -> list[Any]:
        """Probabilities (classes,) of each image of one request: pixels (N, H, W, C), or the bytes of files."""
        if isinstance(images, np.ndarray):
            return await self._all(self.batcher.ask(pixels) for pixels in images)
        turns = asyncio.Semaphore(self.limits.decodings_each)
        files = [Upload(f"element {number}", content) for number, content in enumerate(images)]
        return await self._all(self._named(file, turns) for file in files)

    async def _named(self, file: Upload, turns: asyncio.Semaphore) -> Any:
        with errors_named_by(file):
            return await self.classified(file.content, turns)

    async def _all(self, work: Iterable[Awaitable[_Result]]) -> list[_Result]:
        """Results in order. Raises the first error, once all ended."""
        found = await asyncio.gather(*work, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException):
                raise each
        return [each for each in found if not isinstance(each, BaseException)]

    async def answers(self, files: Sequence[Upload], top: int) -> list[dict[str, Any]]:
        """Classify the files of one request; the fields of an `Answer` each. Raises the first error, once all ended."""
        turns = asyncio.Semaphore(self.limits.decodings_each)
        return await self._all(self.answer(file, top, turns) for file in files)

    async def answer(self, file: Upload, top: int, turns: asyncio.Semaphore) -> dict[str, Any]:
        """Classify one file; the fields of `Answer`."""
        best = self.model.rank(await self._named(file, turns), top)
        return {"name": file.name, "label": best.label, "classes": best.classes, "probabilities": best.probabilities}

    def about(self) -> About:
        """Describe the model."""
        test = self.record.test.top1 if self.record and self.record.test else None
        return About(
            network=self.model.network.name,
            depth=depth(self.model.network),
            parameters=parameters(self.model.network),
            input=list(self.model.preprocess.shape),
            classes=list(self.model.classes),
            test=test.value if test else None,
            low=test.low if test else None,
            high=test.high if test else None,
            folds=self.record.decision_images.folds if self.record else 0,
            engine=self.model.engine.title,
            architectures=[ServedArchitecture.model_validate(sibling) for sibling in self.siblings],
            methods=list(METHODS),
            limits={"upload": self.limits.upload, "files": self.limits.files, "pixels": self.limits.pixels},
        )

    def start(self) -> None:
        """Answer questions from now on, in the running event loop."""
        self.answering = asyncio.create_task(self.batcher.run())

    async def stop(self) -> None:
        """Answer no more, and end threads and processes."""
        if self.answering is not None:
            self.answering.cancel()
            with suppress(asyncio.CancelledError):
                await self.answering
        self.decoding.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self.processes.close()
        self.batcher.close()
