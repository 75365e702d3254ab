"""Networks that Keras files describe."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graph_files import (
    FIRST,
    KERAS,
    SECOND,
    keras_file,
    keras_layer,
)

from deepenough.errors import DeepenoughError
from deepenough.nets import ChannelSlice, Concat, Conv, Dense, Elu, GlobalAvgPool, LeakyRelu, Network, PRelu, Relu
from deepenough.weights.read import read_weights


def test_a_keras_model_is_read_by_its_configuration(tmp_path: Path) -> None:
    found = read_weights(keras_file(tmp_path / "w.keras", KERAS))
    assert found.network == Network("tiny", (3, 9, 9), (Conv(4, name="one"), Relu(name="relu"),
                                                       GlobalAvgPool(name="pool"), Dense(5, name="two")))  # fmt: skip
    np.testing.assert_array_equal(found.state["one.weight"].numpy(), FIRST)
    np.testing.assert_array_equal(found.state["two.weight"].numpy(), SECOND)
    np.testing.assert_allclose(found.input.mean + found.input.std, 0.5)


def test_a_model_for_images_of_any_size_is_read_at_the_usual_one(tmp_path: Path) -> None:
    anything = keras_layer("InputLayer", "x", "", batch_shape=[None, None, None, 3], dtype="float32")
    found = read_weights(keras_file(tmp_path / "w.keras", [anything, *KERAS[1:]]))
    assert (found.network.input, found.input.size) == ((3, 224, 224), (224, 224))
    assert "it takes images of any size, and is read for 224x224 pixels" in found.notes
    lines = '{"size": [32, 48], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'
    (tmp_path / "preprocess.json").write_text(lines)
    assert read_weights(tmp_path / "w.keras").network.input == (3, 32, 48)


def test_keras_own_preprocessing_is_offered_to_keras_own_networks_alone(tmp_path: Path) -> None:
    """Its modules want different images, so that for another network the word says nothing."""
    one = {**KERAS[2], "inbound_nodes": KERAS[1]["inbound_nodes"]}
    path = keras_file(tmp_path / "w.keras", [KERAS[0], one, *KERAS[3:]])
    with pytest.raises(DeepenoughError, match=r"--preprocess \((?!.*keras).*paddle\)"):
        read_weights(path)
    with pytest.raises(DeepenoughError, match=r"'keras' depends on the network, and tiny is none of keras"):
        read_weights(path, preprocess="keras")


WITH_NUMBERS = {
    "Keras 3": ("LeakyReLU", {"negative_slope": 0.2}, LeakyRelu(0.2)),
    "Keras 2": ("LeakyReLU", {"alpha": 0.3}, LeakyRelu(0.3)),
    "a ReLU with a slope": ("ReLU", {"negative_slope": 0.1, "max_value": None, "threshold": 0.0}, LeakyRelu(0.1)),
    "by its function": ("Activation", {"activation": "leaky_relu"}, LeakyRelu(0.2)),
    "ELU": ("ELU", {"alpha": 0.5}, Elu(0.5)),
    "ELU by its function": ("Activation", {"activation": "elu"}, Elu()),
}


@pytest.mark.parametrize("case", WITH_NUMBERS)
def test_activations_with_a_number_of_their_own(tmp_path: Path, case: str) -> None:
    kind, config, wanted = WITH_NUMBERS[case]
    odd, mean = keras_layer(kind, "odd", "one", **config), keras_layer("GlobalAveragePooling2D", "mean", "odd")
    found = read_weights(keras_file(tmp_path / "w.keras", [*KERAS[:3], odd, mean, KERAS[4]])).network
    assert replace(found.stack[2], name="") == wanted


@pytest.mark.parametrize(("shape", "shared"), [((1, 1, 4), False), ((1, 1, 1), True)])
def test_trained_slopes(tmp_path: Path, shape: tuple[int, ...], *, shared: bool) -> None:
    sloped, slopes = keras_layer("PReLU", "odd", "one", shared_axes=[1, 2]), np.linspace(0, 1, shape[-1]).reshape(shape)
    layers = [*KERAS[:3], sloped, keras_layer("GlobalAveragePooling2D", "mean", "odd"), KERAS[4]]
    found = read_weights(keras_file(tmp_path / "w.keras", layers, more={"odd": slopes.astype(np.float32)}))
    assert found.network.stack[2] == PRelu(shared=shared, name="odd")
    np.testing.assert_array_equal(found.state["odd.weight"].numpy(), slopes.reshape(-1).astype(np.float32))


def joined(parts: list[tuple[str, int]]) -> dict[str, Any]:
    """A concatenation of what layers give, which may be several values."""
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, n]}} for name, n in parts]
    layer = keras_layer("Concatenate", "together", "", axis=-1)
    return {**layer, "inbound_nodes": [{"args": [tensors], "kwargs": {}}]}


@pytest.mark.parametrize(("sections", "ends"), [(2, (0, 2, 4)), ([1], (0, 1, 4))])
def test_channels_that_are_split(tmp_path: Path, sections: object, ends: tuple[int, ...]) -> None:
    parted = keras_layer("Split", "parts", "one", indices_or_sections=sections, axis=-1)
    layers = [*KERAS[:3], parted, joined([("parts", 1), ("parts", 0), ("one", 0)])]
    layers += [keras_layer("GlobalAveragePooling2D", "mean", "together"), *KERAS[4:]]
    with pytest.raises(DeepenoughError, match="its weight has the shape 5 x 4; expected 5 x 8"):
        read_weights(keras_file(tmp_path / "w.keras", layers))
    found = read_weights(
        keras_file(tmp_path / "v.keras", [*layers[:4], joined([("parts", 1), ("parts", 0)]), *layers[5:]])
    )
    (concat,) = (layer for layer in found.network.stack if isinstance(layer, Concat))
    first, second = ((ChannelSlice(start, stop, name="slice"),) for start, stop in pairwise(ends))
    assert concat.branches == (second, first)


def test_a_slope_for_each_position_is_refused(tmp_path: Path) -> None:
    layers = [*KERAS[:3], keras_layer("PReLU", "odd", "one"), keras_layer("Flatten", "mean", "odd"), KERAS[4]]
    path = keras_file(tmp_path / "w.keras", layers, more={"odd": np.zeros((9, 9, 4), np.float32)})
    with pytest.raises(DeepenoughError, match=r"slopes of 9 x 9 x 4; known are one for all, or one for each channel"):
        read_weights(path)


STRANGE = {
    "a program": (
        "Lambda",
        {"function": {"code": "4wAAAA=="}},
        "of kind Lambda: it is a program, and nothing in a file",
    ),
    "a class of somebody's": ("Mine>Special", {}, "of kind Mine>Special: no layer here does what it does"),
    "an activation": ("Activation", {"activation": "celu"}, "its activation is celu, which is not known here"),
    "another order": ("MaxPooling2D", {"data_format": "channels_first"}, "its channels come first"),
    "no window": (
        "MaxPooling2D",
        {"pool_size": [0, 0], "strides": [0, 0], "padding": "same"},
        "both have to be 1 or more",
    ),
    "a configuration of nothing": ("MaxPooling2D", {}, "it can't be read"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_layers_of_keras_that_are_refused_say_why(tmp_path: Path, case: str) -> None:
    kind, config, words = STRANGE[case]
    layers = [
        *KERAS[:3],
        keras_layer(kind, "odd", "one", **config),
        keras_layer("GlobalAveragePooling2D", "mean", "odd"),
        KERAS[4],
    ]
    with pytest.raises(DeepenoughError, match=words):
        read_weights(keras_file(tmp_path / "w.keras", layers))


def test_layers_in_a_circle(tmp_path: Path) -> None:
    layers = [KERAS[0], keras_layer("ReLU", "a", "b"), keras_layer("ReLU", "b", "a"), keras_layer("Dense", "two", "b")]
    with pytest.raises(DeepenoughError, match=r"its layers read each other's values in a circle"):
        read_weights(keras_file(tmp_path / "w.keras", layers))


def test_models_in_models_without_end(tmp_path: Path) -> None:
    inner = KERAS
    for _ in range(20):
        inner = [
            KERAS[0],
            keras_layer("Functional", "two", "x", layers=inner, input_layers=["x", 0, 0], output_layers=["two", 0, 0]),
        ]
    with pytest.raises(DeepenoughError, match="its models are nested more than 8 deep"):
        read_weights(keras_file(tmp_path / "w.keras", inner))
