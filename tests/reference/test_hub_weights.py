"""Networks of timm and transformers on the hub: their own files, as they write them, give the same logits here."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_stand_in import HubStandIn, Repository, hub_of
from PIL import Image
from safetensors.torch import save
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets.layers import LayerNorm
from deepenough.nets.shapes import visits
from deepenough.nets.zoo.timm_models import TIMM_MODELS
from deepenough.weights import load_weights
from deepenough.weights.imagenet import class_names
from deepenough.weights.timm_config import as_timm

pytestmark = pytest.mark.seconds(60)

NAME = "timm/network"
FIXTURES = Path(__file__).parent.parent / "fixtures" / "transformers"
SMALL = ("mobilenetv3_small_100.lamb_in1k", "resnet18.a1_in1k", "vit_tiny_patch16_224.augreg_in21k_ft_in1k",
         "convnext_atto.d2_in1k", "tf_efficientnet_lite0.in1k")  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with hub_of(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def pushed(
    models: Any, filled: Any, hub: HubStandIn, tmp_path: Path
) -> Callable[..., tuple[nn.Module, dict[str, bytes]]]:
    """Puts a model of timm with random weights on the hub, in the files that timm writes for it."""
    timm = pytest.importorskip("timm")

    def push(model: str, *, safe: bool = True, **arguments: Any) -> tuple[nn.Module, dict[str, bytes]]:
        made = filled(lambda: timm.create_model(model, **arguments))
        folder = tmp_path / "written"
        timm.models.save_for_hf(made, folder, safe_serialization=safe)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        hub.repositories.setdefault(NAME, Repository(private=False)).commit(model, files)
        return made, files

    return push


def logits(model: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        given: Tensor = model(image)
    return given


def image(side: int = 64) -> Tensor:
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("model", SMALL)
def test_networks_of_timm(pushed: Any, same: Any, model: str) -> None:
    theirs, _ = pushed(model)
    found = load_weights(f"hf:{NAME}")
    name = model.partition(".")[0]
    assert (found.name, found.source, found.network.name) == (f"hf:{NAME}", "timm", TIMM_MODELS[name])
    assert found.classes == class_names()
    same(found, image(224 if name.startswith("vit") else 64), logits(theirs, image(224 if "vit" in name else 64)))


@pytest.mark.parametrize("model", SMALL)
def test_pictures_are_framed_as_timm_does(pushed: Any, model: str) -> None:
    """Sizes, crops, interpolation and normalisation: timm's own transform, but for a pixel at borders."""
    theirs, _ = pushed(model)
    data = pytest.importorskip("timm.data")
    transform = data.create_transform(**data.resolve_model_data_config(theirs))
    draws = np.random.default_rng(0).integers(0, 256, (12, 15, 3), dtype=np.uint8)
    picture = Image.fromarray(draws).resize((375, 300), Image.Resampling.BICUBIC)
    wanted, found = transform(picture), load_weights(f"hf:{NAME}").input
    mean, std = (torch.tensor(values)[:, None, None] for values in (found.mean, found.std))
    ours = (torch.from_numpy(found.frame(picture).copy()).permute(2, 0, 1) / 255 - mean) / std
    assert ours.shape == wanted.shape
    assert float((ours - wanted).abs().max()) < 1e-5


@pytest.mark.parametrize(
    "left_out", [{}, {"crop_pct": None}, {"mean": None, "interpolation": ""}, {"input_size": [3, 96, 96]}]
)
def test_what_timms_configuration_leaves_out_is_as_timm_takes_it(models: Any, left_out: dict[str, Any]) -> None:
    resolve = pytest.importorskip("timm.data").resolve_data_config
    given = {"num_classes": 1000} | {key: value for key, value in left_out.items() if value}
    wanted = resolve({}, pretrained_cfg=given)
    found = as_timm(Path("config.json"), left_out)
    assert (3, *found.size) == tuple(wanted["input_size"])
    assert (found.interpolation, found.mean, found.std) == (wanted["interpolation"], wanted["mean"], wanted["std"])
    assert found.shorter == int(found.size[0] / wanted["crop_pct"])


def test_pickled_weights_are_read_without_running_anything(pushed: Any, hub: HubStandIn, same: Any) -> None:
    theirs, files = pushed("mobilenetv3_small_100", safe=False, num_classes=7)
    assert "pytorch_model.bin" in files
    assert "model.safetensors" not in files
    found = load_weights(f"hf:{NAME}")
    assert (found.network.classes, found.classes) == (7, None)
    same(found, image(), logits(theirs, image()))


def test_safetensors_go_before_pickles(pushed: Any, hub: HubStandIn) -> None:
    pushed("resnet18", safe="both")
    load_weights(f"hf:{NAME}")
    assert not [path for _, path in hub.requests if path.endswith(".bin")]


