"""The proposals of linear probes, made anew from the record's figures for a page in another language."""

from __future__ import annotations

from deepenough.language import Language, current_language, sentence_space
from deepenough.language import gettext as _
from deepenough.preprocessing import Preprocessing
from deepenough.record import Record
from deepenough.record.schema import ProbingRecord
from deepenough.report.text import percent, unsigned_points


def probing_text(record: Record, probing: ProbingRecord) -> str:
    """The proposal of one network's probes, in sentences."""
    proposed = next(probe for probe in probing.probes if probe.place == probing.proposed)
    whole = probing.probes[-1]
    figures = {
        "images": f"{probing.images:,}",
        "points": unsigned_points(probing.resolves),
        "place": proposed.place,
        "depth": proposed.depth,
        "whole": whole.depth,
        "reason": _reason(record, probing),
    }
    text = (
        _(
            "With %(images)s images, differences below %(points)s points can't be told; the probes propose the whole "
            "network (depth %(depth)s of %(whole)s), %(reason)s; fine-tuning decides.",
            **figures,
        )
        if proposed is whole
        else _(
            "With %(images)s images, differences below %(points)s points can't be told; the probes propose a cut after "
            "%(place)s (depth %(depth)s of %(whole)s), %(reason)s; fine-tuning decides.",
            **figures,
        )
    )
    share = probing.most_frequent
    if share is None or max(probe.accuracy.low for probe in probing.probes) > share:
        return text
    doubt = _("But no probe is shown to beat always naming the most frequent class (%(share)s).", share=percent(share))
    return sentence_space().join([text, doubt])


def _reason(record: Record, probing: ProbingRecord) -> str:
    """The reason for the place that the probes of one network propose."""
    target = record.question.target
    places = [probe.place for probe in probing.probes]
    number = places.index(probing.proposed)
    if target is not None:
        if probing.probes[number].accuracy.value >= target:
            return _("the shallowest whose probe reaches %(target)s", target=percent(target))
        return _("as no probe reaches %(target)s, which fine-tuning may", target=percent(target))
    margin = unsigned_points(probing.margin)
    if probing.behind is None or probing.behind_lower is None:
        return _("the shallowest not ruled out as more than %(margin)s points worse than the best place", margin=margin)
    best = max(probing.probes, key=lambda probe: probe.accuracy.value)
    return _(
        "the shallowest not ruled out as more than %(margin)s points worse than the best place (%(place)s is "
        "%(points)s points worse than %(best)s, at least %(lower)s points)",
        margin=margin, place=places[number - 1], best=best.place, points=unsigned_points(probing.behind),
        lower=unsigned_points(probing.behind_lower),
    )  # fmt: skip


def joined_text(record: Record) -> str | None:
    """The proposal of the probes of several networks together, in a sentence; None where the record lacks a probe."""
    joined = record.joined_probes
    assert joined is not None
    found = {f"{each.network}-{probe.place}": probe for each in record.probings for probe in each.probes}
    if joined.best not in found or joined.proposed not in found:
        return None
    target, proposed = record.question.target, found[joined.proposed]
    if target is None:
        reason = _(
            "the smallest that is not ruled out as more than %(margin)s points worse",
            margin=unsigned_points(record.question.margin),
        )
    elif proposed.accuracy.value >= target:
        reason = _("the smallest whose probe reaches %(target)s", target=percent(target))
    else:
        reason = _("as no probe of the search space reaches %(target)s, which fine-tuning may", target=percent(target))
    return _(
        "Of all %(cuts)s cuts of %(networks)s networks, the probe of %(best)s is the most accurate (%(accuracy)s); "
        "together the probes propose %(proposed)s, %(reason)s.",
        cuts=len(record.search_space), networks=len({each.family for each in record.search_space}), best=joined.best,
        accuracy=percent(found[joined.best].accuracy.value), proposed=joined.proposed, reason=reason,
    )  # fmt: skip


def input_text(probing: ProbingRecord) -> str | None:
    """The preparation of the images for a pretrained network."""
    return None if probing.preprocess is None else preprocessing_text(Preprocessing.from_json(probing.preprocess))


def preprocessing_text(given: Preprocessing) -> str:
    """The preparation of images, which `Preprocessing` itself says in English."""
    if current_language() is Language.ENGLISH:
        return str(given)
    height, width = given.size
    mean, std = (", ".join(f"{255 * each:.4g}" for each in values) for values in (given.mean, given.std))
    figures = {
        "size": f"{width}x{height}",
        "interpolation": given.interpolation,
        "values": f"{_('grey') if given.colours == 'grey' else given.colours} 0..255, ({mean}), ({std})",
    }
    if given.covers():
        return _("scaled to cover %(size)s (%(interpolation)s); values, mean and spread: %(values)s", **figures)
    return _(
        "shorter side %(shorter)s, centre %(size)s (%(interpolation)s); values, mean and spread: %(values)s",
        shorter=given.shorter,
        **figures,
    )
