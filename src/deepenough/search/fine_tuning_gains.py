"""The gains of fine-tuning over linear probes: what the trainings of a search tell about cuts that are not trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate
from deepenough.search.verdict import depths_text, points
from deepenough.training.callbacks import Ending


@dataclass(frozen=True)
class Gains:
    """The accuracy of fine-tuned cuts less that of their probes, in the order of the trainings."""

    gained: tuple[tuple[Architecture, float], ...]

    @classmethod
    def of(cls, tried: Iterable[Candidate], probes: Mapping[str, float]) -> Gains:
        """Of all candidates tried that tell it, but those with a teacher; `probes` has accuracies by cuts' names."""
        return cls(
            tuple(
                (each.architecture, each.accuracy - probes[each.architecture.name])
                for each in tried
                if each.architecture.teacher is None and _tells(each)
            )
        )

    def tells_of(self, architecture: Architecture) -> bool:
        """True if a cut of its network was tried that is as deep or deeper: fine-tuning gains more the deeper it is."""
        return any(each.family == architecture.family and each.blocks >= architecture.blocks for each, _ in self.gained)

    def most(self, family: str) -> float:
        """The most gained so far, of one network where cuts of it were tried; 0 where nothing is known."""
        own = [max(gain, 0.0) for each, gain in self.gained if each.family == family]
        return max(own or [max(gain, 0.0) for _, gain in self.gained], default=0.0)

    def _told_by(self, family: str) -> str:
        """The network whose gains are taken for those of one: itself, or where no cut of it was tried the one that
        gained most."""
        if not self.gained or any(each.family == family for each, _ in self.gained):
            return family
        return max(self.gained, key=lambda each: each[1])[0].family

    def left_out(self, architectures: Sequence[Architecture]) -> tuple[str, str, dict[str, list[str]]]:
        """The step of a search that leaves cuts out for what was gained: what was done, the reason, and the figures in it."""
        families = dict.fromkeys(self._told_by(each.family) for each in architectures)
        gained = ", ".join(f"{points(self.most(family))} of {family}" for family in families)
        return (
            f"left out {depths_text(architectures)}",
            f"as much as fine-tuning has gained over a probe so far ({gained}) would not make them the answer",
            {
                "networks": [each.name for each in architectures],
                "families": list(families),
                "gained": [f"{100 * self.most(family):.1f}" for family in families],
            },
        )


def _tells(candidate: Candidate) -> bool:
    """True if a candidate was trained to its end on a fold, or is already good enough before its end."""
    if candidate.state is Ending.PRUNED:
        return candidate.trainings[-1].ended in (Ending.FINISHED, Ending.EARLY)
    return candidate.state in (Ending.FINISHED, Ending.PAUSED)