def test_older_configurations_are_flat(pushed: Any, hub: HubStandIn, same: Any) -> None:
    """timm's reader takes the same of one in which `pretrained_cfg` is not apart."""
    theirs, files = pushed("tf_efficientnet_lite0")
    wanted = load_weights(f"hf:{NAME}")
    config = json.loads(files["config.json"])
    flat = {"architecture": config["architecture"], "num_features": config["num_features"], **config["pretrained_cfg"]}
    parse = pytest.importorskip("timm.models._hub")._parse_model_cfg
    read, name, _ = parse(dict(flat), {})
    assert (name, tuple(read["mean"])) == ("tf_efficientnet_lite0", wanted.input.mean)
    hub.repositories[NAME].commit("flat", {"config.json": json.dumps(flat).encode()})
    found = load_weights(f"hf:{NAME}")
    assert (found.network, found.input, found.classes) == (wanted.network, wanted.input, class_names())
    same(found, image(), logits(theirs, image()))


def test_a_transformer_for_another_size(pushed: Any, same: Any) -> None:
    theirs, _ = pushed("vit_tiny_patch16_224", img_size=(96, 64), num_classes=3)
    found = load_weights(f"hf:{NAME}")
    assert found.network.input == (3, 96, 64)
    picture = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    same(found, picture, logits(theirs, picture))


def test_a_body_without_a_head(pushed: Any) -> None:
    pushed("vit_tiny_patch16_224.augreg_in21k", num_classes=0)
    with pytest.raises(DeepenoughError, match="without its head"):
        load_weights(f"hf:{NAME}")
    found = load_weights(f"hf:{NAME}", needs_head=False)
    assert (found.headless, found.classes, found.input.mean) == (True, None, (0.5,) * 3)


def test_grey_images(pushed: Any, same: Any) -> None:
    theirs, _ = pushed("resnet18", in_chans=1, num_classes=4)
    found = load_weights(f"hf:{NAME}")
    picture = torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    assert (found.network.input[0], found.input.channels) == (1, 1)
    same(found, picture, logits(theirs, picture))


def test_a_network_that_is_not_known_is_refused_before_its_weights_are_fetched(pushed: Any, hub: HubStandIn) -> None:
    """The blur pools of ResNetBlur have no tensors: those of its file fit a ResNet-50, which computes otherwise."""
    pushed("resnetblur50")
    with pytest.raises(DeepenoughError, match=r"timm's architecture 'resnetblur50' is not known; nearest.*resnet50"):
        load_weights(f"hf:{NAME}")
    assert not [path for method, path in hub.requests if method == "GET" and path.endswith("model.safetensors")]


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("vit_tiny_patch16_224", {"qk_norm": True}, "made with qk_norm as model_args"),
        ("convnext_atto", {"global_pool": "max"}, "pools by 'max'; convnext_atto here by 'avg'"),
    ],
)
def test_arguments_that_change_a_model_are_refused(
    pushed: Any, model: str, arguments: dict[str, Any], message: str
) -> None:
    pushed(model, **arguments)
    with pytest.raises(DeepenoughError, match=message):
        load_weights(f"hf:{NAME}")


def test_a_revision_is_the_network_of_then(pushed: Any, hub: HubStandIn) -> None:
    pushed("resnet18", num_classes=3)
    first = hub.repositories[NAME].commits[-1][0]
    pushed("resnet18", num_classes=5)
    assert load_weights(f"hf:{NAME}").network.classes == 5
    found = load_weights(f"hf:{NAME}@{first}")
    assert (found.network.classes, found.name) == (3, f"hf:{NAME}@{first}")
    assert not any("commit" in note for note in found.notes)
    assert any(
        f"hf:{NAME}@{hub.repositories[NAME].commits[-1][0]}" in each for each in load_weights(f"hf:{NAME}").notes
    )
    with pytest.raises(DeepenoughError, match="no such repository or revision"):
        load_weights(f"hf:{NAME}@{'0' * 40}")


def test_what_was_fetched_loads_without_a_network_and_what_was_not_is_a_sentence(
    pushed: Any, hub: HubStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    pushed("resnet18", num_classes=3)
    wanted = load_weights(f"hf:{NAME}")
    hub.broken = 503
    assert load_weights(f"hf:{NAME}").sha256 == wanted.sha256
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_weights(f"hf:{NAME}").sha256 == wanted.sha256
    with pytest.raises(DeepenoughError, match="no copy of it was kept, and HF_HUB_OFFLINE is set"):
        load_weights("hf:timm/another")


def test_without_the_package_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DeepenoughError, match=r"huggingface_hub library, which is not installed: .*deepenough\[hub\]"):
        load_weights("hf:timm/mobilenetv3_small_100.lamb_in1k")


