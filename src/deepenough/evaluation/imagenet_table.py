"""The eight measured on ImageNet: single-crop and ten-crop errors beside the published ones of the same protocol."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.decode import upright
from deepenough.data.finding import ImageError, PassedOver
from deepenough.errors import DeepenoughError
from deepenough.evaluation.imagenet_images import Labelled, labelled_images
from deepenough.model import Model
from deepenough.nets import depth
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.published import PUBLISHED, PublishedFigure
from deepenough.prediction import lines
from deepenough.preprocessing import RESAMPLING, Preprocessing
from deepenough.progress import Advance, Reporter
from deepenough.search.statistics import exact_interval
from deepenough.training.device import choose_device
from deepenough.weights import Weights, load_weights
from deepenough.weights.imagenet import wordnet_ids
from deepenough.weights.names import GROUPS, group

if TYPE_CHECKING:
    from rich.console import Group

_Pixels = NDArray[np.uint8]

_BATCH = 16
_CENTRE = 4  # of the ten crops
KEPT = 2**30  # bytes of decoded images that are kept for the next network
_ALL_IMAGES = 50_000  # of ILSVRC-2012 validation


@dataclass(frozen=True)
class Errors:
    """Counts of wrong answers for `images`: by the most probable class (`wrong1`) and by the five (`wrong5`)."""

    images: int
    wrong1: int
    wrong5: int

    def percent(self, top: int) -> tuple[float, float, float]:
        """The top-1 or top-5 error in percent, and its exact two-sided 95% interval."""
        wrong = self.wrong1 if top == 1 else self.wrong5
        low, high = exact_interval(wrong, self.images)
        return 100 * wrong / self.images, 100 * low, 100 * high


@dataclass(frozen=True)
class ImageNetResult:
    """One network with one set of weights, on the images of a folder. `left_out` has a line on each unusable image."""

    weights: str
    source: str
    network: str
    depth: int
    input: Preprocessing
    sha256: str
    images: int
    classes: int
    single: Errors
    ten: Errors
    left_out: tuple[str, ...]

    @property
    def published_as(self) -> str | None:
        """The name of the one of the eight that it is a variant of, if any."""
        return paper_name(self.network)


def paper_name(network: str) -> str | None:
    """The name of the one of the eight that a network of the zoo is, or is a variant of: resnet50 for resnet50_v1_5."""
    names = [name for name in PUBLISHED if network == name or network.startswith(f"{name}_")]
    return names[0] if names else None


def chosen_weights(
    given: Sequence[str],
    *,
    network: str | None = None,
    preprocess: str | None = None,
    reporter: Reporter | None = None,
) -> Iterator[Weights]:
    """The weights to measure, loaded one by one: names, files, or a publisher for its weights of the eight.

    A publisher with several for a network gives its first: torchvision's V2 are asked for by their names.
    """
    names: list[str] = []
    for word in given:
        if word in GROUPS and not Path(word).exists():
            first = {
                paper_name(entry.network): entry.name for entry in reversed(group(word)) if _is_of_eight(entry.network)
            }
            names += [first[name] for name in PUBLISHED if name in first]
        else:
            names.append(word)
    for name in dict.fromkeys(names):
        yield load_weights(name, network=network, preprocess=preprocess, reporter=reporter)


def _is_of_eight(network: str) -> bool:
    """True for one of the eight or a variant that was published under its name; VGG with batch norm was not."""
    return paper_name(network) is not None and not (network.startswith("vgg") and network.endswith("_bn"))


def measure_imagenet(
    folder: str | Path,
    weights: Iterable[Weights],
    *,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    reporter: Reporter | None = None,
) -> Iterator[ImageNetResult]:
    """Measure networks one after the other, each on the same images; only one of them is in memory.

    `folder` has ImageNet's validation images (`labelled_images`), all 1,000 classes or some; `limit` takes a drawn
    part. An image is scaled as the weights expect, and crops are cut from it at whole pixels, as their publishers do
    and `predict` does. Single-crop is the centre. Ten-crop takes the four corners, the centre, and their mirror images;
    probabilities are averaged.
    """
    reporter = reporter or Reporter()
    passed = PassedOver()
    images = labelled_images(folder, passed).limited(limit, seed)
    for line in lines(passed):
        reporter.say(line)
    kept: dict[tuple[object, ...], _Decoded] = {}
    told: set[str] = set()
    for entry in weights:
        if entry.network.classes != len(wordnet_ids()):
            raise DeepenoughError(
                f"{entry.name} has {entry.network.classes} classes; ImageNet's {len(wordnet_ids()):,} are expected"
            )
        seen = entry.input
        reporter.say(f"{entry.name}: {entry.network.name}, each image {entry.input}")
        key = (seen.framing, seen.channels)
        if key not in kept:
            kept.clear()  # the next network most often sees the same
            kept[key] = _Decoded(images, seen)
        with reporter.task(f"measuring {entry.name}") as advance:
            measured = _measure(entry, kept[key], device, advance)
        del entry  # before the next is loaded
        for line in measured.left_out:
            if line not in told:
                reporter.say(f"left out: {line}")
                told.add(line)
        yield measured


class _Decoded:
    """The images of a set as one framing shows them: those that fit into `KEPT` are kept, others decoded each time."""

    def __init__(self, images: Labelled, seen: Preprocessing) -> None:
        self.images = images
        self.seen = seen
        self.kept: dict[int, _Pixels | str] = {}
        self.bytes = 0

    def rows(self, start: int, stop: int) -> list[_Pixels | str]:
        """Of each image the whole, scaled, uint8 (H, W, C); or a line on what is wrong with it."""
        rows = range(start, min(stop, len(self.images.paths)))
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(self._row, rows))
        for row, result in zip(rows, found, strict=True):
            size = 0 if isinstance(result, str) else result.nbytes
            if row not in self.kept and self.bytes + size <= KEPT:
                self.kept[row] = result
                self.bytes += size
        return found

    def _row(self, row: int) -> _Pixels | str:
        if row in self.kept:
            return self.kept[row]
        path = self.images.paths[row]
        try:
            return scaled(upright(path), self.seen)
        except (ImageError, OSError) as error:
            return f"{path}: {error}"


def scaled(picture: Image.Image, seen: Preprocessing) -> _Pixels:
    """uint8 (H, W, C): the whole picture, its shorter side scaled to `shorter` pixels, or until it covers the crop."""
    height, width = seen.size
    short = min(picture.size)
    side = max(seen.shorter or 0, math.ceil(max(height / picture.height, width / picture.width) * short))
    size = (max(width, side * picture.width // short), max(height, side * picture.height // short))
    whole = picture.convert("L" if seen.channels == 1 else "RGB").resize(size, RESAMPLING[seen.interpolation])
    return np.asarray(whole, np.uint8).reshape(whole.height, whole.width, seen.channels)


def ten_crops(whole: _Pixels, size: tuple[int, int]) -> _Pixels:
    """uint8 (10, H, W, C): upper left and right, lower left and right, centre, and the five of the mirror image."""
    return np.stack([crop for image in (whole, whole[:, ::-1]) for crop in _five(image, size)])


def _five(image: _Pixels, size: tuple[int, int]) -> list[_Pixels]:
    height, width = size
    down, right = image.shape[0] - height, image.shape[1] - width
    corners = ((0, 0), (0, right), (down, 0), (down, right), (round(down / 2), round(right / 2)))
    return [image[top : top + height, left : left + width] for top, left in corners]


def _measure(entry: Weights, decoded: _Decoded, device: str, advance: Advance) -> ImageNetResult:
    model = Model(entry.network, entry.state, entry.input, wordnet_ids(), choose_device(device))
    counts = np.zeros((2, 2), np.int64)  # (single, ten) x (top-1, top-5) wrong
    left_out: list[str] = []
    labels: list[int] = []
    total = len(decoded.images.paths)
    for start in range(0, total, _BATCH):
        rows = decoded.rows(start, start + _BATCH)
        good = [(row, result) for row, result in enumerate(rows, start) if not isinstance(result, str)]
        left_out += [result for result in rows if isinstance(result, str)]
        if good:
            here = [decoded.images.labels[row] for row, _ in good]
            labels += here
            crops = np.concatenate([ten_crops(whole, decoded.seen.size) for _, whole in good])
            blocks = (crops[first : first + _BATCH] for first in range(0, len(crops), _BATCH))
            found = np.concatenate(list(map(model.probabilities, blocks))).reshape(len(good), 10, -1)
            counts += [wrong(found[:, _CENTRE], here), wrong(found.mean(1), here)]
        advance(min(start + _BATCH, total), total)
    if not labels:
        raise DeepenoughError(f"none of the {total:,} images can be read; the first: {left_out[0]}")
    errors = [Errors(len(labels), int(wrong1), int(wrong5)) for wrong1, wrong5 in counts]
    return ImageNetResult(
        entry.name, entry.source, entry.network.name, depth(entry.network), entry.input, entry.sha256,
        len(labels), len(set(labels)), errors[0], errors[1], tuple(left_out),
    )  # fmt: skip


def wrong(probabilities: NDArray[np.float32], labels: Sequence[int]) -> tuple[int, int]:
    """Count the labels that are not the most probable class, and those not among the five most probable."""
    if not np.isfinite(probabilities).all():
        raise DeepenoughError(
            "the network gives values that are not finite; its weights are damaged or belong to another network"
        )
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    hits = ranked == np.asarray(labels)[:, None]
    return int((~hits[:, 0]).sum()), int((~hits.any(1)).sum())


def why_not(figure: PublishedFigure, measured: ImageNetResult) -> str:
    """The reason that a published figure is not comparable with what was measured; empty where it is."""
    if figure.why_not:
        return figure.why_not
    if figure.network != measured.network:
        variant = f": {NETWORKS[figure.network]().variant}" if figure.network in NETWORKS else ""
        return f"it is for another variant, {figure.network}{variant}"
    if figure.weights not in (measured.weights, measured.source):
        whose = "those released for Caffe" if figure.weights == "caffe" else figure.weights
        return f"it is for other weights, {whose}"
    return ""


def comparable_figures(measured: ImageNetResult, crops: int) -> list[PublishedFigure]:
    """The published figures of the same weights by the same protocol."""
    return [figure for figure in _figures(measured) if figure.crops == crops and not why_not(figure, measured)]


def not_comparable(measured: ImageNetResult) -> list[tuple[PublishedFigure, str]]:
    """The other published figures of the network, with the reason."""
    pairs = [(figure, why_not(figure, measured)) for figure in _figures(measured)]
    return [(figure, reason) for figure, reason in pairs if reason]


def _figures(measured: ImageNetResult) -> tuple[PublishedFigure, ...]:
    name = measured.published_as
    return () if name is None else PUBLISHED[name].figures


def imagenet_table(measured: Sequence[ImageNetResult]) -> Group:
    """For the terminal: what was measured beside what was published of it, and what can't be compared, and why."""
    from rich.console import Group
    from rich.text import Text

    from deepenough.report.tables import plain_table

    title = "Error on ImageNet, percent (95% interval)"
    rows = plain_table(title, left=("network", "weights", "crops"), right=("depth", "top-1", "top-5"))
    for column in rows.columns:
        column.no_wrap = True
    rows.add_column("published, same weights and crops")
    for entry in measured:
        names = (entry.published_as or entry.network, entry.weights)
        for crops, errors in ((1, entry.single), (10, entry.ten)):
            shown = [f"{value:.2f} ({low:.2f} to {high:.2f})" for value, low, high in map(errors.percent, (1, 5))]
            published = "; ".join(f"{_pair(figure)} ({figure.source})" for figure in comparable_figures(entry, crops))
            first = (*names, str(crops), str(entry.depth)) if crops == 1 else ("", "", str(crops), "")
            rows.add_row(*map(Text, (*first, *shown, published or "-")))
    return Group(rows, *(Text(line) for line in notes(measured)))


