"""The layers of a trained model: filters, exciting patches, and the accuracy of a linear probe at every depth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from deepenough.data.converted import prepare_for_model
from deepenough.data.images import Images
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError
from deepenough.evaluation.evaluate import own_images
from deepenough.files import sha256, write_whole
from deepenough.language import gettext as _
from deepenough.language import sentence_space, speaking
from deepenough.model import FOLDER, WEIGHTS, Model, load
from deepenough.nets.layers import Conv
from deepenough.nets.shapes import visits
from deepenough.probing.patches import patches
from deepenough.probing.probe import probe_weights
from deepenough.progress import Reporter
from deepenough.record import FILE
from deepenough.record import load as load_record
from deepenough.record.base import RecordModel
from deepenough.record.pictures import Patches
from deepenough.record.schema import Probe, ProbingRecord
from deepenough.report import text as words
from deepenough.report.html import data_address, fill_template
from deepenough.search.question import DecisionBasis, Question
from deepenough.weights import Weights

PAGE, NUMBERS, FILTERS = "features.html", "features.json", "filters.png"
_TILE, _GAP, _ACROSS, _MOST_FILTERS = 44, 4, 16, 64


class FeaturesRecord(RecordModel):
    """`features.json`: the probes by depth, the patches, and the picture of the first layer's filters."""

    model: str
    images: str
    probing: ProbingRecord
    patches: list[Patches]
    filters: str


@dataclass(frozen=True)
class FeatureImages:
    """The images: `probed` are those that the model was not trained on, from `shown` the patches are cut.

    `source` is named where they are not the run's own.
    """

    images: Images
    probed: npt.NDArray[np.int64]
    shown: npt.NDArray[np.int64]
    source: str | None = None

    @property
    def description(self) -> str:
        """The probed images in words."""
        count = f"{len(self.probed):,}"
        if self.source is None:
            return _("%(count)s images that the model was not trained on", count=count)
        return _("%(count)s images of %(source)s", count=count, source=self.source)


def show_features(
    run: str | Path,
    data: Any = None,
    *,
    out: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
    language: str | None = None,
) -> tuple[FeaturesRecord, Path]:
    """Show the filters, the exciting patches and the linear probes of a run's model on a page.

    `data` is by default what the run was made from; then the probes are fitted and judged, out of fold, on the images
    that the model was not trained on, since features that know an image by heart say too much about it. `limit`: at
    most so many images of each split. `language` of the page is "en" or "zh", by default that of the locale.
    """
    folder = Path(run)
    reporter, model = reporter or Reporter(), load(folder)
    chosen = _images(folder, model, data, limit, seed, reporter)
    split = replace(chosen.images.split, train=chosen.probed, validation=np.empty(0, np.int64))
    images = replace(chosen.images, split=split)
    probing = probe_weights(_weights(folder, model), images, Question(seed=seed), reporter=reporter).record
    place = Path(out) if out is not None else folder / "features"
    place.mkdir(parents=True, exist_ok=True)
    filter_sheet(model).save(place / FILTERS)
    found = FeaturesRecord(
        model=str(run),
        images=chosen.description,
        probing=probing,
        patches=patches(model, chosen.images, chosen.shown, place),
        filters=FILTERS,
    )
    write_whole(place / NUMBERS, found.model_dump_json(indent=1))
    with speaking(language):
        page = features_page(found, place, chosen)
    write_whole(place / PAGE, page)
    return found, place / PAGE


def _images(folder: Path, model: Model, data: Any, limit: int | None, seed: int, reporter: Reporter) -> FeatureImages:
    record = load_record(folder) if (folder / FILE).is_file() else None
    if data is None and record is None:
        raise DeepenoughError(f"{folder}: this is a model without a run; give the DATA to use")
    wanted: Any = record.options["data"] if data is None and record else data
    source = open_source(wanted, model.preprocess.value_range, reporter=reporter)
    own = own_images(folder, model, source, wanted)
    if own is None or record is None:
        images = prepare_for_model(source, model.preprocess, reporter, seed=seed, limit=limit)
        every = np.sort(np.concatenate([images.split.train, images.split.validation, images.split.test]))
        return FeatureImages(images, every, every, source.name)
    own = own if limit is None else own.subset(limit, seed)
    folds = record.decision_images.kind is DecisionBasis.OUT_OF_FOLD
    probed = own.split.test if folds else np.sort(np.concatenate([own.split.validation, own.split.test]))
    images = replace(own, preprocess=model.preprocess)
    return FeatureImages(images, probed, own.split.train)


