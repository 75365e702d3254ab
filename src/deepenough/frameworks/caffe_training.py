"""Caffe's files for training: `train_val.prototxt`, the network between image lists and a loss, and `solver.prototxt`.

Norms keep the statistics that they have (`use_global_stats`), as is usual in fine-tuning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepenough.frameworks.export import Export
from deepenough.weights.caffe_messages import message

TRAIN, TEST = "TRAIN", "TEST"
_LISTS = {TRAIN: "train.txt", TEST: "val.txt"}
_BATCH, _EPOCH = 64, 1000
"""The batch, and the iterations between two validations: both are a beginning, to be changed for the data."""


def training_files(export: Export, layers: Sequence[Any], last: str) -> dict[str, str]:
    """Return the text of both files. `layers` are the messages of the definition; the first is its input.

    `last` is the top that holds the logits.
    """
    from google.protobuf.text_format import MessageToString

    first, *body = layers
    logits = last.encode()
    ends = [
        *(_images(export, phase, first.top[0]) for phase in _LISTS),
        *body,
        _layer("loss", "SoftmaxWithLoss", [logits, b"label"]),
        _layer("accuracy", "Accuracy", [logits, b"label"], include=[{"phase": TEST}]),
    ]
    net = message("NetParameter")(name=export.network.name.encode())
    blocks = "".join(f"layer {{\n{MessageToString(layer, indent=2)}}}\n" for layer in ends)
    return {
        "train_val.prototxt": f"{_comment(export)}{MessageToString(net)}{blocks}",
        "solver.prototxt": _SOLVER_COMMENT + MessageToString(message("SolverParameter")(**_solver())),
    }


def _layer(name: str, kind: str, bottoms: list[bytes], **parameters: Any) -> Any:
    return message("LayerText")(
        name=name.encode(), type=kind.encode(), bottom=bottoms, top=[name.encode()], **parameters
    )


def _images(export: Export, phase: str, top: bytes) -> Any:
    """The layer that reads images of a list, a path and a label a line, and prepares them.

    It has one scale for all channels: the mean of theirs. OpenCV, which Caffe reads with, gives BGR.
    """
    channels, height, width = export.network.input
    mean = [255 * value for value in export.input.mean]
    scale = len(export.input.std) / (255 * sum(export.input.std))
    if export.input.order == "RGB":
        mean = mean[::-1]
    return message("LayerText")(
        name=b"data",
        type=b"ImageData",
        top=[top, b"label"],
        include=[{"phase": phase}],
        transform_param={"mean_value": mean, "scale": scale},
        image_data_param={
            "source": _LISTS[phase].encode(),
            "batch_size": _BATCH,
            "shuffle": phase == TRAIN,
            "new_height": height,
            "new_width": width,
            "is_color": channels == 3,
        },
    )


def _comment(export: Export) -> str:
    lines = ["train.txt and val.txt: the path of an image and the number of its class, a line each."]
    lines += [f"class {number}: {' '.join(name.split())}" for number, name in enumerate(export.classes)]
    if len(set(export.input.std)) > 1:
        lines.append("Caffe has one scale for all channels; the network was trained with one for each.")
    if export.network.input[0] == 3 and export.input.order == "RGB":
        lines.append(
            "Caffe reads BGR and the network was trained on RGB: swap the first layer's channels to fine-tune."
        )
    return "".join(f"# {line}\n" for line in lines)


_SOLVER_COMMENT = "# caffe train -solver solver.prototxt -weights model.caffemodel\n"


def _solver() -> dict[str, Any]:
    return {
        "net": b"train_val.prototxt",
        "test_iter": [100],
        "test_interval": _EPOCH,
        "base_lr": 0.001,
        "display": 20,
        "max_iter": 10 * _EPOCH,
        "lr_policy": b"step",
        "gamma": 0.1,
        "momentum": 0.9,
        "weight_decay": 0.0005,
        "stepsize": 4 * _EPOCH,
        "snapshot": _EPOCH,
        "snapshot_prefix": b"snapshot",
    }
