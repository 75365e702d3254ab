"""The folder that a user keeps: the model, one look at the test images, record and report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepenough.data.images import Images
from deepenough.evaluation.metrics import metrics
from deepenough.experiment import pictures
from deepenough.experiment.baselines import baselines
from deepenough.experiment.recording import plan_outcome, search_cost
from deepenough.experiment.time_limit import TimeLimit
from deepenough.files import write_sums
from deepenough.model import FOLDER, Model, save_model
from deepenough.nets import dumps, layer_table
from deepenough.probing.patches import patches
from deepenough.record import PICTURE_FOLDER, Record, save
from deepenough.record.schema import Decision, LayerRecord, RunStatus
from deepenough.report import write_report
from deepenough.report.export_advice import export_advice
from deepenough.report.shortfall import shortfalls
from deepenough.search.search import Search
from deepenough.search.verdict import Verdict
from deepenough.training.device import choose_device
from deepenough.training.evaluate import predict_probabilities as predictions
from deepenough.training.result import Trained

TRAIN_IMAGES = 10_000  # that the training accuracy is measured on


def write_result(
    record: Record,
    search: Search,
    verdict: Verdict,
    final: tuple[Trained, ...],
    folder: Path,
    limit: TimeLimit | None = None,
) -> None:
    """Save the model, look at the test images once, and write the record and the report.

    Args:
        record: of the run so far.
        search: the search that is over.
        verdict: its answer.
        final: where folds decided, the trainings on all images but test: of its teacher, if it has one, and last of
            the chosen network.
        folder: of the run.
        limit: of time; where it is over, baselines are left out.
    """
    chosen, trainer = verdict.chosen, search.trainer
    images = trainer.images.read_as(chosen.architecture.preprocess)
    network = replace(chosen.architecture.network, name=chosen.architecture.name)
    state = (final[-1] if final else chosen.trainings[0]).state
    save_model(folder / FOLDER, network, state, images.preprocess, images.classes)
    model = Model(network, state, images.preprocess, images.classes, choose_device(trainer.recipe.device))
    train = trainer.decision if final else trainer.folds.folds[0].train
    _look_at_test(record, search, model, train, folder)
    if limit and limit.is_over:
        trainer.reporter.say("the time limit is over: baselines on the pixels are left out")
    else:
        _fit_baselines(record, search, images, train)
    record.decision = Decision.model_validate(verdict)
    record.decision.advice += [*shortfalls(record), *export_advice(record)]
    record.cost = search_cost(search, chosen, final)
    if record.plan:
        retrained = record.cost.final / trainer.step_macs(chosen.architecture)
        again = trainer.configuration_alone(chosen.architecture).total(retrained) if retrained else 0.0
        record.plan = plan_outcome(record.plan, record.candidates, record.cost, again, model.device.type)
    record.network = json.loads(dumps(network))
    record.layers = [LayerRecord.model_validate(row) for row in layer_table(network)]
    record.status = RunStatus.FINISHED
    save(record, folder)
    write_report(folder)


def _look_at_test(record: Record, search: Search, model: Model, train: npt.NDArray[np.int64], folder: Path) -> None:
    """Measure the model on the test images, and save pictures of them."""
    images, seed = search.trainer.images.read_as(model.preprocess), search.question.seed
    test, labels = images.split.test, images.labels

    def probabilities_of(index: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return predictions(model.module, images, index, images.preprocess, model.device)

    with search.trainer.reporter.task("test images") as advance:
        probabilities = probabilities_of(test)
        record.test = metrics(probabilities, labels[test])
        advance(1, 2)
        sample = np.sort(np.random.default_rng(seed).permutation(train)[:TRAIN_IMAGES])
        record.train = metrics(probabilities_of(sample), labels[sample])
        advance(2, 2)
    if record.probing:
        record.patches = patches(model, images, train, folder)
    record.mistakes = pictures.mistakes(images, test, probabilities, folder, model)
    record.examples = pictures.examples(images, test, probabilities, folder, model)
    if (drawn := folder / PICTURE_FOLDER).is_dir():
        write_sums(drawn, sorted(path.name for path in drawn.iterdir() if path.suffix in (".png", ".jpg")))


def _fit_baselines(record: Record, search: Search, images: Images, train: npt.NDArray[np.int64]) -> None:
    """Measure models without depth on the test images, for comparison."""
    with search.trainer.reporter.task("baselines") as advance:
        record.baselines = baselines(images, train, images.split.test, search.question.seed)
        advance(1, 1)
