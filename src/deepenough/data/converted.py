"""Images for a model that is there already, whatever colours and bits they come in."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.data.decode import upright
from deepenough.data.finding import ImageError
from deepenough.data.images import Images, prepare
from deepenough.data.sixteen_bits import FULL_RANGE
from deepenough.data.sources.base import Raw, Source, stamp_of
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter


class ConvertedSource(Source):
    """The images of a source in the colours that a model takes, grey or RGB."""

    def __init__(self, source: Source, preprocess: Preprocessing) -> None:
        self.source, self.side, self.levels = source, preprocess.reading_side, preprocess.levels
        self.mode = "L" if preprocess.channels == 1 else "RGB"
        self.name, self.classes, self.names = source.name, source.classes, source.names
        self.labels, self.splits, self.findings = source.labels, source.splits, source.findings
        self.sequential, self.blocks = source.sequential, source.blocks
        self.stamp = stamp_of([source.stamp, self.mode, self.side, self.levels])

    def read(self, row: int) -> Raw:
        return self.converted(self.source.read(row))

    def read_many(self, rows: npt.NDArray[np.int64], pool: ThreadPoolExecutor) -> Iterable[Raw]:
        return pool.map(self.converted, self.source.read_many(rows, pool))

    def converted(self, raw: Raw) -> Raw:
        """Upright pixels; bytes that can't be decoded stay as they are, for the audit to report."""
        try:
            return np.asarray(upright(raw, self.side, self.levels).convert(self.mode))
        except ImageError:
            return raw


def prepare_for_model(source: Source, preprocess: Preprocessing, reporter: Reporter, **reading: Any) -> Images:
    """Prepare the images of a source as a model takes them; `reading` are more arguments of `prepare`."""
    framing = replace(preprocess, levels=preprocess.levels or FULL_RANGE)  # not what these images have
    with reporter.task("reading images") as advance:
        images = prepare(source, size=framing, progress=advance, **reading)
        if images.preprocess.channels != preprocess.channels:
            converted = ConvertedSource(source, preprocess)
            images = prepare(converted, size=preprocess, progress=advance, **reading)
    return replace(images, preprocess=preprocess)
