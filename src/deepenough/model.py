"""A model: a network with its weights and the preprocessing that they were trained with.

On disk it is a folder with `network.json`, `weights.safetensors`, `preprocess.json` (size, channels, mean, std,
class names in order) and `SHA256SUMS` of the three, since safetensors does not notice a flipped bit.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deepenough.arguments import check_arguments
from deepenough.data.decode import ImageLike, framed
from deepenough.data.finding import ImageError
from deepenough.engines import TORCH
from deepenough.engines.engine import Engine
from deepenough.engines.torch import TorchEngine
from deepenough.errors import DamagedError, DeepenoughError
from deepenough.files import SUMS, check_sums, digest_of, sha256, write_sums, write_whole
from deepenough.hub import HUB_PREFIX
from deepenough.nets import Network, depth, dumps, loads, macs, parameters
from deepenough.preprocessing import Preprocessing

if TYPE_CHECKING:  # torch takes seconds to import, and an engine may do without it
    import torch
    from torch import nn

    from deepenough.progress import Reporter
    from deepenough.record import Metrics
    from deepenough.report.shown_model import ModelFacts
    from deepenough.training.loggers import GivenCallbacks

    State = Mapping[str, torch.Tensor]

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
    state: State,
    preprocess: Preprocessing,
    classes: Sequence[str],
) -> None:
    """Write a model folder."""
    from safetensors.torch import save as save_tensors

    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / NETWORK, dumps(network))
    write_whole(folder / WEIGHTS, save_tensors({name: t.detach().cpu().contiguous() for name, t in state.items()}))
    content = {**preprocess.to_json(), "classes": list(classes)}
    write_whole(folder / PREPROCESS, json.dumps(content, indent=1, ensure_ascii=False))
    write_sums(folder, FILES)


class Model:
    """A trained network that predicts; `load` reads one.

    `engine` computes the logits, of at most `batch` pictures together; torch's `module`, on `device`, what needs more
    than these. `notes` say how the engine was chosen.

    Attributes:
        network: the description of the network, a tree of layers.
        module: the `torch.nn.Module` with its weights, in evaluation mode; it takes what `inputs` makes of pixels.
        preprocess: the way of an image into it: size, framing, mean, std, order of channels.
        classes: the names of the classes, in the order of the logits.
        device: where it computes.
        held_out: its metrics on images that it was not trained on, where `fine_tune` made it.
        unread: why a torch module has no description; empty where it has one.
    """

    held_out: Metrics | None = None
    unread: str = ""

    def __init__(
        self,
        network: Network,
        state: State | Callable[[], State],
        preprocess: Preprocessing,
        classes: Sequence[str],
        device: str | torch.device = "cpu",
    ) -> None:
        """Make a model of a network and its tensors, or a function that reads them when torch is first needed."""
        self._network = network
        self.preprocess = preprocess
        self.classes = tuple(classes)
        self.torch = TorchEngine(network, state if callable(state) else lambda: state, preprocess, device)
        if not callable(state):
            self.torch.prepare()
        self.engine: Engine = self.torch
        self.notes: tuple[str, ...] = ()
        self.batch = _BATCH

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        classes: Sequence[str],
        *,
        input: tuple[int, int, int] | None = None,
        preprocess: Preprocessing | str | None = None,
        device: str | torch.device = "cpu",
    ) -> Model:
        """Make a model of any torch module that gives logits (N, classes) of images (N, C, H, W).

        Where its graph is read as layers of ours it does all that a model does. Otherwise `unread` has the reason, and
        it predicts, is evaluated and explained, but has no `network`: it can't be saved, exported or fine-tuned.

        Args:
            module: in whatever mode; with a network that is read it stays as it is, otherwise it is the model's own.
            classes: names of the classes in the order of the logits, or a dict of their indices by name.
            input: (C, H, W) of its images; by default that of `preprocess`, or as timm's `pretrained_cfg` has it.
            preprocess: the way of an image into it, or one of "torchvision", "timm", "keras", ... as `--preprocess` has
                them; by default what the module does itself or timm's configuration says, else ImageNet's mean and std.
            device: where it computes.

        >>> model = Model.from_module(net, ["cat", "dog"], input=(3, 224, 224))  # doctest: +SKIP
        """
        from deepenough.weights.graphs.given_module import GivenModule

        given = GivenModule.of(module, classes, input, preprocess)
        if given.described is not None:
            return cls(given.described.network, given.described.state, given.preprocess, given.classes, device)
        model = cls(given.placeholder, dict, given.preprocess, given.classes, device)
        model.torch = TorchEngine.of_module(given.module, given.placeholder, given.preprocess, str(device))
        model.engine, model.unread = model.torch, given.unread
        return model

    @property
    def network(self) -> Network:
        """The description of the network. A torch module that could not be read has none, which is an error."""
        if self.unread:
            raise DeepenoughError(f"this model has no description of its network: {self.unread}")
        return self._network

    def fine_tune(
        self,
        data: Any,
        *,
        progress: bool | Reporter = True,
        callbacks: GivenCallbacks = (),
        value_range: tuple[float, float] | None = None,
        **options: Any,
    ) -> Model:
        """Go on training with labelled images, and return the new model; this one stays as it is.

        Where all classes of the images are the model's, it keeps its head; else it gets a new one, which begins as a
        linear probe. The preprocessing is kept. Images are split as `fit` splits them: the held-out ones of `data` are
        not trained on, and `held_out` of the new model has their metrics.

        Args:
            data: labelled images, as `fit` takes them.
            progress: bars, as of `fit`; with False nothing is printed.
            callbacks: accompany the training, as of `fit`.
            value_range: the values of black and white in arrays of floats, by default those that it was trained with.
            options: those of `fit` that are about training and augmentation (epochs, lr, batch, patience, rotation,
                ...), seed, limit and device; by default the recipe of a pretrained network.

        >>> model.fine_tune("new-photos/", epochs=5).held_out.top1.value  # doctest: +SKIP
        """
        from deepenough.experiment.fine_tune import fine_tune

        return fine_tune(self, data, progress=progress, callbacks=callbacks, value_range=value_range, **options)

    @property
    def device(self) -> torch.device:
        """The device of `module`."""
        return self.torch.device

    @property
    def module(self) -> nn.Module:
        """The network in torch, in evaluation mode."""
        return self.torch.module

    def __repr__(self) -> str:
        facts = self._facts
        size = f"depth {facts.size.depth}, {facts.size.parameters:,} parameters" if facts.size else "a torch module"
        images = "x".join(map(str, facts.shape))
        return f"Model({facts.name}: {size}, {images} to {len(facts.classes)} classes, {facts.where})"

    def _repr_html_(self) -> str:
        """The same as a table for a notebook, with preprocessing and classes, in the language of the locale."""
        from deepenough.report.shown_model import model_html

        return model_html(self._facts)

    @property
    def _facts(self) -> ModelFacts:
        from deepenough.report.shown_model import ModelFacts, ModelSize

        network = self._network
        return ModelFacts(
            name=network.name,
            shape=network.input,
            preprocess=self.preprocess,
            classes=self.classes,
            engine=self.engine.title,
            device=str(self.device) if self.engine is self.torch else None,
            size=None if self.unread else ModelSize(depth(network), parameters(network), macs(network)),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy it as its description and weights, which torch then computes with."""
        state = {name: tensor.cpu() for name, tensor in self.module.state_dict().items()}
        return Model, (self.network, state, self.preprocess, self.classes, str(self.device))

    @check_arguments
    def save(self, folder: str | Path) -> Path:
        """Write it as a folder that `load` and the commands take, and return its path.

        An earlier model in the folder is replaced; a folder that holds anything else is an error.
        """
        place = Path(folder)
        others = sorted({each.name for each in place.iterdir()} - {*FILES, SUMS}) if place.is_dir() else []
        if others or (place.exists() and not place.is_dir()):
            raise DeepenoughError(f"model.save({str(folder)!r}): there is something else; name a new or empty folder")
        save_model(place, self.network, self.module.state_dict(), self.preprocess, self.classes)
        return place

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C) -> logits float32 (N, classes)."""
        blocks = (pixels[start : start + self.batch] for start in range(0, len(pixels), self.batch))
        found = [self.engine.logits(block) for block in blocks]
        return np.concatenate([np.empty((0, len(self.classes)), np.float32), *found])

    def inputs(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        """Preprocessed pixels uint8 (N, H, W, C) -> what `module` takes: float32 (N, C, H, W), normalised."""
        return self.torch.inputs(pixels)

    def probabilities(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C) -> probabilities float32 (N, classes), in 0..1."""
        logits = self.logits(pixels)
        powers = np.exp(logits - logits.max(1, keepdims=True))
        found: npt.NDArray[np.float32] = powers / powers.sum(1, keepdims=True)
        return found

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
        if isinstance(top, bool) or not hasattr(top, "__index__") or top < 1:
            raise DeepenoughError(f"top={top!r}: expected a whole number of at least 1")
        return [self.rank(row, top) for row in self._probabilities_of(images, value_range)]

    def predict_proba(self, images: Any, *, value_range: tuple[float, float] | None = None) -> npt.NDArray[np.float32]:
        """The probabilities of images, as `predict` takes them: (N, classes) in 0..1, in the order of `classes`."""
        rows = list(self._probabilities_of(images, value_range))
        return np.stack(rows) if rows else np.empty((0, len(self.classes)), np.float32)

    def _probabilities_of(
        self, images: Any, value_range: tuple[float, float] | None
    ) -> Iterator[npt.NDArray[np.float32]]:
        from deepenough.data.sources.unlabelled import images_of

        preprocess = self.preprocess
        given = images_of(images, preprocess.channels == 1, value_range or preprocess.value_range)
        pictures = (_picture(image, row, preprocess) for row, image in enumerate(given))
        while batch := list(islice(pictures, _BATCH)):
            yield from self.probabilities(np.stack(batch))

    def rank(self, probabilities: npt.NDArray[np.float32], top: int = 5) -> Prediction:
        """One row of probabilities as a prediction with the `top` classes."""
        order = np.argsort(-probabilities, kind="stable")[:top]
        return Prediction(tuple(self.classes[i] for i in order), tuple(float(probabilities[i]) for i in order))


