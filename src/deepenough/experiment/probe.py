"""The probe of a pretrained network on a user's images, from options to record, as `deepenough probe` runs it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from torch import nn

from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError
from deepenough.experiment.given_network import given_network, module_of
from deepenough.experiment.options import Options
from deepenough.probing.images import images_for_weights
from deepenough.probing.probe import probe_weights
from deepenough.progress import Reporter
from deepenough.record.schema import ProbingRecord
from deepenough.search.question import Question
from deepenough.training.device import choose_device
from deepenough.weights import load_weights


def probe(
    data: Any,
    *,
    weights: str | None = None,
    network: nn.Module | str | None = None,
    framing: str = "source",
    reporter: Reporter | None = None,
    **options: Any,
) -> ProbingRecord:
    """Measure how much of the task a linear probe solves at every depth of a pretrained network.

    Args:
        data: the images, as `deepenough probe` takes them.
        weights: a name or a file.
        network: the network that a file of weights belongs to; or, instead of weights, a torch module of one's own or
            the function that makes it, as "module:function".
        framing: "source", the centre that the weights' source cuts out, or "whole".
        reporter: is told how far it has come.
        options: the others of `deepenough probe`, see `Options`.
    """
    given = {"weights": weights, "network": network, "framing": framing, **options}
    module = module_of(given)
    asked = Options.from_json({name: value for name, value in given.items() if value is not None})
    if not (asked.weights or asked.gives_module):
        raise DeepenoughError("there is nothing to probe: give --weights NAME|FILE, or --network module:function")
    reporter = reporter or Reporter()
    source = open_source(data, reporter=reporter)
    if asked.gives_module:
        with tempfile.TemporaryDirectory() as folder:
            loaded = given_network(asked, source, Path(folder), module, reporter)
    else:
        loaded = load_weights(
            asked.weights[0], network=asked.network, preprocess=asked.preprocess, needs_head=False, reporter=reporter
        )
    loaded, images = images_for_weights(loaded, source, asked, reporter)
    question = Question(margin=asked.margin, seed=asked.seed)
    return probe_weights(loaded, images, question, choose_device(asked.device or "auto"), reporter).record
