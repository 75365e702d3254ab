"""What is fixed before anything is trained."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError
from deepenough.experiment.call import Call
from deepenough.experiment.options import Options
from deepenough.experiment.setup import RunRequest, prepare_experiment
from deepenough.nets import FAMILIES
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.weights import Weights

pytestmark = pytest.mark.seconds(10)


@pytest.mark.parametrize(("limit", "kept"), [(None, 0.0), (20.0, 2.0), (300.0, 30.0), (4000.0, 30.0)])
def test_a_time_limit_counts_from_the_call_so_that_what_fetching_weights_took_is_taken_in(
    shapes: Path, tmp_path: Path, limit: float | None, kept: float
) -> None:
    asked = Options.of(data=str(shapes), scratch=True, epochs=1, time_limit=limit)
    request = RunRequest(asked, open_source(asked.data), (), tmp_path, Reporter(), call=Call(began=1000.0))
    deadline = prepare_experiment(request).trainer.deadline
    assert deadline == (None if limit is None else 1000.0 + limit - kept)  # for the test images and the report


@pytest.mark.parametrize(
    ("share", "line"),
    [(0.5, r"frozen: up to [a-z.0-9]+, \d+\.\d% of"), (0.001, r"nothing is frozen: the first block, [a-z.0-9]+, has")],
)
def test_the_user_is_told_what_is_frozen_of_each_network(shapes: Path, tmp_path: Path, share: float, line: str) -> None:
    class Lines(Reporter):
        said: ClassVar[list[str]] = []

        def say(self, text: str) -> None:
            self.said.append(text)

    preprocess, weights = Preprocessing((24, 24), mean=(0.5,) * 3, std=(0.25,) * 3), []
    for name in ("residual", "plain"):
        network = replace(FAMILIES[name].network(input=(3, 24, 24), classes=5, depth=7, width=0.25), name=name)
        weights.append(Weights(f"{name}.pth", "nobody", network, build(network, 0).state_dict(), preprocess, name))
    asked = Options.of(data=str(shapes), freeze=share, framing="source", epochs=1, folds=1, threads=1)
    prepare_experiment(RunRequest(asked, open_source(asked.data), tuple(weights), tmp_path, Lines()))
    for each in weights:
        assert sum(bool(re.match(rf"{each.name}, whole network: {line}", said)) for said in Lines.said) == 1


def test_layers_are_frozen_only_where_there_are_weights(shapes: Path, tmp_path: Path) -> None:
    asked = Options.of(data=str(shapes), scratch=True, freeze="40%")
    with pytest.raises(DeepenoughError, match=r"--freeze 0\.4: .* give --weights, too"):
        prepare_experiment(RunRequest(asked, open_source(asked.data), (), tmp_path, Reporter()))
