"""Fine-tuning: going on with the training of a model on other images, of its classes or of new ones."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepenough.data.converted import prepare_for_model
from deepenough.data.images import Images
from deepenough.data.mirroring import decide_mirroring
from deepenough.data.sources import check_data_is_given, from_anywhere, open_source
from deepenough.data.split import Index
from deepenough.errors import DeepenoughError
from deepenough.evaluation.metrics import metrics
from deepenough.experiment.chosen_recipe import chosen_recipe
from deepenough.experiment.options import Options, fit_options
from deepenough.model import Model
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.nets.layers import Dense, Weighted
from deepenough.nets.shapes import visits
from deepenough.probing.linear_probe import fit_probe
from deepenough.probing.probe import folds_of
from deepenough.progress import Reporter, reporting
from deepenough.schema import Section
from deepenough.search.folds_progress import FoldsProgress
from deepenough.training.callbacks import ReportProgress
from deepenough.training.device import choose_device
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.freezing import frozen_text
from deepenough.training.loggers import GivenCallbacks, callbacks_of, check_callbacks
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

SECTIONS = (Section.TRAINING, Section.AUGMENTATION)
OTHERS = ("seed", "limit", "duplicates", "device", "precision", "compiled")
"""Options of `fit` that fine-tuning has beside those of training and augmentation."""

PROBE_IMAGES = 10_000
"""Training images that a new head is fitted on first."""


def fine_tune(
    model: Model,
    data: Any,
    *,
    progress: bool | Reporter = True,
    callbacks: GivenCallbacks = (),
    value_range: tuple[float, float] | None = None,
    **options: Any,
) -> Model:
    """Go on with the training of a model on labelled images, as `Model.fine_tune` says."""
    check_data_is_given(data, "model.fine_tune()")
    check_callbacks(callbacks)
    asked = _asked(data, options)
    network: Network = model.network
    state: Mapping[str, torch.Tensor] = {name: each.cpu() for name, each in model.module.state_dict().items()}
    with reporting(progress) as reporter:
        source = open_source(data, value_range or model.preprocess.value_range, reporter=reporter)
        images = prepare_for_model(
            source, model.preprocess, reporter,
            seed=asked.seed, limit=asked.limit, leave_out=asked.leaves_duplicates_out,
        )  # fmt: skip
        device = choose_device(options.get("device") or str(model.device))
        if set(images.classes) <= set(model.classes):
            images = _by_model(images, model)
        else:
            reporter.say(f"the classes are others than the model's: it gets a new head for {len(images.classes)}")
            network, state = _with_new_head(model, state, images, device, asked.seed)
        mirroring = decide_mirroring(images, asked.seed, strength=asked.augment, switches=asked.switches)
        images = replace(images, mirror=mirroring.on)
        recipe = replace(chosen_recipe(asked, images, pretrained=True), device=str(device))
        if recipe.freeze:
            reporter.say(f"{network.name}: {frozen_text(network, recipe.freeze)}")
        spec = TrainingSpec(network, recipe, images.split.train, images.split.validation, asked.seed, state)
        with tempfile.TemporaryDirectory() as folder, reporter.task(f"fine-tuning {network.name}") as advance:
            watcher = ReportProgress(partial(FoldsProgress(advance, 1).report, 0))
            trained = train(spec, images, Path(folder), [watcher, *callbacks_of(callbacks, network.name)])
        tuned = Model(network, trained.state, model.preprocess, images.classes, model.device)
        _judge(tuned, images, reporter)
    return tuned


def _asked(data: Any, options: dict[str, Any]) -> Options:
    """The options, which have to be among those of fine-tuning."""
    known = [name for name, each in fit_options().items() if each.section in SECTIONS or name in OTHERS]
    for name in options:
        if name not in known:
            raise DeepenoughError(f"fine_tune(): {name} is none of its options; they are {', '.join(sorted(known))}")
    return Options.of(data=from_anywhere(data), **options)


def _by_model(images: Images, model: Model) -> Images:
    """The images with the classes of the model, in its order."""
    places = np.array([model.classes.index(name) for name in images.classes], np.int64)
    if model.classes == images.classes:
        return images
    return replace(images, classes=model.classes, labels=places[images.labels])


def _with_new_head(
    model: Model, old: Mapping[str, torch.Tensor], images: Images, device: torch.device, seed: int
) -> tuple[Network, Mapping[str, torch.Tensor]]:
    """The network for the classes of the images. A dense layer at its end begins as a linear probe of what it reads;
    another one with random weights."""
    network = model.network.with_classes(len(images.classes))
    fresh = build(network, seed).state_dict()
    *_, last = (visit for visit in visits(network) if isinstance(visit.layer, Weighted))
    state = {
        name: each if name.startswith(f"{last.path}.") or old[name].shape != each.shape else old[name]
        for name, each in fresh.items()
    }
    if not isinstance(last.layer, Dense) or not last.layer.bias or len(last.input) != 1:
        return network, state
    rows = np.sort(np.random.default_rng(seed).permutation(images.split.train)[:PROBE_IMAGES])
    features = _features(model, images, rows, last.path, device)
    folds = folds_of(images, rows, seed)
    probe = fit_probe(features, images.labels[rows], len(images.classes), folds)
    weight = probe.weight / probe.std
    state[f"{last.path}.weight"], state[f"{last.path}.bias"] = weight, probe.bias - weight @ probe.mean
    return network, state


def _features(model: Model, images: Images, rows: Index, path: str, device: torch.device) -> Any:
    """The values that the layer at `path` reads of the images: float32 (n, F)."""
    module = build(model.network)
    module.load_state_dict(model.module.state_dict())
    module = module.to(device)
    found: list[torch.Tensor] = []
    module.get_submodule(path).register_forward_pre_hook(lambda _, given: found.append(given[0].float().cpu()))
    as_model = replace(images, classes=model.classes)  # the module still has its own head
    predict_probabilities(module, as_model, rows, model.preprocess, device)
    return torch.cat(found).numpy()


def _judge(tuned: Model, images: Images, reporter: Reporter) -> None:
    """Measure a model on images that it has not seen, and tell the user its accuracy."""
    held_out = "test" if len(images.split.test) else "validation"
    rows = getattr(images.split, held_out)
    probabilities = predict_probabilities(tuned.module, images, rows, tuned.preprocess, tuned.device)
    tuned.held_out = metrics(probabilities, images.labels[rows])
    top1 = tuned.held_out.top1
    reporter.say(
        f"{tuned.network.name}: right on {top1.value:.1%} of {top1.count:,} {held_out} images, which it was not "
        f"trained on ({top1.low:.1%} to {top1.high:.1%})"
    )