def test_a_damaged_copy_is_fetched_anew(pushed: Any, hub: HubStandIn, tmp_path: Path) -> None:
    pushed("resnet18", num_classes=3)
    wanted = load_weights(f"hf:{NAME}")
    (file,) = (tmp_path / "hub").rglob("snapshots/*/model.safetensors")
    content = file.read_bytes()
    file.resolve().write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert load_weights(f"hf:{NAME}").sha256 == wanted.sha256


def test_a_repository_of_something_else_is_refused(hub: HubStandIn) -> None:
    found = hub.repositories[NAME] = Repository(private=False)
    found.commit("other", {"model.safetensors": b"", "config.json": b'{"architecture": "mine"}'})
    with pytest.raises(DeepenoughError, match="nothing in that repository says which network it is"):
        load_weights(f"hf:{NAME}")
    found.commit("swin", {"config.json": b'{"model_type": "swin", "architectures": ["SwinForImageClassification"]}'})
    with pytest.raises(DeepenoughError, match="transformers' model_type 'swin' is not known; known: resnet"):
        load_weights(f"hf:{NAME}")
    found.commit("onnx", {"config.json": b'{"architecture": "resnet18", "num_classes": 2, "pretrained_cfg": {}}'})
    found.commits[-1][2].pop("model.safetensors")
    with pytest.raises(DeepenoughError, match=r"has no model\.safetensors and no pytorch_model\.bin"):
        load_weights(f"hf:{NAME}")


TRANSFORMERS: dict[str, tuple[str, dict[str, Any], str]] = {
    "vit": ("ViT", {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}, "vit_tiny_patch16_224"),
    "vit of another size": (
        "ViT",
        {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768, "image_size": 64},
        "vit_tiny_patch16_224",
    ),
    "convnext": ("ConvNext", {"depths": [2, 2, 6, 2], "hidden_sizes": [40, 80, 160, 320]}, "convnext_atto"),
    "resnet 18": (
        "ResNet",
        {"layer_type": "basic", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512]},
        "resnet18_torchvision",
    ),
    "resnet 50": ("ResNet", {}, "resnet50_v1_5"),
}


@pytest.mark.parametrize("case", TRANSFORMERS)
def test_networks_of_transformers(
    models: Any, filled: Any, hub: HubStandIn, tmp_path: Path, same: Any, case: str
) -> None:
    """Networks with random weights that transformers itself writes, with its own processor of images."""
    transformers = pytest.importorskip("transformers")
    kind, sizes, network = TRANSFORMERS[case]
    classes = {number: f"class {number}" for number in range(5)}
    config = getattr(transformers, f"{kind}Config")(**sizes, id2label=classes)
    made = getattr(transformers, f"{kind}ForImageClassification")(config)
    theirs = filled(lambda: made)  # since its own start leaves next to nothing of a ConvNeXt's blocks
    theirs.save_pretrained(tmp_path / "written")
    processor = getattr(transformers, f"{'ViT' if kind == 'ViT' else 'ConvNext'}ImageProcessor")
    side = sizes.get("image_size", 224)
    size = {"height": side, "width": side} if kind == "ViT" else {"shortest_edge": side}
    processor = processor(size=size, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.25, 0.3])
    processor.save_pretrained(tmp_path / "written")
    files = {path.name: path.read_bytes() for path in (tmp_path / "written").iterdir()}
    hub.repositories[NAME] = Repository(private=False)
    hub.repositories[NAME].commit(case, files)
    found = load_weights(f"hf:{NAME}")
    assert (found.network.name, found.source, found.classes) == (network, "transformers", tuple(classes.values()))
    with torch.no_grad():
        same(found, image(side), theirs(image(side)).logits)
    draws = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(draws).resize((400, 400), Image.Resampling.BICUBIC)
    wanted = processor(picture, return_tensors="pt")["pixel_values"][0]
    mean, std = (torch.tensor(values)[:, None, None] for values in (found.input.mean, found.input.std))
    ours = (torch.from_numpy(found.input.frame(picture).copy()).permute(2, 0, 1) / 255 - mean) / std
    assert ours.shape == wanted.shape
    apart = 255 * std * (ours - wanted).abs()
    print(f"\nMEASURED pixels apart by {float(apart.max()):.2f}, on average {float(apart.mean()):.3f} of 255")  # noqa: T201
    assert float(apart.max()) < 2.1  # torchvision resizes whole numbers otherwise than Pillow
    assert float(apart.mean()) < 0.05
    last = [visit.layer.eps for visit in visits(found.network) if isinstance(visit.layer, LayerNorm)][-1:]
    assert last == ([] if kind == "ResNet" else [1e-12])