def notes(measured: Sequence[ImageNetResult]) -> list[str]:
    """The notes under the table: the number of images, and a sentence on each figure that is not comparable."""
    found = []
    for count, classes, left in sorted({(entry.images, entry.classes, len(entry.left_out)) for entry in measured}):
        part = "" if count + left == _ALL_IMAGES else f"; published figures are for all {_ALL_IMAGES:,}"
        out = f", {left} unusable left out" if left else ""
        found.append(f"{count:,} images of {classes:,} classes{out}{part}")
    found.append(
        "1 crop: the centre. 10 crops: the corners, the centre and their mirror images, with averaged probabilities."
    )
    alone = [
        f"{entry.published_as} {_pair(figure)} ({figure.source}; {figure.protocol}), for {entry.weights}: {reason}."
        for entry in measured
        for figure, reason in not_comparable(entry)
    ]
    return [*found, *(["Not comparable:"] if alone else []), *(f"  {line}" for line in alone)]


def _pair(figure: PublishedFigure) -> str:
    return f"{'-' if figure.top1 is None else f'{figure.top1:g}'} / {figure.top5:g}"


def to_json(measured: Sequence[ImageNetResult]) -> list[dict[str, Any]]:
    """The content of `--json`: every network with its errors, intervals (percent) and the published figures."""
    return [
        {
            "weights": entry.weights,
            "source": entry.source,
            "network": entry.network,
            "published_as": entry.published_as,
            "depth": entry.depth,
            "sha256": entry.sha256,
            "input": entry.input.to_json(),
            "images": entry.images,
            "classes": entry.classes,
            "left_out": list(entry.left_out),
            "single_crop": _errors_json(entry.single, comparable_figures(entry, 1)),
            "ten_crop": _errors_json(entry.ten, comparable_figures(entry, 10)),
            "not_comparable": [asdict(figure) | {"why_not": reason} for figure, reason in not_comparable(entry)],
        }
        for entry in measured
    ]


def _errors_json(errors: Errors, published: Sequence[PublishedFigure]) -> dict[str, Any]:
    tops = {f"top{top}": dict(zip(("error", "low", "high"), errors.percent(top), strict=True)) for top in (1, 5)}
    return {**tops, "published": [asdict(figure) for figure in published]}
