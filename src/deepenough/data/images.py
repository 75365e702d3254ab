"""Images that are ready for training: checked, split, decoded, on disk."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.audit import audit
from deepenough.data.cache import PIXELS, VERSION, Cache, Entry, cache_folder
from deepenough.data.cache_writer import Filled, Progress, fill, new_array, survey
from deepenough.data.cached_pixels import CachedPixels, checksums
from deepenough.data.decode import SMALLEST_SIDE
from deepenough.data.finding import Finding
from deepenough.data.sources.base import Source
from deepenough.data.sources.names import Names
from deepenough.data.split import Index, Split, TooFewImagesError, make_folds, make_split, sample
from deepenough.data.streamed import Streamed
from deepenough.data.unusable import why_too_few
from deepenough.errors import DeepenoughError
from deepenough.preprocessing import Preprocessing

AnyPixels = NDArray[np.uint8] | CachedPixels | Streamed
STREAMED = "-streamed"
_COPIED_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Images:
    """All usable images of a source.

    `pixels` uint8 (N, H, W, C), read-only, checked where they are first read, or `Streamed` where they do not fit into
    the cache; `labels` int64 (N,), rows into `classes`; `names` N strings;
    `groups` int64 (N,), equal for the same picture; `fingerprint` SHA-256 of content, labels and given splits;
    `mirror`: is a mirror image of a class still of that class; `source`: what the user called it. `others` holds the
    pixels of the same images as further networks want them.
    """

    pixels: AnyPixels
    labels: NDArray[np.int64]
    names: Sequence[str]
    groups: NDArray[np.int64]
    classes: tuple[str, ...]
    preprocess: Preprocessing
    split: Split
    fingerprint: str
    findings: tuple[Finding, ...]
    mirror: bool
    source: str
    blocks: NDArray[np.int64] | None = None  # where some are cheap to read together: the number of each one's block
    in_blocks: bool = False  # whether a training reads block by block, as it has to where they are streamed
    others: Mapping[Preprocessing, AnyPixels] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def read_as(self, preprocess: Preprocessing | None) -> Images:
        """The same images for a network that wants them like this; None stands for this way."""
        if preprocess in (None, self.preprocess):
            return self
        everything = {self.preprocess: self.pixels, **self.others}
        return replace(self, preprocess=preprocess, pixels=everything[preprocess], others=everything)

    def alone(self) -> Images:
        """These images for one network only, for processes that each get a copy of the pixels."""
        return replace(self, others={})

    def joined(self, other: Images, source: Source) -> Images:
        """These images, with the pixels of `other` beside their own: the same `source`, read for another network.

        Which images are left out may depend on their size. It is decided by these.
        """
        pixels = other.pixels
        if list(other.names) != list(self.names):
            rows = {name: row for row, name in enumerate(source.names)}
            kept = np.array([rows[name] for name in self.names], np.int64)
            pixels = Streamed(source, kept, other.preprocess, other.preprocess.channels)
        blocks = self.in_blocks or other.in_blocks
        return replace(self, in_blocks=blocks, others={**self.others, other.preprocess: pixels})

    def folds(self, k: int, seed: int) -> list[tuple[Index, Index]]:
        """`k` pairs (train, held out) of int64 rows over training and validation images; stratified, groups whole."""
        rows = np.sort(np.concatenate([self.split.train, self.split.validation]))
        return make_folds(self.labels, self.groups, rows, k, seed)

    def subset(self, limit: int, seed: int) -> Images:
        """At most `limit` images of each split, stratified and seeded, for quick experiments; the pixels are shared."""
        if limit < len(self.classes):
            raise DeepenoughError(f"limit {limit}: give at least {len(self.classes)}, one image for each class")
        parts = (self.split.train, self.split.validation, self.split.test)
        split = Split(*(sample(self.labels, rows, limit, seed) for rows in parts))
        mark = hashlib.sha256(f"{self.fingerprint} limit {limit} seed {seed}".encode())
        return replace(self, split=split, fingerprint=mark.hexdigest())


def prepare(
    source: Source,
    size: int | tuple[int, int] | Preprocessing | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    cache_limit: float | None = None,
    limit: int | None = None,
    leave_out: bool = True,
) -> Images:
    """Check every image, split them, and lay their pixels into the cache; a second call reads the cache only.

    `size`: pixels, a square's side or (H, W), or a `Preprocessing`, of which framing and levels count; by default the
    images' own if they share one of at most 64 x 64, else 64. Levels that are not given are those of the images.
    `seed` decides what is cut for validation and test. `cache`: a folder instead of the user's cache folder.
    `progress` is called with (done, total, what). Images whose pixels would take more than `cache_limit` bytes (by
    default a third of what is free on that disk, at most 20 GiB) are looked through once and decoded anew whenever
    needed. `limit`: at most so many images of each split, as `Images.subset` takes them. `leave_out`: the same picture
    in two splits, or under two labels, is left out where `audit` says so; otherwise it is only named.
    """
    square = (size, size) if isinstance(size, int) else size
    wanted = Preprocessing(square) if isinstance(square, tuple) else square
    if wanted is not None and min(wanted.size) < SMALLEST_SIDE:
        raise DeepenoughError(f"size {min(wanted.size)}: give at least {SMALLEST_SIDE} pixels a side")
    store = Cache(cache_folder(cache))
    kept = "" if leave_out else " all duplicates"
    quick = hashlib.sha256(f"{VERSION} {wanted and wanted.framing} {source.stamp}{kept}".encode()).hexdigest()[:32]
    room = store.room() if cache_limit is None else cache_limit
    found = _find(store, quick, room, wanted)
    if found is None:
        if wanted is not None and wanted.levels is not None:
            quick = _with_levels(quick, wanted)
        _make(source, wanted, store, quick, _Handling(room, leave_out), progress)
        found = store.find(quick) or store.find(quick + STREAMED)
    if found is None:
        raise DeepenoughError(f"{store.folder}: the cache cannot be read back; is the disk full or damaged?")
    images = _assemble(source, found, seed)
    return images if limit is None else images.subset(limit, seed)


@dataclass(frozen=True)
class _Handling:
    """Bytes that pixels may take, and whether duplicates are left out."""

    room: float
    leave_out: bool


def _with_levels(quick: str, wanted: Preprocessing) -> str:
    """The key of what was read with given levels, beside that of what was read with the images' own."""
    return hashlib.sha256(f"{quick} levels {wanted.levels}".encode()).hexdigest()[:32]