VIT_NAMES = {
    r"^cls_token": "vit.embeddings.cls_token", r"^pos_embed": "vit.embeddings.position_embeddings",
    r"^patch_embed\.proj": "vit.embeddings.patch_embeddings.projection", r"^blocks\.": "vit.encoder.layer.",
    r"\.norm1\.": ".layernorm_before.", r"\.norm2\.": ".layernorm_after.",
    r"\.attn\.proj\.": ".attention.output.dense.",
    r"\.mlp\.fc1\.": ".intermediate.dense.", r"\.mlp\.fc2\.": ".output.dense.", r"^norm\.": "vit.layernorm.",
    r"^head\.": "classifier.",
}  # fmt: skip
CONVNEXT_NAMES = {
    r"^stem\.0": "convnext.embeddings.patch_embeddings", r"^stem\.1": "convnext.embeddings.layernorm",
    r"\.downsample\.": ".downsampling_layer.", r"\.blocks\.": ".layers.", r"\.conv_dw\.": ".dwconv.",
    r"\.norm\.(?=weight|bias)": ".layernorm.", r"\.mlp\.fc": ".pwconv", r"\.gamma$": ".layer_scale_parameter",
    r"^stages\.": "convnext.encoder.stages.", r"^head\.layernorm": "convnext.layernorm", r"^head\.fc": "classifier",
}  # fmt: skip
"""transformers' names by patterns of timm's."""


@pytest.mark.parametrize("kind", ["vit", "convnext"])
def test_transformers_names_and_configuration(
    models: Any, filled: Any, hub: HubStandIn, same: Any, kind: str, tmp_path: Path
) -> None:
    """timm's tensors by transformers' names, beside the configurations that transformers 5.24 wrote."""
    timm = pytest.importorskip("timm")
    model, renames = {"vit": ("vit_tiny_patch16_224", VIT_NAMES), "convnext": ("convnext_atto", CONVNEXT_NAMES)}[kind]
    theirs, named = filled(lambda: timm.create_model(model, num_classes=5)), {}
    for name, tensor in theirs.state_dict().items():
        for pattern, other in renames.items():
            name = re.sub(pattern, other, name)
        if ".attn.qkv." in name:
            parts = ("query", "key", "value")
            place = name.replace("attn.qkv", "attention.attention.{}")
            named |= {place.format(each): part.clone() for each, part in zip(parts, tensor.chunk(3), strict=True)}
        elif kind == "convnext" and ".pwconv" in name and name.endswith("weight"):
            named[name] = tensor.flatten(1)
        else:
            named[name] = tensor
    files = {path.name: path.read_bytes() for path in (FIXTURES / kind).iterdir()}
    hub.repositories[NAME] = Repository(private=False)
    hub.repositories[NAME].commit(kind, {**files, "model.safetensors": save(named)})
    found = load_weights(f"hf:{NAME}")
    assert (found.source, found.classes) == ("transformers", tuple(f"class {n}" for n in range(5)))
    same(found, image(224), logits(theirs, image(224)))
    assert any("squeezed into a square" in note for note in found.notes) == (kind == "vit")
    assert found.input.shorter == {"vit": None, "convnext": 256}[kind]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"depths": [3, 3, 27, 4]},
            r"convnext of depths \[3, 3, 27, 4\], .* is not among .* convnext_atto, convnext_tiny",
        ),
        ({"hidden_act": "relu"}, "its hidden_act is 'relu', that of convnext_atto is 'gelu'"),
        ({"layer_norm_eps": "small"}, "its layer_norm_eps is 'small'"),
    ],
)
def test_other_configurations_of_transformers_are_refused(
    hub: HubStandIn, change: dict[str, Any], message: str
) -> None:
    files = {path.name: path.read_bytes() for path in (FIXTURES / "convnext").iterdir()}
    config = {**json.loads(files["config.json"]), **change}
    hub.repositories[NAME] = Repository(private=False)
    hub.repositories[NAME].commit("other", {**files, "config.json": json.dumps(config).encode()})
    with pytest.raises(DeepenoughError, match=message):
        load_weights(f"hf:{NAME}")


def test_a_processor_that_is_damaged_is_a_sentence(hub: HubStandIn) -> None:
    files = {path.name: path.read_bytes() for path in (FIXTURES / "convnext").iterdir()}
    processor = {**json.loads(files["preprocessor_config.json"]), "size": {"shortest_edge": "all"}}
    hub.repositories[NAME] = Repository(private=False)
    hub.repositories[NAME].commit("x", {**files, "preprocessor_config.json": json.dumps(processor).encode()})
    with pytest.raises(DeepenoughError, match=r"preprocessor_config\.json can't be read \(size 'all'\)"):
        load_weights(f"hf:{NAME}")
