"""Probing: a linear probe at every depth of a pretrained network tells how deep it has to be for a task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepenough.data.images import Images
from deepenough.data.split import Index, make_folds, sample
from deepenough.evaluation.metrics import accuracy
from deepenough.nets import Network, depth, macs, parameters
from deepenough.nets.build import build
from deepenough.nets.cut import HEAD, SCALE, Cut, cut_at
from deepenough.nets.shapes import visits
from deepenough.nets.zoo.catalogue import title
from deepenough.probing.features import PooledFeatures, body, fitting_cuts, pooled_features
from deepenough.probing.linear_probe import LinearProbe, fit_probe, out_of_fold, predict
from deepenough.progress import Reporter
from deepenough.record.schema import Probe, ProbingRecord
from deepenough.search.folds import DecisionFolds, Fold
from deepenough.search.question import DecisionBasis, Question
from deepenough.search.statistics import Difference, HitShares, Strata, paired_difference, resolved_difference
from deepenough.search.verdict import points
from deepenough.weights import Weights

PROBE_FOLDS = 5
PROBE_IMAGES = 20_000  # more are not needed to tell half a point
MOST_FEATURES = 10**9  # of all images at all places, float32: ResNet-152 has 95,744 an image


@dataclass(frozen=True, eq=False)
class ProbedCut:
    """One place: the network cut there, and for every image that was judged 1 where the probe was right, else 0."""

    cut: Cut
    network: Network
    hits: HitShares


@dataclass(frozen=True, eq=False)
class Probing:
    """Every place of one pretrained network, shallow to deep; the last is the whole network."""

    weights: Weights
    images: Images
    features: PooledFeatures
    cuts: tuple[ProbedCut, ...]
    strata: Strata
    record: ProbingRecord

    @property
    def proposed(self) -> int:
        """The number of the proposed place."""
        return next(number for number, p in enumerate(self.record.probes) if p.place == self.record.proposed)

    def fit_probe(self, probed: ProbedCut, rows: Index) -> LinearProbe:
        """Fit a probe on `rows` alone, so that held-out images stay unseen by what starts from it."""
        rows = rows[np.isin(rows, self.features.rows)]
        labels, classes = self.images.labels[rows], len(self.images.classes)
        folds = folds_of(self.images, rows, seed=0)
        return fit_probe(self.features.of(probed.cut.place, rows), labels, classes, folds)


def initial_state(weights: Weights, network: Network, probe: LinearProbe) -> dict[str, torch.Tensor]:
    """The state of a cut network that predicts as the probe does: pretrained, with the probe as its head."""
    module = build(network)
    state = body(weights, module)
    scale: Any = module.get_submodule(SCALE)
    state[f"{SCALE}.running_mean"], state[f"{SCALE}.running_var"] = probe.mean, probe.std**2 - scale.eps
    return state | {f"{HEAD}.weight": probe.weight, f"{HEAD}.bias": probe.bias}


def folds_of(images: Images, rows: Index, seed: int, k: int = PROBE_FOLDS) -> list[Index]:
    """Positions in `rows` of each fold's images; groups stay whole, and there are no more folds than groups."""
    groups = images.groups[rows]
    k = max(2, min(k, len(np.unique(groups))))
    return [held_out for _, held_out in make_folds(images.labels[rows], groups, np.arange(len(rows)), k, seed)]


def probe_weights(
    weights: Weights,
    images: Images,
    question: Question,
    device: torch.device | str = "cpu",
    reporter: Reporter | None = None,
    decision: DecisionFolds | None = None,
) -> Probing:
    """Push all images that are not test through the network once, and judge a probe at every place where it can end.

    Each image is judged by a probe that was fitted without its fold.

    Args:
        weights: those that `images_for_weights` gave.
        images: likewise.
        question: its margin, metric, target and seed count.
        device: for the pass through the network.
        reporter: is told how far it has come.
        decision: the folds of the fine-tuning to come, for which each probe learns from the images that a training
            learns from and is judged on the same as that: fine-tuning then starts at the accuracy of its probe. Without
            it five folds of all images.
    """
    (found,) = probe_networks([(weights, images)], question, device, reporter, decision)
    return found