def _find(store: Cache, quick: str, room: float, wanted: Preprocessing | None) -> Entry | None:
    """The entry for a key. Levels that are wanted count where there are images of 16 bits: the entry has those, or
    none, or it is another that has them."""
    found = store.find(quick) or _if_too_large(store.find(quick + STREAMED), room)
    if wanted is None or wanted.levels is None:
        return found
    if found is not None and found.meta["levels"] in (None, list(wanted.levels)):
        return found
    quick = _with_levels(quick, wanted)
    return store.find(quick) or _if_too_large(store.find(quick + STREAMED), room)


def _other(content: Any) -> str:
    """The name of an entry without pixels beside that of the same images with them."""
    content.update(STREAMED.encode())
    return str(content.hexdigest())


def _if_too_large(found: Entry | None, room: float) -> Entry | None:
    """An entry without pixels, unless there is room for them by now."""
    if found is None:
        return None
    height, width = found.meta["size"]
    return found if len(found.arrays["rows"]) * height * width * found.meta["channels"] > room else None


def _make(
    source: Source,
    wanted: Preprocessing | None,
    store: Cache,
    quick: str,
    handling: _Handling,
    progress: Progress | None,
) -> None:
    try:
        draft = store.draft()
    except OSError as error:
        raise DeepenoughError(
            f"{store.folder}: the cache cannot be written ({error.strerror}); name another folder in DEEPENOUGH_CACHE"
        ) from None
    try:
        natural, channels = survey(source, progress)
        framing = wanted or Preprocessing(natural)
        keep = len(source) * framing.size[0] * framing.size[1] * channels <= handling.room
        filled = fill(source, framing, channels, draft, progress, keep)
        if progress is not None:
            progress(0, 1, "looking for duplicates")
        seen = audit(filled, source, handling.leave_out)
        findings = (*source.findings, *seen.findings, *filled.findings(source))
        fingerprint = _fingerprint(source, filled)
        _write(draft, source, filled, seen.kept, seen.groups)
        meta = {
            "classes": list(source.classes),
            "size": list(framing.size),
            "shorter": framing.shorter,
            "interpolation": framing.interpolation,
            "levels": filled.levels and list(filled.levels),
            "channels": channels,
            "fingerprint": fingerprint,
            "findings": [[f.kind, f.name, f.detail, f.action, f.other] for f in findings],
        }
        content = hashlib.sha256(repr((VERSION, sorted(meta.items()))).encode("utf-8", "surrogateescape"))
        for name in source.names:
            content.update(name.encode("utf-8", "surrogateescape") + b"\0")
        del filled
        store.keep(quick if keep else quick + STREAMED, draft, content.hexdigest() if keep else _other(content), meta)
        if progress is not None:
            progress(1, 1, "looking for duplicates")
    except OSError as error:
        raise DeepenoughError(
            f"{store.folder}: the cache cannot be written ({error.strerror or error}); make room, or name another "
            "folder in DEEPENOUGH_CACHE"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(draft: Path, source: Source, filled: Filled, kept: Index, groups: NDArray[np.int64]) -> None:
    """The arrays of the entry: the rows that are kept, and nothing else."""
    if filled.pixels is not None:
        _write_pixels(draft, filled.pixels, kept)
    np.save(draft / "rows.npy", kept)
    np.save(draft / "sums.npy", filled.table["sums"][kept])
    for file in ("table.npy", "thumbs.npy"):
        (draft / file).unlink()
    names = Names.of(source.names[int(row)] for row in kept)
    np.save(draft / "names.npy", names.blob)
    np.save(draft / "ends.npy", names.offsets)
    np.save(draft / "labels.npy", source.labels[kept])
    np.save(draft / "splits.npy", source.splits[kept])
    np.save(draft / "groups.npy", groups[kept])


def _write_pixels(draft: Path, decoded: Any, kept: Index) -> None:
    """Keep what was decoded, a memory map, or of it the rows that are kept, and the checksums of their blocks."""
    if len(kept) == len(decoded):
        decoded.flush()
        (draft / "decoded.npy").rename(draft / PIXELS)
        np.save(draft / "checksums.npy", checksums(decoded))
        return
    pixels: Any = new_array(draft / PIXELS, np.uint8, (len(kept), *decoded.shape[1:]))
    for start in range(0, len(kept), _COPIED_AT_ONCE):
        rows = kept[start : start + _COPIED_AT_ONCE]
        pixels[start : start + len(rows)] = decoded[rows]
    pixels.flush()
    np.save(draft / "checksums.npy", checksums(pixels))
    (draft / "decoded.npy").unlink()


def _fingerprint(source: Source, filled: Filled) -> str:
    digest = hashlib.sha256(repr(source.classes).encode("utf-8", "surrogateescape"))
    for part in (source.labels.astype("<i8"), source.splits, np.ascontiguousarray(filled.table["content"])):
        digest.update(part.tobytes())
    return digest.hexdigest()


def _assemble(source: Source, entry: Entry, seed: int) -> Images:
    meta, arrays = entry.meta, entry.arrays
    labels, groups = np.array(arrays["labels"]), np.array(arrays["groups"])
    classes = tuple(meta["classes"])
    findings = tuple(Finding(*finding) for finding in meta["findings"])
    try:
        split = make_split(labels, groups, np.array(arrays["splits"]), classes, seed)
    except TooFewImagesError as error:
        raise DeepenoughError(f"{error}{why_too_few(source, findings, error.few)}") from None
    height, width = meta["size"]
    channels = meta["channels"]
    mean, std = _moments(arrays["sums"], split.train, height * width, channels)
    levels = meta["levels"] and tuple(meta["levels"])
    preprocess = Preprocessing(
        (height, width), meta["shorter"], meta["interpolation"], mean=mean, std=std, levels=levels,
        value_range=source.value_range,
    )  # fmt: skip
    pixels: AnyPixels = Streamed(source, arrays["rows"], preprocess, channels)
    if entry.pixels is not None:
        pixels = CachedPixels(entry.pixels, pixels.shape, arrays["checksums"], pixels.__getitem__)
    return Images(
        pixels=pixels,
        blocks=None if source.blocks is None else source.blocks[arrays["rows"]],
        in_blocks=entry.pixels is None and source.blocks is not None,
        labels=labels,
        names=Names(arrays["names"], arrays["ends"]),
        groups=groups,
        classes=classes,
        preprocess=preprocess,
        split=split,
        fingerprint=meta["fingerprint"],
        findings=findings,
        mirror=source.mirror,
        source=source.name,
    )


def _moments(
    sums: NDArray[np.int64], rows: Index, area: int, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, in 0..1, of all pixels of all training images; exact."""
    total = np.asarray(sums[rows].sum(axis=0), np.float64)[:, :channels] / (len(rows) * area)
    std = np.sqrt(np.maximum(total[1] - total[0] ** 2, 1.0))
    return tuple((total[0] / 255).tolist()), tuple((std / 255).tolist())
