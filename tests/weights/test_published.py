"""Publishers' configurations beside a file of weights: what they leave out, what they get wrong, what they hide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepenough.errors import DeepenoughError
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.vit import with_positions
from deepenough.preprocessing import IMAGENET_MEAN, Preprocessing
from deepenough.weights.imagenet import class_names
from deepenough.weights.inputs import image_input
from deepenough.weights.published import Published, distinct, published, published_as

VIT = {
    "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 192, "num_attention_heads": 3,
    "intermediate_size": 768, "image_size": 384,
}  # fmt: skip
PROCESSOR = {"size": {"height": 384, "width": 384}, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def stated(folder: Path, config: Any, processor: Any = None, network: str | None = None) -> Published:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")
    found = published_as(folder / "model.safetensors", network)
    assert found is not None
    return found


def of_timm(model: str, **images: Any) -> dict[str, Any]:
    return {"architecture": model, "num_classes": 1000, "pretrained_cfg": {"input_size": [3, 224, 224], **images}}


def test_a_transformer_for_384_pixels_gets_these_whatever_says_how_they_are_normalised(tmp_path: Path) -> None:
    found = stated(tmp_path, VIT)
    assert found.input is None
    assert found.network.input == (3, 384, 384)
    for preprocess in (None, "timm"):
        assert image_input(tmp_path / "w", preprocess, "transformers", found.network).size == (384, 384)
    cut = image_input(tmp_path / "w", "torchvision", "", with_positions(NETWORKS["vit_tiny_patch16_224"](), (448, 448)))
    assert (cut.size, cut.shorter) == ((448, 448), 512)


def test_the_side_that_a_model_was_made_with_goes_before_that_of_its_pretrained_weights(tmp_path: Path) -> None:
    config = {**of_timm("vit_tiny_patch16_224"), "model_args": {"img_size": 384}}
    found = stated(tmp_path, config)
    assert found.network.input == (3, 384, 384)
    assert found.input is not None
    assert found.input.size == (384, 384)


def test_saying_the_network_hides_no_other_error_of_the_configuration(tmp_path: Path) -> None:
    dilated = {**of_timm("resnet50"), "model_args": {"output_stride": 8}}
    for network in (None, "resnet50_v1_5"):
        with pytest.raises(DeepenoughError, match="made with output_stride as model_args"):
            stated(tmp_path, dilated, network=network)
    with pytest.raises(DeepenoughError, match="can't be read"):
        stated(tmp_path, VIT, {**PROCESSOR, "size": "large"}, "vit_tiny_patch16_224")
    (tmp_path / "config.json").write_text(json.dumps(of_timm("resnetblur50")), encoding="utf-8")
    assert published_as(tmp_path / "model.safetensors", "resnet50_v1_5") is None
    with pytest.raises(DeepenoughError, match="resnetblur50"):
        published(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ({"input_size": [3, 10**7, 10**7]}, "10000000x10000000"),
        ({"input_size": [3, 0, 0]}, "images of 0x0"),
        ({"crop_pct": 1e-9}, "shorter side of"),
        ({"mean": [float("nan")] * 3}, "mean .nan"),
    ],
)
def test_sides_that_no_network_takes_and_means_that_are_no_numbers_are_refused(
    tmp_path: Path, images: dict[str, Any], message: str
) -> None:
    with pytest.raises(DeepenoughError, match=message):
        stated(tmp_path, of_timm("resnet18", **images))


def test_sides_of_transformers_are_bounded_too(tmp_path: Path) -> None:
    config = {"model_type": "convnext", "architectures": [], "depths": [2, 2, 6, 2], "hidden_sizes": [40, 80, 160, 320]}
    processor = {"size": {"shortest_edge": 224}, "crop_pct": 1e-7, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    with pytest.raises(DeepenoughError, match="2240000000"):
        stated(tmp_path, config, processor)


def test_one_number_may_stand_for_all_channels_and_a_field_that_lacks_is_named(tmp_path: Path) -> None:
    found = stated(tmp_path, VIT, {**PROCESSOR, "image_mean": 0.4, "image_std": 0.2})
    assert found.input is not None
    assert (found.input.mean, found.input.std) == ((0.4,) * 3, (0.2,) * 3)
    with pytest.raises(DeepenoughError, match=r"preprocessor_config\.json lacks 'image_std'"):
        stated(tmp_path, VIT, {key: value for key, value in PROCESSOR.items() if key != "image_std"})


def test_a_pool_that_is_a_list_is_refused_by_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match=r"pools by \"\['avg'\]\""):
        stated(tmp_path, {**of_timm("resnet18"), "global_pool": ["avg"]})


@pytest.mark.parametrize(("tag", "named"), [("in12k_ft_in1k_384", True), ("a1_in1k", True), ("in12k", False)])
def test_classes_have_imagenets_names_where_the_last_training_was_on_it(tmp_path: Path, tag: str, named: bool) -> None:
    found = stated(tmp_path, of_timm("convnext_tiny", tag=tag))
    assert found.classes == (class_names() if named else None)


def test_names_that_occur_again_have_their_number() -> None:
    assert distinct({0: "crane", 1: "cat", 2: "crane"}) == ("crane", "cat", "crane (2)")
    assert distinct({0: "crane", 2: "cat"}) is None
    many = distinct(dict.fromkeys(range(100_000), "x"))  # at once, not after an hour
    assert many is not None
    assert many[-1] == "x (99999)"


def test_a_preprocessing_has_finite_numbers() -> None:
    with pytest.raises(DeepenoughError, match="give as many numbers"):
        Preprocessing((32, 32), mean=(float("inf"), 0.0, 0.0), std=IMAGENET_MEAN)
