"""The pooled features of images at every depth of a trained network, from one pass, kept on disk."""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from deepenough.data.cache import Cache, cache_folder
from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.errors import DeepenoughError
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.nets.cut import HEAD, SCALE, Cut, cut_at, cuts
from deepenough.nets.shapes import visits
from deepenough.progress import Reporter
from deepenough.training.device import place
from deepenough.training.evaluate import evaluation_batch
from deepenough.training.feed import Loader, normalise
from deepenough.weights import Weights

FEATURES_VERSION = 1  # of the files below


@dataclass(frozen=True, eq=False)
class PooledFeatures:
    """Pooled features of the images `rows` (ascending) at every place where the network can be cut.

    `pooled` float32 (n, F) by place: the mean and the largest value of every channel, F = 2C, or the C values
    themselves behind a `Flatten`. `seconds` an image by place: from the input to there, in the batches of this pass.
    """

    rows: Index
    pooled: Mapping[str, npt.NDArray[np.float32]]
    seconds: Mapping[str, float]

    def of(self, place: str, rows: Index) -> npt.NDArray[np.float32]:
        """The features at a place of some of the images, (len(rows), F)."""
        return np.asarray(self.pooled[place][np.searchsorted(self.rows, rows)])


def fitting_cuts(weights: Weights, images: Images) -> tuple[Network, list[Cut]]:
    """The network for images of this size, and the places where it can end.

    Dense layers behind a `Flatten` fit one size of images only; for another, the places behind it fall away. A network
    without any place is an error.
    """
    preprocess = images.preprocess
    network = weights.network.with_input(preprocess.shape)
    same = network.input == weights.network.input
    fixed = {visit.path for visit in visits(weights.network) if len(visit.output) == 1}
    places = cuts(network)
    if not places:
        raise DeepenoughError(
            f"{network.name}: no layer with weights stands before its classifier, so it has no features to start from; "
            "expected a network with such layers. Give another one, or none and train from scratch: deepenough fit "
            "--scratch (scratch=True)"
        )
    fitting = [c for c in places if same or c.path not in fixed]
    if not fitting:
        wanted, given = (" x ".join(map(str, shape[1:])) for shape in (weights.network.input, network.input))
        raise DeepenoughError(
            f"{network.name}: all its features stand behind a layer that takes images of {wanted} only, and the images "
            f"are {given}; give --size {weights.network.input[1]}"
        )
    return network, fitting


def body(weights: Weights, module: nn.Module) -> dict[str, torch.Tensor]:
    """The state of `module`, a cut of the network of `weights`, with their values for all but the head."""
    new, counter = (f"{SCALE}.", f"{HEAD}."), "num_batches_tracked"  # which files of weights do without
    own = {n for n in module.state_dict() if n.startswith(new) or (n.endswith(counter) and n not in weights.state)}
    return {n: t if n in own else weights.state[n] for n, t in module.state_dict().items()}


def pooled_features(
    weights: Weights, images: Images, rows: Index, device: torch.device, reporter: Reporter
) -> PooledFeatures:
    """Compute the features of `rows`, or read them from the cache where they have been made before."""
    network, places = fitting_cuts(weights, images)
    where = [c.path for c in places]
    stamp = (FEATURES_VERSION, weights.sha256, repr(network), where, images.preprocess.to_json(), images.fingerprint)
    digest = hashlib.sha256(repr(stamp).encode())
    digest.update(rows.tobytes())
    key = digest.hexdigest()[:32]
    store = Cache(cache_folder().with_name("features"))
    found = store.find(key)
    if found is None:
        try:
            draft = store.draft()
            seconds = _pass(weights, images, rows, device, draft, reporter)
            store.keep(key, draft, key, {"seconds": seconds})
        except OSError as error:
            raise DeepenoughError(
                f"{store.folder}: the cache cannot be written ({error.strerror or error}); make room, or name another "
                "folder in DEEPENOUGH_CACHE"
            ) from None
        found = store.find(key)
    if found is None:
        raise DeepenoughError(f"{store.folder}: the cache cannot be read back; is the disk full or damaged?")
    at_places = {c.place: found.arrays[f"{number:03}"] for number, c in enumerate(places)}
    return PooledFeatures(rows, at_places, found.meta["seconds"])


@torch.inference_mode()
def _pass(
    weights: Weights,
    images: Images,
    rows: Index,
    device: torch.device,
    folder: Path,
    reporter: Reporter,
) -> dict[str, float]:
    """Push the images through once; write the features at each place, and give the seconds that an image takes."""
    network, places = fitting_cuts(weights, images)
    whole = cut_at(network, places[-1].place, len(images.classes))
    module = build(whole)
    module.load_state_dict(body(weights, module))
    module = place(module, device).eval()
    hooks = _Hooks(places, module, device)
    trial, _ = hooks.run(torch.zeros(1, *network.input, device=device))
    arrays = [
        np.lib.format.open_memmap(folder / f"{number:03}.npy", "w+", np.float32, (len(rows), values.shape[1]))
        for number, values in enumerate(trial)
    ]
    loader, size = Loader(images, device), evaluation_batch(*images.preprocess.size)
    times: list[list[float]] = []
    with reporter.task(f"{weights.network.name} at every depth") as advance:
        for start in range(0, len(rows), size):
            batch = normalise(loader.raw(rows[start : start + size]), images.preprocess)
            pooled, seconds = hooks.run(batch.contiguous(memory_format=torch.channels_last))
            for array, values in zip(arrays, pooled, strict=True):
                array[start : start + len(batch)] = values
            times.append([one / len(batch) for one in seconds])
            advance(start + len(batch), len(rows))
    for array in arrays:
        array.flush()
    middle = [statistics.median(column) for column in zip(*times, strict=True)]
    return {c.place: seconds for c, seconds in zip(places, middle, strict=True)}


class _Hooks:
    """Forward hooks that record the output at every place; pooling does not count in the times."""

    def __init__(self, places: list[Cut], module: nn.Module, device: torch.device) -> None:
        self.module, self.device = module, device
        self.pooled: list[npt.NDArray[np.float32]] = []
        self.seconds: list[float] = []
        self.started = 0.0
        for c in places:
            module.get_submodule(c.path).register_forward_hook(self._record)

    def run(self, batch: torch.Tensor) -> tuple[list[npt.NDArray[np.float32]], list[float]]:
        """The pooled features (N, F) at each place, and the seconds to there."""
        self.pooled, self.seconds, self.started = [], [], time.perf_counter()
        self.module(batch)
        return self.pooled, self.seconds

    def _record(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self.seconds.append(now - self.started)
        positions = {4: (2, 3), 3: (1,)}.get(output.ndim)  # of a map (N, C, H, W), of tokens (N, T, C)
        pooled = torch.cat((output.mean(positions), output.amax(positions)), 1) if positions else output
        self.pooled.append(pooled.float().cpu().numpy())
        self.started += time.perf_counter() - now
