"""The result of a training, in memory and in its folder."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.data.split import Index
from deepenough.errors import DamagedError, DamageWarning, DeepenoughError
from deepenough.files import digest_of, read_checked_json, write_checked_json, write_whole
from deepenough.nets import Network, dumps
from deepenough.training.callbacks import Ending
from deepenough.training.curve import Epoch
from deepenough.training.serialization import (
    array_bytes,
    pack,
    read_array,
    read_checked,
    unpack,
)
from deepenough.training.spec import Teacher, TrainingSpec
from deepenough.training.state import Tensors

RESULT_FILE = "result.json"
WEIGHTS_FILE = "weights.safetensors"
PROBABILITIES_FILE = "probabilities.npy"
RESULT_FORMAT = 1
PAUSED_FOLDER = "paused"
"""The folder in a training's folder that keeps what it was when it was pruned or paused."""


@dataclass(frozen=True)
class Trained:
    """One training.

    `state` holds the weights that count, on the CPU: the moving average, or the last. `probabilities` float32
    (evaluation rows, classes) are theirs for the evaluation images. `macs` is all that was spent, in
    multiply-accumulates; `overhead_macs` is the part of it that went into the range test and the evaluations. `waited`
    are the seconds spent waiting for images. `lr` is the peak rate.
    """

    network: Network
    state: Tensors
    curve: tuple[Epoch, ...]
    ended: Ending
    probabilities: npt.NDArray[np.float32]
    lr: float
    steps: int = 0
    epochs: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    macs: int = 0
    overhead_macs: int = 0

    def as_teacher(self, train: Index) -> Teacher:
        """The network as one that others learn from; `train` are the rows of the images that it was trained on."""
        return Teacher(self.network, self.state, train)

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write result.json, weights.safetensors and probabilities.npy, each whole, result.json with the checksums of
        all three last."""
        weights, probabilities = pack(self.state), array_bytes(self.probabilities)
        content = {
            "format": RESULT_FORMAT,
            "identity": fingerprint,
            **{entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in IN_FILES},
            "network": json.loads(dumps(self.network)),
            "curve": [epoch.to_json() for epoch in self.curve],
            "sha256": {WEIGHTS_FILE: digest_of(weights), PROBABILITIES_FILE: digest_of(probabilities)},
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / WEIGHTS_FILE, weights)
        write_whole(folder / PROBABILITIES_FILE, probabilities)
        write_checked_json(folder / RESULT_FILE, content)


IN_FILES = ("state", "probabilities")  # of their own


def read_facts(folder: Path) -> dict[str, Any] | None:
    """The content of result.json, None where there is none."""
    path = folder / RESULT_FILE
    try:
        content = read_checked_json(path)
    except FileNotFoundError:
        return None
    if content.get("format") != RESULT_FORMAT:
        raise DeepenoughError(
            f"{path}: format {content.get('format')!r}; this version reads {RESULT_FORMAT}. "
            "Go on with the version of deepenough that wrote it"
        )
    return content


def load_result(folder: Path, network: Network) -> Trained | None:
    """The result in a folder, checked against its SHA-256s; None where there is none."""
    facts = read_facts(folder)
    if facts is None:
        return None
    try:
        weights = read_checked(folder / WEIGHTS_FILE, facts["sha256"][WEIGHTS_FILE])
        probabilities = read_checked(folder / PROBABILITIES_FILE, facts["sha256"][PROBABILITIES_FILE])
        plain = {entry.name: facts[entry.name] for entry in fields(Trained) if entry.name not in IN_FILES}
        return Trained(
            **plain
            | {
                "network": network,
                "state": unpack(folder / WEIGHTS_FILE, weights),
                "curve": tuple(Epoch.from_json(epoch) for epoch in facts["curve"]),
                "ended": Ending(facts["ended"]),
                "probabilities": read_array(probabilities),
            }
        )
    except (LookupError, TypeError, AttributeError, ValueError) as error:  # an earlier version's, without a checksum
        raise DamagedError(f"{folder / RESULT_FILE}: {type(error).__name__} {error}; the file is damaged") from None


def check_result(folder: Path) -> None:
    """Raise DamagedError where the result in a folder is not what was written."""
    facts = read_facts(folder)
    for name, digest in (facts or {}).get("sha256", {}).items():
        read_checked(folder / name, digest)


def is_known(folder: Path) -> bool:
    """True if a folder holds what a training came to, or where it was pruned or paused."""
    return (folder / RESULT_FILE).is_file() or (folder / PAUSED_FOLDER / RESULT_FILE).is_file()


def recall(folder: Path, spec: TrainingSpec, fingerprint: str, *, pauses: bool) -> Trained | None:
    """The result that an earlier call left in a folder: with `pauses` the kept pause, or else the finished result."""
    pause = _recall(folder / PAUSED_FOLDER, spec, fingerprint) if pauses else None
    return pause or _recall(folder, spec, fingerprint)


def _recall(folder: Path, spec: TrainingSpec, fingerprint: str) -> Trained | None:
    """The result in a folder, None where there is none or it is damaged."""
    try:
        facts = read_facts(folder)
        if facts is None:
            return None
        check_fingerprint(folder, str(facts.get("identity")), fingerprint)
        return load_result(folder, spec.network)
    except DamagedError as error:
        warnings.warn(f"{error}; training it again", DamageWarning, stacklevel=4)
        return None


def check_fingerprint(folder: Path, found: str, fingerprint: str) -> None:
    """Raise the error for a folder that belongs to another training."""
    if found != fingerprint:
        raise DeepenoughError(
            f"{folder}: it holds another training (other network, recipe, images, seed or start); give the settings it "
            "was begun with, or another folder. If an earlier version of deepenough began it, its networks may differ: "
            "finish it with that version"
        )
