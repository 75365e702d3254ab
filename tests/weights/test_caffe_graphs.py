"""Networks that Caffe's files of every age describe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from canonical import canonical
from export_cases import state_of
from graph_files import (
    BIASES,
    DEPLOY,
    FIRST,
    SECOND,
    blob,
    blobs,
    current,
    layer,
    v0,
    v1,
)

from deepenough.errors import DeepenoughError
from deepenough.frameworks.export import Export
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import AvgPool, Conv, Dense, GlobalAvgPool, GlobalMaxPool, MaxPool, Network, Relu
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at, cuts
from deepenough.nets.zoo import NETWORKS
from deepenough.preprocessing import Preprocessing
from deepenough.weights.caffe_messages import message
from deepenough.weights.load import load_weights
from deepenough.weights.read import read_weights


@pytest.mark.parametrize("written", [current, v1, v0])
def test_layers_of_every_age_make_the_same_network(tmp_path: Path, written: Callable[[], bytes]) -> None:
    (tmp_path / "w.caffemodel").write_bytes(written())
    weights = read_weights(tmp_path / "w.caffemodel", preprocess="caffe-bgr")
    assert (weights.network.name, weights.network.classes, weights.input.size) == ("tiny", 5, (9, 9))
    module = build(weights.network)
    module.load_state_dict(dict(weights.state))
    images = torch.randn(2, 3, 9, 9)
    x = torch.nn.functional.conv2d(images, torch.from_numpy(FIRST), torch.from_numpy(BIASES[0]), padding=1).relu()
    x = torch.nn.functional.max_pool2d(x, 3, 2, ceil_mode=True).mean((2, 3))
    wanted = x @ torch.from_numpy(SECOND).T + torch.from_numpy(BIASES[1])
    torch.testing.assert_close(module.eval()(images), wanted)


WHOLE = """
    layer { name: "x" type: "Data" top: "data" include { phase: TRAIN } data_param { source: "x" } }
    layer { name: "one" type: "Convolution" bottom: "data" top: "one" param { lr_mult: 1 }
            convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
    layer { name: "relu" type: "ReLU" bottom: "one" top: "one" }
    layer { name: "mean" type: "Pooling" bottom: "one" top: "mean"
            pooling_param { pool: AVE global_pooling: true } }
    layer { name: "two" type: "InnerProduct" bottom: "mean" top: "two" inner_product_param { num_output: 5 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "two" top: "loss" }
"""


def test_a_definition_beside_it_says_what_a_net_in_training_does_not(tmp_path: Path) -> None:
    data = {"transform_param": {"mean_value": [104, 117, 123], "scale": 0.017, "crop_size": 0}}
    (tmp_path / "w.caffemodel").write_bytes(current(data=data))
    with pytest.raises(DeepenoughError, match=r"it doesn't say the size of its images; put the deploy \.prototxt"):
        read_weights(tmp_path / "w.caffemodel")
    (tmp_path / "deploy.prototxt").write_text(DEPLOY + WHOLE)
    weights = read_weights(tmp_path / "w.caffemodel", preprocess="caffe-bgr")
    assert weights.network.stack == (
        Conv(4, name="one"), Relu(name="relu"), GlobalAvgPool(name="mean"), Dense(5, name="two"),
    )  # fmt: skip


OTHERS = (
    DEPLOY
    + """
    layer { name: "%s" type: "Convolution" bottom: "data" top: "one"
            convolution_param { num_output: 4 kernel_size: 3 } }
    layer { name: "more" type: "Convolution" bottom: "one" top: "more"
            convolution_param { num_output: 4 kernel_size: 3 } }
    layer { name: "mean" type: "Pooling" bottom: "more" top: "mean" pooling_param { pool: AVE global_pooling: true } }
    layer { name: "two" type: "InnerProduct" bottom: "mean" top: "two" inner_product_param { num_output: 5 } }
"""
)


LABELS = 'item { name: "cat" id: 1 }'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (OTHERS % "one", "layer 'more' of kind Convolution: it has 0 blobs"),
        (OTHERS % "another", "the file has weights of 'one' between layers"),
        (OTHERS.replace("more", "two") % "one", "the shape"),
        (LABELS, "the file has none of the layers"),
    ],
    ids=["a layer more", "another first layer", "another shape", "labels"],
)
def test_a_definition_of_another_network_does_not_hide_the_files_own(tmp_path: Path, text: str, reason: str) -> None:
    """It may have some layers of the same names. Where the file's own can't be read, its error tells of both."""
    path = tmp_path / "w.caffemodel"
    path.write_bytes(current())
    wanted = read_weights(path, preprocess="caffe-bgr")
    (tmp_path / "other.prototxt").write_text(text)
    found = read_weights(path, preprocess="caffe-bgr")
    assert (found.network, found.input) == (wanted.network, wanted.input)
    (note,) = found.notes
    assert note.startswith("other.prototxt beside it does not define it (")
    assert reason in note
    path.write_bytes(current(data={"transform_param": {"crop_size": 0}}))
    with pytest.raises(DeepenoughError, match=r"other\.prototxt beside it does not.*doesn't say the size"):
        read_weights(path)


def test_a_head_for_training_that_the_file_lacks_does_not_speak_against_its_definition(tmp_path: Path) -> None:
    (tmp_path / "w.caffemodel").write_bytes(current())
    side = """
        layer { name: "side" type: "InnerProduct" bottom: "one" top: "side" inner_product_param { num_output: 5 } }
        layer { name: "less" type: "SoftmaxWithLoss" bottom: "side" top: "less" }
        layer { name: "mean" """
    text = DEPLOY + WHOLE.replace("pool: AVE", "pool: MAX").replace('layer { name: "mean" ', side)
    (tmp_path / "train.prototxt").write_text(text)
    found = read_weights(tmp_path / "w.caffemodel", preprocess="caffe-bgr")
    assert GlobalMaxPool(name="mean") in found.network.stack
    assert not any("does not define it" in note for note in found.notes)


def test_the_preparation_of_images_is_the_data_layers(tmp_path: Path) -> None:
    data = {"transform_param": {"mean_value": [104, 117, 123], "scale": 0.017, "crop_size": 9}}
    (tmp_path / "w.caffemodel").write_bytes(current(data=data))
    wanted = read_weights(tmp_path / "w.caffemodel").input
    assert (wanted.order, wanted.size) == ("BGR", (9, 9))
    np.testing.assert_allclose(wanted.mean, np.array([104, 117, 123]) / 255)
    np.testing.assert_allclose(wanted.std, 1 / (255 * 0.017))


def test_where_nothing_says_how_images_are_normalised_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(current())
    with pytest.raises(DeepenoughError, match=r"is of tiny, but nothing says how .* --preprocess"):
        load_weights(path)
    (tmp_path / "preprocess.json").write_text(json.dumps({"size": [9, 9], "mean": [0.5] * 3, "std": [0.25] * 3}))
    assert load_weights(path).input.mean == (0.5,) * 3


def test_every_kind_that_is_not_known_is_named_once(tmp_path: Path) -> None:
    strange = (layer("Deconvolution", "up1", "pool"), layer("Deconvolution", "up2", "up1"), layer("MVN", "p", "up2"))
    net = message("NetParameter").FromString(current(extra=strange))
    net.layer[6] = layer("Pooling", "mean", "p", pooling_param={"pool": "AVE", "global_pooling": True})
    (tmp_path / "w.caffemodel").write_bytes(net.SerializeToString())
    with pytest.raises(DeepenoughError) as error:
        read_weights(tmp_path / "w.caffemodel")
    text = str(error.value)
    assert "layer 'up1', 'up2' of kind Deconvolution: a transposed convolution" in text
    assert "layer 'p' of kind MVN: no layer here does what it does" in text
    assert text.count("of kind Deconvolution") == 1


def test_a_network_of_the_zoo_stays_one(tmp_path: Path) -> None:
    """The file's own description is asked only where its tensors fit no network that is known."""
    (tmp_path / "w.caffemodel").write_bytes(v1())
    with pytest.raises(DeepenoughError, match="can't hold alexnet"):
        read_weights(tmp_path / "w.caffemodel", network="alexnet", preprocess="caffe-bgr")


def test_layers_may_be_called_as_those_of_a_cuts_head(tmp_path: Path) -> None:
    weight = blobs(np.ones((4, 4, 1, 1), np.float32), BIASES[0])
    names = (
        layer("Scale", "scale", "pool", "a", blobs=[blob(BIASES[0])]), layer("Dropout", "dropout", "a", "b"),
        layer("Convolution", "head", "b", blobs=weight, convolution_param={"num_output": 4, "kernel_size": [1]}),
        layer("ReLU", "r", "head", "pooled"),
    )  # fmt: skip
    net = message("NetParameter").FromString(current(extra=names))
    net.layer[7] = layer("Pooling", "mean", "pooled", pooling_param={"pool": "AVE", "global_pooling": True})
    (tmp_path / "w.caffemodel").write_bytes(net.SerializeToString())
    found = read_weights(tmp_path / "w.caffemodel", preprocess="caffe-bgr").network
    assert [cut.place for cut in cuts(found)] == ["one", "head2"]
    for cut in cuts(found):
        assert build(cut_at(found, cut.place, 3)).eval()(torch.randn(2, 3, 9, 9)).shape == (2, 3)


MEAN = (0.4, 0.5, 0.6)


def squeezenet(change: Callable[[Any], Iterable[Any]] = lambda layer: (layer,)) -> Network:
    """A small SqueezeNet 1.1; `change` gives what stands for a layer of its outermost stack."""
    network = NETWORKS["squeezenet1_1"]().with_input((3, 64, 64)).with_classes(5)
    return replace(network, stack=tuple(made for layer in network.stack for made in change(layer)))


def exported(network: Network, folder: Path, *, definition: bool) -> Path:
    """Our own file for Caffe, with or without its definition, and without the description of ours."""
    export = Export.of(network, state_of(network), Preprocessing((64, 64), mean=MEAN), tuple("abcde"))
    TARGETS["caffe"].write(export, folder)
    (folder / "network.json").unlink(missing_ok=True)
    for file in folder.glob("*.prototxt"):
        if not definition or file.name != "model.prototxt":
            file.unlink()
    return folder / "model.caffemodel"


def without_relu(layer: Any) -> tuple[Any, ...]:
    return () if isinstance(layer, Relu) else (layer,)


def with_means(layer: Any) -> tuple[Any, ...]:
    return (AvgPool(layer.kernel, layer.step, ceil=layer.ceil),) if isinstance(layer, MaxPool) else (layer,)


@pytest.mark.parametrize("definition", [False, True])
@pytest.mark.parametrize("change", [without_relu, with_means])
def test_a_changed_network_that_we_wrote_is_not_the_published_one(
    tmp_path: Path, change: Callable[[Any], Iterable[Any]], definition: bool
) -> None:
    changed = squeezenet(change)
    weights = read_weights(exported(changed, tmp_path, definition=definition), preprocess="caffe-bgr")
    assert canonical(weights.network) == canonical(changed)


def test_a_file_is_read_once_for_its_tensors_and_once_for_its_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, read = exported(squeezenet(), tmp_path, definition=False), []
    read_bytes = Path.read_bytes

    def counted(self: Path) -> bytes:
        read.append(self)
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", counted)
    read_weights(path)
    assert read.count(path) == 2


def test_the_published_network_that_we_wrote_has_the_images_of_its_definition(tmp_path: Path) -> None:
    weights = read_weights(exported(squeezenet(), tmp_path, definition=True))
    assert weights.network.name == "squeezenet1_1"
    assert (weights.input.order, weights.input.size) == ("RGB", (64, 64))
    np.testing.assert_allclose(weights.input.mean, MEAN, rtol=1e-6)
