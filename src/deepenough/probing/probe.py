"""Sounding: how deep a pretrained network has to be for a task, told by a linear probe at every depth."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepenough import record as r
from deepenough.data import Images, Preprocess, Source, make_folds, open_source, prepare, sample
from deepenough.errors import unknown
from deepenough.experiment.options import check_margin
from deepenough.experiment.recording import accuracy as counted
from deepenough.nets import Network, depth, macs, parameters
from deepenough.nets.build import build
from deepenough.nets.cut import HEAD, SCALE, Cut, cut
from deepenough.nets.shapes import visits
from deepenough.probing.features import Features, body, features, fitting_cuts
from deepenough.probing.linear_probe import Line, fit, out_of_fold
from deepenough.progress import Reporter
from deepenough.search.folds import Index
from deepenough.search.rules import points
from deepenough.search.statistics import Hits, Strata, paired_difference, z_score
from deepenough.training import choose_device
from deepenough.weights import Weights, load_weights
from deepenough.weights.grey import grey

FRAMINGS = ("source", "whole")
FOLDS = 5
MOST_IMAGES = 20_000  # more are not needed to tell half a point
MOST_FEATURES = 10**9  # of all images at all places, float32: ResNet-152 has 95,744 an image
TWO_SIDED = 0.975


@dataclass(frozen=True, eq=False)
class Sounded:
    """One place: the network cut there, and for every image whether the probe was right."""

    cut: Cut
    network: Network
    hits: Hits


@dataclass(frozen=True, eq=False)
class Sounding:
    """Every place of one pretrained network, shallow to deep; the last is the whole network."""

    weights: Weights
    images: Images
    features: Features
    places: tuple[Sounded, ...]
    record: r.Sounding

    @property
    def proposed(self) -> int:
        """The number of the proposed place."""
        return next(number for number, p in enumerate(self.record.places) if p.place == self.record.proposed)

    def probe(self, place: Sounded, rows: Index) -> Line:
        """A probe fitted on `rows` alone, so that held-out images stay unseen by what starts from it."""
        rows = rows[np.isin(rows, self.features.rows)]
        labels, classes = self.images.labels[rows], len(self.images.classes)
        return fit(self.features.of(place.cut.place, rows), labels, classes, folds_of(self.images, rows, seed=0))

    def start(self, place: Sounded, line: Line) -> dict[str, torch.Tensor]:
        """The weights that fine-tuning starts from: the pretrained ones up to the place, and `line` as the head."""
        return started(self.weights, place.network, line)


def started(weights: Weights, network: Network, line: Line) -> dict[str, torch.Tensor]:
    """The state of a cut network that predicts as the probe `line` does: pretrained, with the probe as its head."""
    module = build(network)
    state = body(weights, module)
    scale: Any = module.get_submodule(SCALE)
    state[f"{SCALE}.running_mean"], state[f"{SCALE}.running_var"] = line.mean, line.std**2 - scale.eps
    return state | {f"{HEAD}.weight": line.weight, f"{HEAD}.bias": line.bias}


def ready(
    weights: Weights,
    source: Source,
    *,
    framing: str,
    size: int | None,
    seed: int,
    limit: int | None,
    reporter: Reporter,
    cache_limit: float | None = None,
) -> tuple[Weights, Images]:
    """The images as the weights expect them, and the weights as the images need them (grey ones, another size).

    `framing` is "source", the centre that the weights' source cuts out, or "whole": scaled to be seen as far as the
    shape allows. On clothing, the whole is worth two points (benchmarks/LOG.md).
    """
    if framing not in FRAMINGS:
        raise unknown("framing", framing, FRAMINGS)
    published = Preprocess.of(weights.input).framing
    own = published if framing == "source" else replace(published, shorter=None)
    wanted = own if size is None else own.resized(size)
    reporter.say(
        f"{weights.name}: {weights.network.name}, read as {weights.source}'s; each image "
        f"{replace(weights.input, size=wanted.size, shorter=wanted.shorter)}"
    )
    with reporter.task("reading images") as advance:
        images = prepare(source, size=wanted, seed=seed, progress=advance, cache_limit=cache_limit, limit=limit)
    weights = grey(weights) if images.preprocess.channels == 1 else weights
    given = Preprocess.of(weights.input)
    preprocess = replace(given, size=wanted.size, shorter=wanted.shorter)
    return weights, replace(images, preprocess=preprocess)


def sounding(
    data: str | Path | None,
    *,
    weights: str,
    network: str | None = None,
    preprocess: str | None = None,
    framing: str = "source",
    size: int | None = None,
    limit: int | None = None,
    margin: float = 0.01,
    device: str | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> r.Sounding:
    """How much of the task is solved at every depth of the pretrained network `weights`, a name or a file.

    What `deepenough sound` prints; the options are the same.
    """
    reporter = reporter or Reporter()
    check_margin(margin)
    source = open_source(data)
    loaded = load_weights(weights, network=network, preprocess=preprocess, reporter=reporter)
    loaded, images = ready(loaded, source, framing=framing, size=size, seed=seed, limit=limit, reporter=reporter)
    found = sound(loaded, images, margin=margin, seed=seed, device=choose_device(device or "auto"), reporter=reporter)
    return found.record


def folds_of(images: Images, rows: Index, seed: int, k: int = FOLDS) -> list[Index]:
    """Positions in `rows` of each fold's images; groups stay whole, and there are no more folds than groups."""
    groups = images.groups[rows]
    k = max(2, min(k, len(np.unique(groups))))
    return [held_out for _, held_out in make_folds(images.labels[rows], groups, np.arange(len(rows)), k, seed)]


