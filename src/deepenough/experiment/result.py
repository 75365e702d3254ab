"""From the verdict to the folder that a user keeps: the model, one look at the test images, record and report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepenough import record as r
from deepenough.data import Images
from deepenough.experiment import pictures
from deepenough.experiment import recording as account
from deepenough.experiment.baselines import baselines
from deepenough.model import FOLDER, Model, save_model
from deepenough.nets import dumps, layer_table
from deepenough.probing.patches import patches
from deepenough.progress import Reporter
from deepenough.report import write_report
from deepenough.search.rules import Verdict
from deepenough.search.search import Search
from deepenough.training import Trained, choose_device
from deepenough.training import evaluate as predictions


def conclude(
    record: r.Record,
    search: Search,
    verdict: Verdict,
    final: Trained | None,
    images: Images,
    folder: Path,
    reporter: Reporter,
) -> None:
    """Save the model, look at the test images once, and write the record and the report."""
    chosen, classes = verdict.chosen, images.classes
    state = (final or chosen.trainings[0]).state
    network = replace(chosen.architecture.network, name=chosen.architecture.name)
    save_model(folder / FOLDER, network, state, images.preprocess, classes)
    model = Model(network, state, images.preprocess, classes, choose_device(search.trainer.recipe.device))

    def probabilities_of(index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return predictions(model.module, images, index, images.preprocess, model.device)

    train = search.trainer.decision if final else search.trainer.folds.folds[0].train
    test = images.split.test
    with reporter.task("test images and baselines") as advance:
        probabilities = probabilities_of(test)
        record.test = account.metrics(probabilities, images.labels[test], classes)
        advance(1, 3)
        sample = np.sort(np.random.default_rng(search.question.seed).permutation(train)[:10_000])
        record.train = account.metrics(probabilities_of(sample), images.labels[sample], classes)
        advance(2, 3)
        record.baselines = [
            r.Baseline(
                name=b.name,
                test=account.accuracy(b.correct, b.count),
                trained_on=b.trained_on,
                note=b.note,
                seconds=b.seconds,
            )
            for b in baselines(images, train, test, search.question.seed)
        ]
        advance(3, 3)
    if record.sounding:
        record.patches = patches(model, images, train, folder)
    record.mistakes = pictures.mistakes(images, test, probabilities, folder, model)
    record.examples = pictures.examples(images, test, probabilities, folder, model)
    record.decision = account.decision(verdict)
    record.decision.advice += account.sobering(record.test, record.baselines)
    record.cost = account.cost(search, chosen, final)
    way = search.trainer.way(chosen.architecture)
    record.plan = account.outcome(
        record.plan, record.candidates, record.cost, chosen.architecture, way, model.device.type
    )
    record.network = json.loads(dumps(network))
    record.layers = [r.LayerRow.model_validate(row.to_json()) for row in layer_table(network)]
    record.status = "finished"
    r.save(record, folder)
    write_report(folder)
