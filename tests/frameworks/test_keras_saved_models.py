"""SavedModels that Keras 2 (tf_keras) writes give its logits here, though TensorFlow is not imported to read them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from deepenough.errors import DeepenoughError
from deepenough.nets.build import build
from deepenough.weights.read import read_weights

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.xdist_group("saved models of keras"),
    pytest.mark.seconds(120),
    pytest.mark.timeout(1500),
]

WRITE = """
import sys
import numpy as np, tensorflow as tf, tf_keras as keras
from tf_keras import layers as L

keras.utils.set_random_seed(0)
folder = sys.argv[1]
PLAIN = {"classes": 7, "classifier_activation": None}

def sequence():
    return keras.Sequential([
        L.Conv2D(8, 3, padding="same", activation="relu", input_shape=(16, 16, 3)), L.BatchNormalization(),
        L.MaxPooling2D(), L.Flatten(), L.Dropout(0.3), L.Dense(7),
    ])

def sequence_built_by_its_first_call():
    convolution = L.Conv2D(8, 3, strides=2, padding="same")
    model = keras.Sequential([convolution, L.ReLU(6.0), L.GlobalMaxPooling2D(), L.Dense(7)])
    model(np.zeros((1, 17, 15, 1), "float32"))
    return model

def residual():
    images = keras.Input((16, 16, 3))
    x = L.ReLU()(L.BatchNormalization(scale=False)(L.Conv2D(8, 3, padding="same", use_bias=False)(images)))
    y = L.BatchNormalization(center=False)(L.Conv2D(8, 3, padding="same")(x))
    x = L.Activation("relu")(L.add([x, y]))
    x = x + L.Conv2D(8, 1)(x)
    return keras.Model(images, L.Dense(7)(L.GlobalAveragePooling2D()(x)))

def depthwise():
    images = keras.Input((17, 17, 3))
    x = L.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2)(images)
    x = L.SeparableConv2D(8, 3, padding="same", activation="swish")(x)
    x = L.GroupNormalization(2)(L.LayerNormalization()(x))
    return keras.Model(images, L.Dense(7)(L.Flatten()(x)))

def body(side, **options):
    return keras.applications.MobileNetV2(weights=None, input_shape=(side, side, 3), alpha=0.35, **options)

def transfer():
    # As TensorFlow's own tutorial has it, trained for a step, so that the optimizer's arrays are in the file.
    inner = body(64, include_top=False)
    inner.trainable = False
    images = keras.Input((64, 64, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(L.RandomFlip()(images))
    x = L.GlobalAveragePooling2D()(inner(x, training=False))
    model = keras.Model(images, L.Dense(7)(L.Dropout(0.2)(x)))
    model.compile("adam", "mse")
    model.fit(np.zeros((2, 64, 64, 3)), np.zeros((2, 7)), verbose=0)
    return model

def nested_mobilenet_v3():
    inner = keras.applications.MobileNetV3Small(weights=None, input_shape=(64, 64, 3), include_top=False)
    return keras.Sequential([keras.Input((64, 64, 3)), inner, L.GlobalAveragePooling2D(), L.Dense(7)])

def two_bodies():
    images = keras.Input((16, 16, 3))
    def half(name):
        given = keras.Input((16, 16, 3))
        inner = keras.Sequential([L.Conv2D(4, 3, padding="same", input_shape=(16, 16, 3)), L.BatchNormalization()])
        return keras.Model(given, inner(given), name=name)
    x = L.Concatenate()([half("left")(images), half("right")(images)])
    return keras.Model(images, L.Dense(7)(L.GlobalAveragePooling2D()(x)))

def normalised():
    norm = L.Normalization()
    norm.adapt(np.random.default_rng(0).uniform(0, 255, (9, 8, 8, 3)).astype("float32"))
    return keras.Sequential([keras.Input((16, 16, 3)), norm, L.Conv2D(8, 3), L.GlobalAveragePooling2D(), L.Dense(7)])

def mobilenet():
    return body(64, **PLAIN)

generator = np.random.default_rng(0)
for make in (%s):
    model = make()
    shape = (3, *model.input_shape[1:])
    for layer in model._flatten_layers():
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([generator.uniform(0.5, 1.2, array.shape) for array in layer.get_weights()])
    path = f"{folder}/{make.__name__}"
    model.save(path, save_format="tf")
    images = generator.uniform(0, 255, shape).astype("float32")
    if make in (transfer, two_bodies, nested_mobilenet_v3):
        model.save(path + ".h5")
    np.savez(path + ".npz", images=images, logits=model(images, training=False).numpy())

class Mine(keras.Model):
    def __init__(self):
        super().__init__()
        self.head = L.Dense(3)

    def call(self, images):
        return self.head(tf.reduce_mean(images, (1, 2)))

model = Mine()
model(np.zeros((1, 8, 8, 3), "float32"))
model.save(folder + "/class_of_ones_own", save_format="tf")
module = tf.Module()
module.weight = tf.Variable(tf.zeros((3, 3)))
tf.saved_model.save(module, folder + "/module")
tf.train.Checkpoint(module=module).write(folder + "/model.ckpt")
"""
NAMES = (
    "sequence", "sequence_built_by_its_first_call", "residual", "depthwise", "transfer",
    "two_bodies", "normalised", "mobilenet", "nested_mobilenet_v3",
)  # fmt: skip


PREPARED = ("transfer", "normalised", "nested_mobilenet_v3")
"""Networks whose first layers say what is done to images; others take them as they are."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all SavedModels, which one process writes: starting TensorFlow takes longest."""
    if find_spec("tensorflow") is None or find_spec("tf_keras") is None:
        pytest.skip("tf_keras, which is Keras 2, is not installed; `make test-frameworks` does it")
    folder = tmp_path_factory.mktemp("saved models")
    words = [sys.executable, "-c", WRITE % ", ".join(NAMES), str(folder)]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("file", [*NAMES, "transfer.h5", "two_bodies.h5", "nested_mobilenet_v3.h5"])
def test_logits_are_those_of_keras_2(written: Path, file: str) -> None:
    name = file.removesuffix(".h5")
    weights = read_weights(written / file, preprocess=None if name in PREPARED else "torchvision")
    saved = np.load(written / f"{name}.npz")
    images, wanted = saved["images"].transpose(0, 3, 1, 2), saved["logits"]
    if name in PREPARED:
        mean, std = (np.reshape(values, (1, -1, 1, 1)) for values in (weights.input.mean, weights.input.std))
        images = (images / 255 - mean) / std
    module = build(weights.network)
    module.load_state_dict(dict(weights.state))
    with torch.no_grad():
        found = module.eval()(torch.from_numpy(images.astype(np.float32).copy())).numpy()
    assert found.shape == wanted.shape
    assert wanted.std() > 0
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("module", "is a SavedModel without Keras' configuration"),
        ("class_of_ones_own", "holds a Mine of whose layers none is known to have weights"),
        ("model.ckpt", "is a checkpoint of TensorFlow"),
        ("model.ckpt.index", "is a checkpoint of TensorFlow"),
    ],
)
def test_what_has_no_network_is_refused_by_what_it_is(written: Path, name: str, words: str) -> None:
    with pytest.raises(DeepenoughError, match=words):
        read_weights(written / name)