def probe_networks(
    networks: Sequence[tuple[Weights, Images]],
    question: Question,
    device: torch.device | str = "cpu",
    reporter: Reporter | None = None,
    decision: DecisionFolds | None = None,
) -> tuple[Probing, ...]:
    """`probe_weights` of several networks, all of them on the same images: each reads them as it wants them."""
    _, images = networks[0]
    most = min(PROBE_IMAGES, *(MOST_FEATURES // _features(*each) for each in networks))
    rows = _sample(images, decision, most, question.seed)
    judging = _Judging(rows, _folds(images, rows, decision, question.seed), question)
    return tuple(_probe(*each, judging, torch.device(device), reporter or Reporter()) for each in networks)


@dataclass(frozen=True)
class _Judging:
    """The images that have features, the positions in them that each fold learns from and judges, and the question."""

    rows: Index
    folds: Sequence[Fold]
    question: Question


def _networks(weights: Weights, images: Images) -> list[tuple[Cut, Network]]:
    network, where = fitting_cuts(weights, images)
    return [(c, cut_at(network, c.place, len(images.classes))) for c in where]


def _features(weights: Weights, images: Images) -> int:
    """The number of features of an image at all places together."""
    return sum(visit.input[0] for *_, visit in (visits(network) for _, network in _networks(weights, images)))


def _probe(weights: Weights, images: Images, judging: _Judging, device: torch.device, reporter: Reporter) -> Probing:
    """Push the images through one network, and judge a probe at every place."""
    began, networks = time.perf_counter(), _networks(weights, images)
    rows, folds, question = judging.rows, judging.folds, judging.question
    seen = pooled_features(weights, images, rows, device, reporter)
    judged = np.sort(np.concatenate([fold.held_out for fold in folds]))
    labels = images.labels[rows[judged]]
    probed = []
    with reporter.task("probes") as advance:
        for number, (c, short) in enumerate(networks):
            advance(number, len(networks), c.place)
            found = _judge(images, rows, np.array(seen.pooled[c.place]), folds)[judged].argmax(axis=1)
            probed.append(ProbedCut(c, short, (found == labels).astype(np.float64)))
        advance(len(networks), len(networks), "")
    strata = Strata.of(labels, question.metric)
    probes = _probes(probed, seen, strata, question.margin)
    resolves = resolved_difference([each.hits for each in probed], strata)
    proposed, reason, behind = _proposal(probes, probed, strata, question)
    most_frequent = float(np.bincount(labels).max() / len(judged))
    record = ProbingRecord(
        weights=weights.name,
        source=weights.source,
        network=weights.network.name,
        title=title(weights.network.name),
        sha256=weights.sha256,
        input=str(replace(weights.input, size=images.preprocess.size, shorter=images.preprocess.shorter)),
        preprocess=images.preprocess.to_json(),
        images=len(judged),
        folds=len(folds),
        metric=question.metric,
        margin=question.margin,
        resolves=resolves,
        probes=probes,
        proposed=proposed.place,
        text=_text(probes, proposed, reason, resolves, most_frequent),
        seconds=time.perf_counter() - began,
        most_frequent=most_frequent,
        behind=behind.value if behind else None,
        behind_lower=behind.lower if behind else None,
    )
    return Probing(weights, images, seen, tuple(probed), strata, record)


def _sample(images: Images, decision: DecisionFolds | None, most: int, seed: int) -> Index:
    """At most `most` images that are not test; where the validation split decides, up to half of them from it."""
    train, validation = images.split.train, images.split.validation
    if decision is None or decision.kind is DecisionBasis.OUT_OF_FOLD:
        return sample(images.labels, np.sort(np.concatenate([train, validation])), most, seed)
    judged = sample(images.labels, validation, most // 2, seed)
    return np.sort(np.concatenate([sample(images.labels, train, most - len(judged), seed), judged]))


def _folds(images: Images, rows: Index, decision: DecisionFolds | None, seed: int) -> list[Fold]:
    """Positions in `rows` that the probes of each fold learn from and are judged on."""
    if decision is not None:
        return [Fold(*(np.flatnonzero(np.isin(rows, i)) for i in (f.train, f.held_out))) for f in decision.folds]
    everything = np.arange(len(rows))
    return [Fold(np.setdiff1d(everything, held_out), held_out) for held_out in folds_of(images, rows, seed)]


def _judge(images: Images, rows: Index, x: npt.NDArray[np.float32], folds: Sequence[Fold]) -> npt.NDArray[np.float32]:
    """Predict the held-out images of every fold by a probe that was fitted to its others: probabilities (n, classes),
    zeros for images that none holds out.

    Args:
        images: those that `rows` are of.
        rows: the images that have features.
        x: their features, (n, F).
        folds: positions in `rows`.
    """
    labels, classes = images.labels[rows], len(images.classes)
    if len(folds) > 2:  # all probes are then solved together
        return out_of_fold(x, labels, classes, [fold.held_out for fold in folds])
    found = np.zeros((len(rows), classes), np.float32)
    for fold in folds:
        inner = folds_of(images, rows[fold.train], seed=0)
        fitted = fit_probe(x[fold.train], labels[fold.train], classes, inner)
        found[fold.held_out] = predict(fitted, x[fold.held_out])
    return found


def _probes(probed: Sequence[ProbedCut], seen: PooledFeatures, strata: Strata, margin: float) -> list[Probe]:
    """Every probe with its accuracy, and its difference from that of the whole network."""
    best = max(probed, key=lambda each: strata.accuracy(each.hits))
    rows = []
    for each in probed:
        pair = paired_difference(probed[-1].hits, each.hits, strata)
        low, high = pair.interval()
        rows.append(
            Probe(
                place=each.cut.place,
                depth=depth(each.network),
                parameters=parameters(each.network),
                macs=macs(each.network),
                milliseconds=1000 * seen.seconds[each.cut.place],
                accuracy=accuracy(round(float(each.hits.sum())), len(each.hits)),
                difference=pair.value,
                low=low,
                high=high,
                ruled_out=each is not best and paired_difference(best.hits, each.hits, strata).lower > margin,
            )
        )
    return rows


def _proposal(
    probes: Sequence[Probe], probed: Sequence[ProbedCut], strata: Strata, question: Question
) -> tuple[Probe, str, Difference | None]:
    """The place to cut that the probes propose, the reason, and how far the place before it is behind the best."""
    if question.target is not None:
        proposed = next((row for row in probes if row.accuracy.value >= question.target), probes[-1])
        reached = proposed.accuracy.value >= question.target
        reason = (
            f"the shallowest whose probe reaches {question.target:.1%}"
            if reached
            else f"as no probe reaches {question.target:.1%}, which fine-tuning may"
        )
        return proposed, reason, None
    number, proposed = next((number, row) for number, row in enumerate(probes) if not row.ruled_out)
    worse = None
    reason = f"the shallowest not ruled out as more than {points(question.margin)} worse than the best place"
    if number:
        best = max(probed, key=lambda each: strata.accuracy(each.hits))
        worse = paired_difference(best.hits, probed[number - 1].hits, strata)
        reason += (
            f" ({probes[number - 1].place} is {points(worse.value)} worse than {best.cut.place}, at least "
            f"{points(worse.lower)})"
        )
    return proposed, reason, worse


def _text(probes: Sequence[Probe], proposed: Probe, reason: str, resolves: float, most_frequent: float) -> str:
    """The proposal in sentences; `most_frequent` is the share of the most frequent class."""
    proposal = "the whole network" if proposed is probes[-1] else f"a cut after {proposed.place}"
    text = (
        f"with {probes[0].accuracy.count:,} images, differences below {points(resolves)} can't be told; the probes "
        f"propose {proposal} (depth {proposed.depth} of {probes[-1].depth}), {reason}; fine-tuning decides"
    )
    if max(row.accuracy.low for row in probes) <= most_frequent:
        text += f". But no probe is shown to beat always naming the most frequent class ({most_frequent:.1%})"
    return text