def sound(
    weights: Weights,
    images: Images,
    *,
    margin: float = 0.01,
    metric: str = "top1",
    target: float | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    reporter: Reporter | None = None,
) -> Sounding:
    """Push all images that are not test through the network once, and judge a probe at every place where it can end.

    Each image is judged by a probe that was fitted without its fold. `weights` and `images` are what `ready` gave.
    """
    reporter, began = reporter or Reporter(), time.perf_counter()
    rows = np.sort(np.concatenate([images.split.train, images.split.validation]))
    classes = len(images.classes)
    network, where = fitting_cuts(weights, images)
    networks = [cut(network, c.place, classes) for c in where]
    width = sum(visit.input[0] for *_, visit in map(visits, networks))
    rows = sample(images.labels, rows, min(MOST_IMAGES, MOST_FEATURES // width), seed)
    seen = features(weights, images, rows, torch.device(device), reporter)
    labels = images.labels[rows]
    folds = folds_of(images, rows, seed)
    places = []
    with reporter.task("probes") as advance:
        for number, (c, short) in enumerate(zip(where, networks, strict=True)):
            advance(number, len(where), c.place)
            probabilities = out_of_fold(np.array(seen.pooled[c.place]), labels, classes, folds)
            hits: Hits = (probabilities.argmax(axis=1) == labels).astype(np.float64)
            places.append(Sounded(c, short, hits))
        advance(len(where), len(where), "")
    strata = Strata.of(labels, metric)
    account = _account(weights, images, places, seen, strata, len(folds), margin, metric, target)
    account.seconds = time.perf_counter() - began
    return Sounding(weights, images, seen, tuple(places), account)


def _account(
    weights: Weights,
    images: Images,
    places: Sequence[Sounded],
    seen: Features,
    strata: Strata,
    folds: int,
    margin: float,
    metric: str,
    target: float | None,
) -> r.Sounding:
    whole, count = places[-1], len(seen.rows)
    given = replace(weights.input, size=images.preprocess.size, shorter=images.preprocess.shorter)
    best = max(places, key=lambda place: strata.accuracy(place.hits))
    ruled_out = [paired_difference(best.hits, p.hits, strata).lower > margin and p is not best for p in places]
    rows = []
    for place, out in zip(places, ruled_out, strict=True):
        pair = paired_difference(whole.hits, place.hits, strata, TWO_SIDED)
        rows.append(
            r.Place(
                place=place.cut.place,
                depth=depth(place.network),
                parameters=parameters(place.network),
                macs=macs(place.network),
                milliseconds=1000 * seen.seconds[place.cut.place],
                accuracy=counted(round(float(place.hits.sum())), count),
                difference=pair.value,
                low=pair.lower,
                high=pair.upper,
                ruled_out=out,
            )
        )
    resolves = _resolves(places, strata)
    if target is None:
        proposed = next(row for row in rows if not row.ruled_out)
        reason = f"the shallowest that is not ruled out as more than {points(margin)} worse than the best place"
        if number := rows.index(proposed):
            worse = paired_difference(best.hits, places[number - 1].hits, strata)
            reason += (
                f" ({rows[number - 1].place} is {points(worse.value)} worse than {best.cut.place}, at least "
                f"{points(worse.lower)})"
            )
    else:
        proposed = next((row for row in rows if row.accuracy.value >= target), rows[-1])
        reached = proposed.accuracy.value >= target
        reason = f"the shallowest whose probe {'reaches' if reached else 'may be trained to'} {target:.1%}"
    proposal = "the whole network" if proposed is rows[-1] else f"a cut after {proposed.place}"
    text = (
        f"with {count:,} images, differences under {points(resolves)} can't be told; the probes propose {proposal} "
        f"(depth {proposed.depth} of {rows[-1].depth}), {reason}; fine-tuning decides"
    )
    commonest = np.bincount(images.labels[seen.rows]).max() / count
    if max(row.accuracy.low for row in rows) <= commonest:
        text += f". But no probe is shown to do better than naming the most frequent class ({commonest:.1%})"
    return r.Sounding(
        weights=weights.name,
        source=weights.source,
        network=weights.network.name,
        sha256=weights.sha256,
        input=str(given),
        images=count,
        folds=folds,
        metric=metric,  # type: ignore[arg-type]
        margin=margin,
        resolves=resolves,
        places=rows,
        proposed=proposed.place,
        text=text,
        seconds=0.0,
    )


def _resolves(places: Sequence[Sounded], strata: Strata) -> float:
    """The smallest paired difference that these images can tell: that of the two best places."""
    top = sorted(places, key=lambda place: strata.accuracy(place.hits))[-2:]
    return z_score() * paired_difference(top[-1].hits, top[0].hits, strata).standard_error
