"""Errors of the package."""

from __future__ import annotations

import copy
import pickle

import pytest

from deepenough.classifier import UnfitError
from deepenough.data.finding import ImageError
from deepenough.data.split import TooFewImagesError
from deepenough.errors import DeepenoughError
from deepenough.serve.refusals import FullError, RefusedError
from deepenough.training.out_of_memory import OutOfMemoryInGroupError
from deepenough.training.process_group import LostError


@pytest.mark.parametrize(
    "error",
    [
        DeepenoughError("a sentence"),
        FullError("16 pictures are waiting"),
        ImageError("damaged", "it ends too soon"),
        LostError(OSError("reset")),
        OutOfMemoryInGroupError(64, 128, 32),
        RefusedError(413, "too-large", "too large", headers={"Retry-After": "1"}),
        TooFewImagesError("too few", [1, 2]),
        UnfitError("not fitted"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_worker_process_arrives_as_it_was(error: Exception) -> None:
    """A pool of processes whose errors can't be unpickled is broken, for everybody who waits for it."""
    for arrived in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(arrived) is type(error)
        assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))
