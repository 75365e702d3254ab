"""The image sets that the search is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepenough.data.sources import open_source
from deepenough.experiment.options import Options
from deepenough.experiment.setup import Experiment, RunRequest, prepare_experiment
from deepenough.progress import Reporter

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class SpaceOptions:
    """The options of `fit` that make another search space than its default one; none are given where they are None."""

    max_depth: int | None = None
    width: tuple[float, ...] | None = None


@dataclass(frozen=True)
class ImageSet:
    """Images that `fit` takes, as `data`, with the options that make them a set of this size."""

    name: str
    data: str
    limit: int | None = None
    size: int | None = None

    def experiment(self, seed: int, folder: Path, reporter: Reporter, space: SpaceOptions) -> Experiment:
        """Everything that `fit` would fix before its first training, with its trainings under `folder`."""
        options = {"limit": self.limit, "size": self.size, "max_depth": space.max_depth, "width": space.width}
        asked = Options.of(data=self.data, scratch=True, seed=seed, **options)
        return prepare_experiment(RunRequest(asked, open_source(self.data), (), folder, reporter))


SETS = {
    each.name: each
    for each in (
        ImageSet("digits", "digits"),
        ImageSet("fashion-6000", "fashion-mnist", limit=6_000),
        ImageSet("cifar10-5000", str(SHARED / "cifar10"), limit=5_000),
        ImageSet("mnist12k", str(SHARED / "mnist12k")),
        ImageSet("fashion-20000", "fashion-mnist", limit=20_000),
        ImageSet("clothing-64", str(SHARED / "clothing"), size=64),
    )
}
"""From cheap to dear."""
