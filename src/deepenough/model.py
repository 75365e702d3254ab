"""A model: a network with its weights and the preprocessing that they were trained with.

On disk it is a folder with `network.json`, `weights.safetensors`, `preprocess.json` (size, channels, mean, std,
class names in order) and `SHA256SUMS` of the three, since safetensors does not notice a flipped bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from deepenough.data.decode import framed
from deepenough.data.sources.unlabelled import images_of
from deepenough.errors import DamagedError, DeepenoughError
from deepenough.files import SUMS, check_sums, write_sums, write_whole
from deepenough.nets import Network, dumps, loads
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.training.device import place
from deepenough.training.feed import normalise

NETWORK, WEIGHTS, PREPROCESS = "network.json", "weights.safetensors", "preprocess.json"
FILES = (NETWORK, WEIGHTS, PREPROCESS)
FOLDER = "model"  # of a run
_BATCH = 256


@dataclass(frozen=True)
class Prediction:
    """The classes of one image, most probable first, with their probabilities in 0..1."""

    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    @property
    def label(self) -> str:
        return self.classes[0]

    @property
    def confidence(self) -> float:
        return self.probabilities[0]


def save_model(
    folder: Path,
    network: Network,
    state: Mapping[str, torch.Tensor],
    preprocess: Preprocessing,
    classes: Sequence[str],
) -> None:
    """Write a model folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / NETWORK, dumps(network))
    write_whole(folder / WEIGHTS, save_tensors({name: t.detach().cpu().contiguous() for name, t in state.items()}))
    content = {**preprocess.to_json(), "classes": list(classes)}
    write_whole(folder / PREPROCESS, json.dumps(content, indent=1, ensure_ascii=False))
    write_sums(folder, FILES)


class Model:
    """A trained network that predicts; `load` reads one."""

    def __init__(
        self,
        network: Network,
        state: Mapping[str, torch.Tensor],
        preprocess: Preprocessing,
        classes: Sequence[str],
        device: str | torch.device = "cpu",
    ) -> None:
        self.network = network
        self.preprocess = preprocess
        self.classes = tuple(classes)
        self.device = torch.device(device)
        module = build(network)
        module.load_state_dict(dict(state))
        self.module = place(module, self.device).eval()

    @torch.inference_mode()
    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C) -> logits float32 (N, classes)."""
        blocks = (pixels[start : start + _BATCH] for start in range(0, len(pixels), _BATCH))
        found = [self.module(self.inputs(block)).float().cpu().numpy() for block in blocks]
        return np.concatenate([np.empty((0, len(self.classes)), np.float32), *found])

    def inputs(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Preprocessed pixels uint8 (N, H, W, C) -> what the module takes: float32 (N, C, H, W), normalised."""
        block = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(self.device)
        images = normalise(block.permute(0, 3, 1, 2).to(torch.float32).div_(255.0), self.preprocess)
        return images.contiguous(memory_format=torch.channels_last)

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C) -> probabilities float32 (N, classes), in 0..1."""
        return torch.from_numpy(self.logits(pixels)).softmax(dim=1).numpy()

    def predict(self, images: Any, top: int = 5, *, value_range: tuple[float, float] | None = None) -> list[Prediction]:
        """Classify one image or several, in whichever form Python holds them.

        Images are decoded, turned upright, resized and cropped exactly as they were for training.

        Args:
            images: a path, the bytes of a file, an open file, a Pillow image, an array or a tensor (H, W), (H, W, C) or
                (C, H, W); or several: an array (N, H, W), (N, H, W, C) or (N, C, H, W), a list, a pandas DataFrame, a
                torch or Hugging Face Dataset, whose labels are passed over.
            top: how many classes each prediction lists.
            value_range: the values of black and white in floats, by default those of the training images.
        """
        preprocess = self.preprocess
        given = images_of(images, preprocess.channels == 1, value_range or preprocess.value_range)
        pictures = (framed(image, preprocess) for image in given)
        found: list[Prediction] = []
        while batch := list(islice(pictures, _BATCH)):
            found += [self.rank(row, top) for row in self.probabilities(np.stack(batch))]
        return found

    def rank(self, probabilities: npt.NDArray[np.float32], top: int = 5) -> Prediction:
        """One row of probabilities as a prediction with the `top` classes."""
        order = np.argsort(-probabilities, kind="stable")[:top]
        return Prediction(tuple(self.classes[i] for i in order), tuple(float(probabilities[i]) for i in order))


def _missing(folder: Path) -> str:
    """The names of the files that a model folder lacks, in a sentence; empty where it has all."""
    return ", ".join(name for name in (*FILES, SUMS) if not (folder / name).is_file())


def check_model(folder: Path) -> None:
    """Raise DamagedError where a model folder is not what was written."""
    if missing := _missing(folder):
        raise DamagedError(f"{folder}: there is no {missing} in it")
    check_sums(folder, FILES)


def load(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """Read the model of a run, or a model folder."""
    given = Path(path)
    folder = given / FOLDER if (given / FOLDER).is_dir() else given
    if not folder.is_dir():
        raise DeepenoughError(
            f"model {str(given)!r}: there is no such folder; give the RUN that `deepenough fit` named"
        )
    if missing := _missing(folder):
        unfinished = (given / "record.json").is_file()
        todo = (
            f"go on with `deepenough fit --resume {given}`"
            if unfinished
            else "give the RUN that `deepenough fit` named"
        )
        raise DeepenoughError(f"model {str(given)!r}: no {missing} in it; {todo}")
    try:
        check_sums(folder, FILES)
    except DamagedError as error:
        if not (folder.parent / "record.json").is_file():
            raise
        raise DamagedError(f"{error}; `deepenough fit --resume {folder.parent}` makes it anew") from None
    content = json.loads((folder / PREPROCESS).read_text(encoding="utf-8"))
    return Model(
        loads((folder / NETWORK).read_bytes()),
        load_tensors((folder / WEIGHTS).read_bytes()),
        Preprocessing.from_json(content),
        content["classes"],
        device,
    )
