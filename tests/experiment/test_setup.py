"""What is fixed before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError
from deepenough.experiment.call import Call
from deepenough.experiment.options import Options
from deepenough.experiment.setup import RunRequest, prepare_experiment
from deepenough.progress import Reporter

pytestmark = pytest.mark.seconds(10)


@pytest.mark.parametrize("limit", [None, 300.0])
def test_a_time_limit_counts_from_the_call_so_that_what_fetching_weights_took_is_taken_in(
    shapes: Path, tmp_path: Path, limit: float | None
) -> None:
    asked = Options.of(data=str(shapes), scratch=True, epochs=1, time_limit=limit)
    request = RunRequest(asked, open_source(asked.data), (), tmp_path, Reporter(), call=Call(began=1000.0))
    deadline = prepare_experiment(request).trainer.deadline
    assert deadline == (None if limit is None else 1300.0)


def test_layers_are_frozen_only_where_there_are_weights(shapes: Path, tmp_path: Path) -> None:
    asked = Options.of(data=str(shapes), scratch=True, freeze="40%")
    with pytest.raises(DeepenoughError, match=r"--freeze 0\.4: .* give --weights, too"):
        prepare_experiment(RunRequest(asked, open_source(asked.data), (), tmp_path, Reporter()))
