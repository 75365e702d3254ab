"""What a training ends with, in memory and in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.errors import DeepenoughError
from deepenough.files import digest_of, write_whole
from deepenough.nets import Network, dumps
from deepenough.training.curve import Epoch
from deepenough.training.serialization import (
    DamagedError,
    array_bytes,
    pack,
    read_array,
    read_checked,
    unpack,
)
from deepenough.training.state import Tensors

RESULT = "result.json"
WEIGHTS = "weights.safetensors"
PROBABILITIES = "probabilities.npy"
FORMAT = 1
ENDS = {"finished", "early", "not finite"}  # other words are pauses


@dataclass(frozen=True)
class Trained:
    """One training.

    `state` holds the weights that count, on the CPU: the moving average, or the last. `probabilities` float32
    (held_out, classes) are what they make of the held-out images. `ended` is "finished", "early", "not finite", or
    the word the watch paused it with. `macs` is all that was spent, in multiply-accumulates; `overhead_macs` is
    the part of it that went into the range test and the evaluations. `waited` are the seconds spent waiting
    for images. `lr` is the peak rate.
    """

    network: Network
    state: Tensors
    curve: tuple[Epoch, ...]
    ended: str
    probabilities: npt.NDArray[np.float32]
    lr: float
    steps: int
    epochs: int
    seconds: float
    waited: float
    macs: int
    overhead_macs: int


def save_result(folder: Path, trained: Trained, identity: str) -> None:
    """Write result.json, weights.safetensors and probabilities.npy, each whole, result.json last."""
    weights = pack(trained.state)
    probabilities = array_bytes(trained.probabilities)
    content = {
        "format": FORMAT,
        "identity": identity,
        "network": json.loads(dumps(trained.network)),
        "curve": [epoch.to_json() for epoch in trained.curve],
        "ended": trained.ended,
        "lr": trained.lr,
        "steps": trained.steps,
        "epochs": trained.epochs,
        "seconds": trained.seconds,
        "waited": trained.waited,
        "macs": trained.macs,
        "overhead_macs": trained.overhead_macs,
        "sha256": {WEIGHTS: digest_of(weights), PROBABILITIES: digest_of(probabilities)},
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / WEIGHTS, weights)
    write_whole(folder / PROBABILITIES, probabilities)
    write_whole(folder / RESULT, json.dumps(content, indent=1).encode())


def read_facts(folder: Path) -> dict[str, Any] | None:
    """The content of result.json, None where there is none."""
    path = folder / RESULT
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedError(f"{path}: not JSON ({error}); the file is damaged") from None
    if content.get("format") != FORMAT:
        raise DeepenoughError(
            f"{path}: format {content.get('format')!r}; this version reads {FORMAT}. "
            "Go on with the version of deepenough that wrote it"
        )
    return content


def load_result(folder: Path, network: Network) -> Trained | None:
    """The result in a folder, checked against its SHA-256s; None where there is none."""
    facts = read_facts(folder)
    if facts is None:
        return None
    weights = read_checked(folder / WEIGHTS, facts["sha256"][WEIGHTS])
    probabilities = read_checked(folder / PROBABILITIES, facts["sha256"][PROBABILITIES])
    return Trained(
        network=network,
        state=unpack(folder / WEIGHTS, weights),
        curve=tuple(Epoch.from_json(epoch) for epoch in facts["curve"]),
        ended=facts["ended"],
        probabilities=read_array(probabilities),
        lr=facts["lr"],
        steps=facts["steps"],
        epochs=facts["epochs"],
        seconds=facts["seconds"],
        waited=facts["waited"],
        macs=facts["macs"],
        overhead_macs=facts["overhead_macs"],
    )
