"""Fine-tuning: the choice of pretrained weights, and the initial state of each cut of their network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from deepenough.data.decode import header
from deepenough.data.finding import ImageError
from deepenough.data.sources import Source
from deepenough.data.split import Index
from deepenough.errors import DamagedError, DamageWarning, DeepenoughError
from deepenough.experiment.options import Options
from deepenough.files import write_whole
from deepenough.probing.linear_probe import LinearProbe
from deepenough.probing.probe import Probing, initial_state
from deepenough.progress import Reporter
from deepenough.search.architectures import Architecture, cut_architectures
from deepenough.training.device import choose_device
from deepenough.training.serialization import pack_checked, unpack_checked
from deepenough.weights import Weights, load_weights

SMALLEST_PHOTO = 64  # pixels: from there on images are photos, which ImageNet's features are made for
LOOKED_AT = 50
HEAD_FILE = "head.safetensors"  # in a training's folder
# Taken where none are named: the first that is cached, else the first. Big ones only where there is a GPU for them.
DEFAULTS = {
    "cpu": ("squeezenet1_1.tv_in1k", "resnet18.tv_in1k"),
    "gpu": ("resnet50.a1_in1k", "resnet50.tv2_in1k", "resnet18.tv_in1k", "squeezenet1_1.tv_in1k"),
}


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A probed network, and its cuts as the architectures of a search space."""

    probing: Probing
    architectures: tuple[Architecture, ...]

    @classmethod
    def of(cls, probing: Probing) -> Pretrained:
        named = [(probed.cut.place, probed.network) for probed in probing.cuts]
        return cls(probing, cut_architectures(probing.weights.network.name, named))

    def first_places(self, search_space: Sequence[Architecture]) -> tuple[int, int]:
        """The places in the search space, which may lack cuts that are over a limit, of the cut with the best probe
        and of the one that the probes propose, or the next shallower one."""
        probes = self.probing.record.probes
        accuracies = [probes[each.blocks].accuracy.value for each in search_space]
        proposed = [place for place, each in enumerate(search_space) if each.blocks <= self.probing.proposed]
        return accuracies.index(max(accuracies)), max(proposed, default=0)

    def start(self, architecture: Architecture, rows: Index, folder: Path) -> Mapping[str, torch.Tensor]:
        """The initial state of the training in `folder`. Its head is kept there: a resumed one starts from the same."""
        probed, file = self.probing.cuts[architecture.blocks], folder / HEAD_FILE
        probe = _kept_probe(file)
        if probe is None:
            probe = self.probing.fit_probe(probed, rows)
            tensors = {name: getattr(probe, name) for name in ("mean", "std", "weight", "bias")}
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, pack_checked({**tensors, "strength": torch.tensor(probe.strength)}))
        return initial_state(self.probing.weights, probed.network, probe)


def _kept_probe(file: Path) -> LinearProbe | None:
    """The head that a training began with; None where there is none, or with a warning where it is damaged."""
    try:
        kept = unpack_checked(file, file.read_bytes())
        return LinearProbe(kept["mean"], kept["std"], kept["weight"], kept["bias"], float(kept["strength"]))
    except FileNotFoundError:
        return None
    except (DamagedError, KeyError) as error:
        warnings.warn(f"{error}; fitting it again", DamageWarning, stacklevel=3)
        return None


def choose_weights(asked: Options, source: Source, reporter: Reporter) -> Weights | None:
    """Load the weights that were asked for; or, for photos, good ones that are cached or can be fetched; or none.

    The user is told the choice and its reason.
    """
    if asked.weights is not None:
        return load_weights(
            asked.weights, network=asked.network, preprocess=asked.preprocess, needs_head=False, reporter=reporter
        )
    if asked.scratch or asked.from_family:
        return None
    if not are_photos(source):
        return None
    gpu = choose_device(asked.device or "auto").type != "cpu"
    from deepenough.weights.fetch import cached
    from deepenough.weights.names import NAMED

    names = DEFAULTS["gpu" if gpu else "cpu"]
    name = next((name for name in names if cached(NAMED[name])), names[0])
    try:
        weights = load_weights(name, reporter=reporter)
    except DeepenoughError as error:
        reporter.say(f"training from scratch, although these are photos: {name} is not available ({error})")
        return None
    reporter.say(
        f"pretrained: these are photos, and a trained network needs fewer of them; {name} "
        f"{'suits a GPU' if gpu else 'is fast enough without a GPU'} (--weights for another, --scratch for none)"
    )
    return weights


def are_photos(source: Source) -> bool:
    """Tell if the images are of photos' size: half of the first ones have a shorter side of 64 pixels and more."""
    sides = []
    for row in range(0, len(source), max(1, len(source) // LOOKED_AT)):
        try:
            sides.append(min(header(source.read(row))[:2]))
        except (ImageError, OSError):
            continue
        if source.sequential and len(sides) == 1:
            break
    return bool(sides) and sorted(sides)[len(sides) // 2] >= SMALLEST_PHOTO