def _picture(image: ImageLike, row: int, preprocess: Preprocessing) -> npt.NDArray[np.uint8]:
    """The preprocessed pixels of an image; of one that can't be used, the error has its name."""
    try:
        return framed(image, preprocess)
    except ImageError as error:
        name = str(image) if isinstance(image, Path) else f"image {row}"
        raise DeepenoughError(f"{name}: {error.detail}") from None


def _missing(folder: Path) -> str:
    """The names of the files that a model folder lacks, in a sentence; empty where it has all."""
    return ", ".join(name for name in (*FILES, SUMS) if not (folder / name).is_file())


def check_model(folder: Path) -> None:
    """Raise DamagedError where a model folder is not what was written."""
    if missing := _missing(folder):
        raise DamagedError(f"{folder}: there is no {missing} in it")
    check_sums(folder, FILES)


def read_description(folder: Path) -> tuple[Network, Preprocessing, list[str]]:
    """Read what a model folder says beside its weights: its network, preprocessing and classes."""
    content = json.loads((folder / PREPROCESS).read_text(encoding="utf-8"))
    return loads((folder / NETWORK).read_bytes()), Preprocessing.from_json(content), content["classes"]


def load(path: str | Path, device: str | torch.device = "cpu", engine: str = TORCH, *, measured: bool = False) -> Model:
    """Read the model of a run, or a model folder.

    Args:
        path: a run, a model folder, or `hf:user/name` (`hf:user/name@revision`), a model that `deepenough push` wrote.
        device: where torch computes.
        engine: what computes the logits: "torch", "onnx" (ONNX Runtime), "openvino", or "auto" for the first of "onnx"
            and "openvino" that is installed and gives torch's logits. What needs more than logits stays torch's.
        measured: have "auto" take the fastest instead, by a short measurement, which also tells the best batch.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise DeepenoughError(f"model {path!r}: expected the path of a RUN or of a model folder, or hf:user/name")
    if (named := Path(path).as_posix()).startswith(HUB_PREFIX):
        from deepenough.hub.fetch import fetch_from_hub

        path = fetch_from_hub(named, FILES)
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
    digest = _digest(folder)  # before anything else is read, so that a model that is replaced meanwhile is noticed
    try:
        check_sums(folder, FILES)
    except DamagedError as error:
        if not (folder.parent / "record.json").is_file():
            raise
        raise DamagedError(f"{error}; `deepenough fit --resume {folder.parent}` makes it anew") from None
    network, preprocess, classes = read_description(folder)
    model = Model(network, partial(_tensors, folder, digest), preprocess, classes, device)
    if engine == TORCH:
        model.torch.prepare()
    if engine != TORCH or measured:
        from deepenough.engines.choose import Subject, choose

        choice = choose(engine, Subject(model.torch, model.classes, digest), measured=measured)
        model.engine, model.notes, model.batch = choice.engine, choice.notes, choice.batch or _BATCH
    return model


def _digest(folder: Path) -> str:
    """The SHA-256 that a model folder is known by: that of its SHA256SUMS."""
    return sha256(folder / SUMS)


def _tensors(folder: Path, digest: str) -> State:
    """The weights of a model folder, which has to be the same as it was when its digest was taken."""
    from safetensors.torch import load as load_tensors

    content = (folder / WEIGHTS).read_bytes()
    if _digest(folder) != digest or f"{digest_of(content)}  {WEIGHTS}" not in (folder / SUMS).read_text().splitlines():
        raise DamagedError(f"{folder}: the model has changed since it was loaded; load it again")
    return load_tensors(content)