def _weights(folder: Path, model: Model) -> Weights:
    """The model as weights to probe."""
    file = (folder / FOLDER if (folder / FOLDER).is_dir() else folder) / WEIGHTS
    state = {name: tensor.float() for name, tensor in model.module.state_dict().items()}
    return Weights(model.network.name, "this run", model.network, state, model.preprocess, sha256(file), model.classes)


def filter_sheet(model: Model) -> Image.Image:
    """The first convolution's filters, each stretched to its own range: colours where it sees colours, else grey."""
    path = next(visit.path for visit in visits(model.network) if isinstance(visit.layer, Conv))
    weight = model.module.get_parameter(f"{path}.weight").detach().float().cpu()
    if weight.shape[1] != 3:
        weight = weight.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    elif model.preprocess.order == "BGR":
        weight = weight.flip(1)
    shown = weight[:_MOST_FILTERS]
    low, high = shown.amin((1, 2, 3), keepdim=True), shown.amax((1, 2, 3), keepdim=True)
    pixels = ((shown - low) / (high - low).clamp(min=1e-12) * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    rows = -(-len(pixels) // _ACROSS)
    step = _TILE + _GAP
    sheet = Image.new("RGB", (min(len(pixels), _ACROSS) * step - _GAP, rows * step - _GAP), "white")
    for number, each in enumerate(pixels):
        tile = Image.fromarray(each).resize((_TILE, _TILE), Image.Resampling.NEAREST)
        sheet.paste(tile, (number % _ACROSS * step, number // _ACROSS * step))
    return sheet


def describe_probes(probes: Sequence[Probe]) -> str:
    """Describe how the probes' accuracy changes with depth, from the numbers alone."""
    first, last = probes[0], probes[-1]
    best = max(probes, key=lambda probe: probe.accuracy.value)  # the shallowest of equals
    told = [
        _(
            "A linear probe does best after %(place)s (depth %(depth)s): it is right on %(share)s of the images.",
            place=best.place, depth=best.depth, share=words.percent(best.accuracy.value),
        )
    ]  # fmt: skip
    if best is not first:
        rise = f"{100 * (best.accuracy.value - first.accuracy.value):.1f}"
        told.append(
            _("From the first place, %(place)s, to there it rises by %(rise)s points.", place=_at(first), rise=rise)
        )
    if best is not last:
        told.append(_at_the_end(best, last))
    return sentence_space().join(told)


def _at_the_end(best: Probe, last: Probe) -> str:
    """Compare the last place with the best."""
    if best.difference == 0:
        return _("At the end, %(place)s, it is no better.", place=_at(last))
    low, high = 100 * -best.high, 100 * -best.low
    figures = {"place": _at(last), "fall": f"{100 * -best.difference:.1f}", "low": f"{low:.1f}", "high": f"{high:.1f}"}
    if low <= 0:
        return _(
            "From there to the end, %(place)s, it falls by %(fall)s points (95%% interval %(low)s to %(high)s, so "
            "perhaps by chance).",
            **figures,
        )
    return _(
        "From there to the end, %(place)s, it falls by %(fall)s points (95%% interval %(low)s to %(high)s).", **figures
    )


def _at(probe: Probe) -> str:
    share = words.percent(probe.accuracy.value)
    return _("%(place)s (depth %(depth)s, %(share)s)", place=probe.place, depth=probe.depth, share=share)


def features_page(found: FeaturesRecord, folder: Path, images: FeatureImages) -> str:
    """One HTML file that needs nothing else."""
    content = {
        "found": found,
        "images": images.description,
        "course": describe_probes(found.probing.probes),
        "filters": data_address(folder, found.filters),
        "patches": [(each, data_address(folder, each.picture)) for each in found.patches],
        "top": max(probe.accuracy.value for probe in found.probing.probes),
    }
    filters: dict[str, Callable[..., str]] = {"percent": words.percent, "interval": words.interval_text}
    return fill_template("explain", "features.html", content, filters=filters)
