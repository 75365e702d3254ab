"""Features at every depth, their cache, grey images, and the start of fine-tuning, with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deepenough.data.images import Images
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options
from deepenough.nets import NETWORKS, Dense, Flatten, Network, Relu
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.probing import features as module
from deepenough.probing.features import fitting_cuts, pooled_features
from deepenough.probing.images import images_for_weights
from deepenough.probing.probe import initial_state, probe_weights
from deepenough.progress import Reporter
from deepenough.search.folds import decision_folds
from deepenough.search.question import Question
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.feed import Loader, normalise
from deepenough.weights import Weights
from deepenough.weights.grey import grey

CPU = torch.device("cpu")
UNEVEN = Preprocessing((48, 48), 56, order="BGR", mean=(0.4, 0.45, 0.5), std=(0.2, 0.25, 0.3))


def random_weights(name: str, given: Preprocessing = UNEVEN, seed: int = 0) -> Weights:
    network = NETWORKS[name]().with_input((3, *given.size))
    draws = torch.Generator().manual_seed(seed)
    state = build(network, seed).state_dict()
    for key, values in state.items():
        if key.endswith("running_mean"):
            values.normal_(0, 0.2, generator=draws)
        elif key.endswith("running_var"):
            values.uniform_(0.5, 1.5, generator=draws)
    return Weights(name, "nobody", network, state, given, f"{name} {seed}")


@pytest.fixture(scope="module")
def prepared(shapes: Path) -> tuple[Weights, Images]:
    asked = Options(framing="source")
    return images_for_weights(random_weights("squeezenet1_1"), open_source(shapes), asked, Reporter())


def test_features_are_means_and_maxima_of_the_networks_own_maps(prepared: tuple[Weights, Images]) -> None:
    weights, images = prepared
    rows = np.arange(5, 40, 3)
    found = pooled_features(weights, images, rows, CPU, Reporter())
    whole = build(weights.network)
    whole.load_state_dict(dict(weights.state))
    whole.eval()
    heard: list[torch.Tensor] = []
    whole.get_submodule("fire4").register_forward_hook(lambda _, __, out: heard.append(out))
    with torch.inference_mode():
        whole(normalise(Loader(images, CPU).raw(rows), images.preprocess))
    wanted = np.concatenate([heard[0].mean((2, 3)).numpy(), heard[0].amax((2, 3)).numpy()], axis=1)
    np.testing.assert_allclose(found.pooled["fire4"], wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.of("fire4", rows[[1, 4]]), found.pooled["fire4"][[1, 4]])
    times = list(found.seconds.values())
    assert all(time > 0 for time in times)
    assert times == sorted(times)


def test_a_second_pass_is_read_from_the_cache(
    prepared: tuple[Weights, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, images = prepared
    rows = np.arange(0, 30)
    first = pooled_features(weights, images, rows, CPU, Reporter())
    monkeypatch.setattr(module, "_pass", lambda *_: pytest.fail("the images went through the network again"))
    again = pooled_features(weights, images, rows, CPU, Reporter())
    for place, values in first.pooled.items():
        np.testing.assert_array_equal(again.pooled[place], values)
    with pytest.raises(pytest.fail.Exception):
        pooled_features(replace(weights, sha256="another file"), images, rows, CPU, Reporter())


def test_the_channels_order_and_the_sources_mean_reach_the_network(prepared: tuple[Weights, Images]) -> None:
    weights, images = prepared
    pixels = np.asarray(images.pixels[:1])[0]
    got = normalise(Loader(images, CPU).raw(np.array([0])), images.preprocess)[0].numpy()
    for channel, source in enumerate((2, 1, 0)):
        wanted = (pixels[..., source] / 255 - weights.input.mean[channel]) / weights.input.std[channel]
        np.testing.assert_allclose(got[channel], wanted, atol=1e-5)


def test_places_behind_a_flatten_fall_away_at_another_size(prepared: tuple[Weights, Images]) -> None:
    _, images = prepared
    fits = random_weights("alexnet_torchvision", replace(UNEVEN, size=(64, 64), shorter=64))
    small = replace(images, preprocess=replace(images.preprocess, size=(80, 80), shorter=None))
    same = replace(images, preprocess=replace(images.preprocess, size=(64, 64), shorter=None))
    assert [c.place for c in fitting_cuts(fits, small)[1]] == [f"conv{n}" for n in range(1, 6)]
    assert [c.place for c in fitting_cuts(fits, same)[1]][-2:] == ["dense1", "dense2"]


def test_a_network_without_features_is_a_sentence(prepared: tuple[Weights, Images]) -> None:
    _, images = prepared
    network = Network("Flat", (3, 8, 8), (Flatten(), Dense(5)))
    flat = Weights("flat", "nobody", network, build(network).state_dict(), replace(UNEVEN, size=(8, 8)), "flat")
    with pytest.raises(DeepenoughError, match=r"Flat: no layer with weights .*--scratch"):
        fitting_cuts(flat, images)
    behind = replace(flat, network=replace(network, stack=(Flatten(), Dense(7), Relu(), Dense(5))))
    with pytest.raises(DeepenoughError, match=r"images of 8 x 8 only, and the images are 48 x 48; give --size 8"):
        fitting_cuts(behind, images)


def test_a_started_network_predicts_as_its_probe(prepared: tuple[Weights, Images]) -> None:
    weights, images = prepared
    probing = probe_weights(weights, images, Question())
    rows = images.split.train
    probed = probing.cuts[4]
    probe = probing.fit_probe(probed, rows)
    model = build(probed.network)
    model.load_state_dict(initial_state(weights, probed.network, probe))
    got = predict_probabilities(model, images, rows, images.preprocess, CPU)
    x = (probing.features.of(probed.cut.place, rows) - probe.mean.numpy()) / probe.std.numpy()
    logits = torch.from_numpy(x.astype(np.float32)) @ probe.weight.T + probe.bias
    np.testing.assert_allclose(got, logits.softmax(1).numpy(), atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_fine_tuning_starts_at_the_recorded_accuracy_of_its_probe(prepared: tuple[Weights, Images], count: int) -> None:
    """Exactly with one or two folds; with more, the probes are solved together, on one scale."""
    weights, images = prepared
    decision = decision_folds(images, 0.01, 0, count)
    probing = probe_weights(weights, images, Question(), CPU, Reporter(), decision)
    assert probing.record.images == len(decision.images)
    assert probing.record.folds == count
    for probed in probing.cuts[2:8:2]:
        starts = []
        for fold in decision.folds:
            model = build(probed.network)
            model.load_state_dict(initial_state(weights, probed.network, probing.fit_probe(probed, fold.train)))
            got = predict_probabilities(model, images, fold.held_out, images.preprocess, CPU)
            starts.append(got.argmax(1) == images.labels[fold.held_out])
        order = np.argsort(np.concatenate([fold.held_out for fold in decision.folds]))
        same = (np.concatenate(starts)[order] == probed.hits).mean()
        assert same == 1 if count < 3 else same > 0.8


def test_no_probe_is_fitted_to_the_validation_images_that_decide(prepared: tuple[Weights, Images]) -> None:
    weights, images = prepared
    decision = decision_folds(images, 0.01, 0, 1)
    before = probe_weights(weights, images, Question(), CPU, Reporter(), decision)
    labels = images.labels.copy()
    labels[images.split.validation] = (labels[images.split.validation] + 1) % len(images.classes)
    after = probe_weights(weights, replace(images, labels=labels), Question(), CPU, Reporter(), decision)
    judged = len(images.split.validation)
    for one, other in zip(before.cuts, after.cuts, strict=True):
        assert len(one.hits) == len(other.hits) == judged
        assert not (one.hits * other.hits).any(), "the predictions follow the labels"


def test_where_the_validation_split_decides_half_of_the_images_may_be_from_it(
    prepared: tuple[Weights, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, images = prepared
    monkeypatch.setattr("deepenough.probing.probe.PROBE_IMAGES", 30)
    probing = probe_weights(weights, images, Question(), CPU, Reporter(), decision_folds(images, 0.01, 0, 1))
    judged = np.intersect1d(probing.features.rows, images.split.validation)
    assert len(probing.features.rows) == 30
    assert probing.record.images == len(judged) == min(15, len(images.split.validation))


@pytest.mark.parametrize(("name", "close"), [("squeezenet1_1", 1e-4), ("resnet18_torchvision", 0.15)])
def test_grey_weights_see_a_grey_image_as_the_others_see_it_in_three_channels(name: str, close: float) -> None:
    """Exact without padding in the first layer; with it, all but the image's border."""
    weights = random_weights(name)
    alone = grey(weights)
    assert alone.input.mean == (pytest.approx(0.45),)
    assert grey(alone) is alone
    pixels = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    outputs = []
    for one, x in ((weights, pixels.expand(2, 3, 64, 64)), (alone, pixels)):
        model = build(one.network)
        model.load_state_dict(dict(one.state))
        mean, std = (torch.tensor(v).view(1, -1, 1, 1) for v in (one.input.mean, one.input.std))
        with torch.inference_mode():
            first = next(iter(model.eval().children()))
            outputs.append((first((x - mean) / std)[..., 4:-4, 4:-4], model((x - mean) / std)))
    (inner, logits), (grey_inner, grey_logits) = outputs
    torch.testing.assert_close(grey_inner, inner, rtol=1e-4, atol=1e-4)
    assert float((grey_logits - logits).abs().max()) <= close * float(logits.abs().max())
