"""Fine-tuning: the cuts of pretrained networks as a search space, and the initial state of each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from deepenough.data.split import Index
from deepenough.errors import DamagedError, DamageWarning
from deepenough.files import write_whole
from deepenough.probing.linear_probe import LinearProbe
from deepenough.probing.probe import ProbedCut, Probing, initial_state
from deepenough.record.schema import JoinedProbes
from deepenough.search.architectures import Architecture, cut_architectures
from deepenough.search.question import Question
from deepenough.search.statistics import paired_difference
from deepenough.search.verdict import points
from deepenough.training.serialization import pack_checked, unpack_checked

HEAD_FILE = "head.safetensors"  # in a training's folder


@dataclass(frozen=True, eq=False)
class Pretrained:
    """Probed networks, and their cuts as the architectures of one search space, from small to large.

    `most_accurate` and `proposed` are the numbers of the architectures with the most accurate probe of all and of the
    one that the probes propose together. `joined` says so in words, of several networks.
    """

    probings: tuple[Probing, ...]
    architectures: tuple[Architecture, ...]
    most_accurate: int
    proposed: int
    joined: JoinedProbes | None = None

    @classmethod
    def of(cls, probings: Sequence[Probing], cuts: Sequence[Architecture], question: Question) -> Pretrained:
        """Join the cuts of all networks to one list, sorted by what the question keeps small.

        `cuts` may lack those that are over a limit: what the probes propose is then the next shallower one.
        """
        cuts = sorted(cuts, key=lambda each: each.measure(question.minimize))
        if len(probings) == 1:
            (probing,) = probings
            accuracies = [probing.record.probes[each.blocks].accuracy.value for each in cuts]
            reaching = [number for number, each in enumerate(cuts) if each.blocks <= probing.proposed]
            proposed = max(reaching, key=lambda number: cuts[number].blocks, default=0)
            return cls((probing,), tuple(cuts), accuracies.index(max(accuracies)), proposed)
        found = cls(tuple(probings), tuple(cuts), 0, 0)
        accuracies = [found.accuracy(each) for each in cuts]
        best = accuracies.index(max(accuracies))
        proposed, reason = found._proposal(cuts[best], question)
        networks = len({each.family for each in cuts})
        text = (
            f"of all {len(cuts)} cuts of {networks} networks, the probe of {cuts[best].title} is the most accurate "
            f"({max(accuracies):.1%}); together the probes propose {cuts[proposed].title}, {reason}"
        )
        joined = JoinedProbes(best=cuts[best].name, proposed=cuts[proposed].name, text=text)
        return cls(tuple(probings), tuple(cuts), best, proposed, joined)

    def _proposal(self, best: Architecture, question: Question) -> tuple[int, str]:
        """The number of the cut that all probes together propose, and the reason."""
        number = self.architectures.index(best)
        if question.target is not None:
            reaching = (n for n, each in enumerate(self.architectures) if self.accuracy(each) >= question.target)
            found = next(reaching, None)
            if found is None:
                return number, f"as no probe of the search space reaches {question.target:.1%}, which fine-tuning may"
            return found, f"the smallest whose probe reaches {question.target:.1%}"
        strata, hits = self.probings[0].strata, self.probed(best).hits
        for found, each in enumerate(self.architectures[:number]):
            if paired_difference(hits, self.probed(each).hits, strata).lower <= question.margin:
                number = found
                break
        return number, f"the smallest that is not ruled out as more than {points(question.margin)} worse"

    @property
    def probes(self) -> Mapping[str, float]:
        """The accuracy of every probe, by the name of its architecture."""
        return {each.name: self.accuracy(each) for each in self.architectures}

    @property
    def cost(self) -> int:
        """The multiply-accumulates of pushing the images through every network."""
        return sum(len(each.features.rows) * each.record.probes[-1].macs for each in self.probings)

    @property
    def largest(self) -> Architecture:
        """The cut whose training takes the most."""
        return max(self.architectures, key=lambda each: each.macs)

    def probing(self, architecture: Architecture) -> Probing:
        """The probing of the network that an architecture is a cut of."""
        return next(each for each in self.probings if each.weights.network.name == architecture.family)

    def probed(self, architecture: Architecture) -> ProbedCut:
        """The place where an architecture ends."""
        return self.probing(architecture).cuts[architecture.blocks]

    def accuracy(self, architecture: Architecture) -> float:
        """The accuracy of its probe, by the question's metric."""
        return self.probing(architecture).strata.accuracy(self.probed(architecture).hits)

    def start(self, architecture: Architecture, rows: Index, folder: Path) -> Mapping[str, torch.Tensor]:
        """The initial state of the training in `folder`. Its head is kept there: a resumed one starts from the same."""
        probing, probed, file = self.probing(architecture), self.probed(architecture), folder / HEAD_FILE
        probe = _kept_probe(file)
        if probe is None:
            probe = probing.fit_probe(probed, rows)
            tensors = {name: getattr(probe, name) for name in ("mean", "std", "weight", "bias")}
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, pack_checked({**tensors, "strength": torch.tensor(probe.strength)}))
        return initial_state(probing.weights, probed.network, probe)


def all_cuts(probings: Sequence[Probing]) -> tuple[Architecture, ...]:
    """The cuts of all networks, each network's shallow to deep."""
    found: list[Architecture] = []
    for probing in probings:
        named, weights = [(probed.cut.place, probed.network) for probed in probing.cuts], probing.weights
        found += cut_architectures(
            weights.network.name,
            named,
            weights.name,
            probing.images.preprocess,
            one_of_several=len(probings) > 1,
        )
    return tuple(found)


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
