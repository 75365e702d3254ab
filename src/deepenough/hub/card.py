"""The model card of a run, and the `config.json` beside it on the hub.

Neither says where the images lie on the machine of the run, nor names any of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from deepenough.errors import DeepenoughError
from deepenough.hub import HUB_PREFIX
from deepenough.language import Language, current_language, listed, lookup, lookup_plural, sentence_space, speaking
from deepenough.language import gettext as _
from deepenough.model import FOLDER, check_model, read_description
from deepenough.nets import Network, depth, macs, parameters
from deepenough.preprocessing import Preprocessing
from deepenough.record import DecisionKind, Record
from deepenough.record import load as load_record
from deepenough.record.schema import CandidateRecord, Decision
from deepenough.report import text as words
from deepenough.report.frozen import frozen
from deepenough.report.restated import answer_text
from deepenough.report.restated_advice import advice
from deepenough.report.restated_probes import preprocessing_text

CARD, CONFIG = "README.md", "config.json"
LIBRARY = "deepenough"
CLASSES_ON_CARD = 100
"""Classes that the card names; `config.json` has all of them."""
PLACEHOLDER = "user/name"
"""The repository that a card names before it is pushed."""


@dataclass(frozen=True)
class FinishedModel:
    """A finished run with the model that it keeps."""

    record: Record
    decision: Decision
    network: Network
    preprocess: Preprocessing
    folder: Path


def read_finished(run: Path) -> FinishedModel:
    """Read a finished run; its model is checked."""
    record = load_record(run)
    folder = run / FOLDER
    if record.decision is None or not folder.is_dir():
        raise DeepenoughError(f"run {str(run)!r}: it has no model yet; finish it with `deepenough fit --resume {run}`")
    check_model(folder)
    network, preprocess, _ = read_description(folder)
    return FinishedModel(record, record.decision, network, preprocess, folder)


def config_text(run: FinishedModel) -> str:
    """`config.json`: classes, input and architecture, by the names that other libraries of the hub use."""
    classes, network = run.record.data.classes, run.network
    content = {
        "model_type": LIBRARY,
        "library_name": LIBRARY,
        "library_version": run.record.version,
        "architecture": network.name,
        "depth": depth(network),
        "num_parameters": parameters(network),
        "macs": macs(network),
        "input_shape": list(network.input),
        "num_labels": len(classes),
        "id2label": {str(number): name for number, name in enumerate(classes)},
        "label2id": {name: number for number, name in enumerate(classes)},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def card_text(run: FinishedModel, repository: str = PLACEHOLDER, language: str | None = None) -> str:
    """The model card in Markdown, with its metadata as YAML in front, for a repository `user/name`.

    `language` is "en" or "zh"; by default the one that the run was asked for, or else that of the locale.
    """
    with speaking(language or run.record.options.get("language")):
        return _card_text(run, repository)


def _card_text(run: FinishedModel, repository: str) -> str:
    record, network = run.record, run.network
    environment = Environment(
        loader=PackageLoader("deepenough.hub", "."),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(lookup, lookup_plural, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["lookup"] = lookup
    environment.filters.update(cell=cell, measured=words.measured)
    classes, test = _class_names(record), record.test
    return environment.get_template("card.md.jinja").render(
        metadata=_metadata(run, repository),
        title=cell(_("%(network)s for %(classes)s", network=network.name, classes=_named(classes, 5))),
        headline=_("%(words)s.", words=_line(words.headline(record))),
        decision=_answer(run),
        repository=repository,
        network={
            "name": cell(network.name), "depth": depth(network),
            "parameters": parameters(network), "macs": macs(network),
        },
        shape=" × ".join(map(str, network.input)),
        preprocess=cell(preprocessing_text(run.preprocess)),
        classes=cell(_named(classes, CLASSES_ON_CARD)),
        start=cell(_start(record, record.candidate(run.decision.chosen))),
        record=record,
        source=source_name(record.data.source).replace("`", "'"),
        counts=[(split, sum(count)) for split, count in record.data.counts.items()],
        problems=words.data_problems(record),
        goal=words.goal(record),
        space=sentence_space(),
        decided_on=words.images(record),
        metric=words.metric(record),
        rows=[_row(record, each) for each in sorted(record.candidates, key=lambda c: (c.depth, c.width, c.seed))],
        not_ruled_out=listed(run.decision.not_ruled_out),
        claimed_of=words.sentence(claimed) if (claimed := words.claimed_of(record)) else "",
        frozen=words.sentence(said) if (said := frozen(record)) else "",
        test=test,
        accuracy=words.measured(test.top1) if test else "",
        balanced=words.percent(test.balanced) if test else "",
        calibration=words.percent(test.calibration_error) if test else "",
        limits=list(_limits(run)),
    )  # fmt: skip


def _answer(run: FinishedModel) -> str:
    """The decision in a sentence: as the record has it, or said anew in another language."""
    again = None if current_language() is Language.ENGLISH else answer_text(run.record)
    return again or words.recorded_sentence(_line(run.decision.text).removesuffix("."))


def _start(record: Record, chosen: CandidateRecord) -> str:
    """The weights that its training started from, files without the folders that they lie in; empty for none."""
    pretrained = [
        _("the pretrained weights %(weights)s (%(source)s)", weights=source_name(each.weights), source=each.source)
        for each in record.probings
        if each.network == chosen.family
    ]
    return _(" and ").join([*([chosen.start] if chosen.start else []), *pretrained])


def _class_names(record: Record) -> list[str]:
    """The names of the classes, each on one line."""
    return [_line(name) for name in record.data.classes]


def source_name(source: str) -> str:
    """The name of a data set without the folders that it lies in, which tell of the machine and its user."""
    if source.startswith(HUB_PREFIX):
        return source
    return _line(PureWindowsPath(PurePath(source).name).name or "images")


def cell(text: str) -> str:
    """Text that can't end a cell of a Markdown table, nor begin HTML."""
    return _line(text).replace("|", "\\|").replace("<", "&lt;")


def _line(text: str) -> str:
    return " ".join(text.split())


def _named(names: list[str], most: int) -> str:
    more = _(", … (%(count)s in all)", count=len(names)) if len(names) > most else ""
    return listed(names[:most]) + more


def _row(record: Record, candidate: CandidateRecord) -> list[str]:
    accuracy = words.value(record, candidate)
    interval = "–" if candidate.decision is None or accuracy is None else words.interval_text(candidate.decision.top1)
    return [
        cell(candidate.name),
        str(candidate.depth),
        words.amount(candidate.parameters),
        "–" if accuracy is None else words.percent(accuracy),
        interval,
        cell(words.verdict(record, candidate)),
    ]


def _metadata(run: FinishedModel, repository: str) -> str:
    """The metadata that the hub reads, as YAML."""
    record, source = run.record, run.record.data.source
    content: dict[str, Any] = {
        "library_name": LIBRARY,
        "pipeline_tag": "image-classification",
        "tags": [LIBRARY, "image-classification"],
        "metrics": ["accuracy"],
    }
    on_hub = source.startswith(HUB_PREFIX)
    if on_hub:
        content["datasets"] = [source.removeprefix(HUB_PREFIX)]
    if record.test is not None and record.test.top1.count:
        name = source_name(source)
        dataset = {"name": name, "type": name.removeprefix(HUB_PREFIX) if on_hub else "imagefolder", "split": "test"}
        measured = {"type": "accuracy", "name": "Test accuracy", "value": round(record.test.top1.value, 6)}
        task = {"type": "image-classification", "name": "Image classification"}
        result = {"task": task, "dataset": dataset, "metrics": [measured]}
        content["model-index"] = [{"name": repository.rpartition("/")[2], "results": [result]}]
    written: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return written.rstrip()


def _limits(run: FinishedModel) -> Iterator[str]:
    """The claims that the run doesn't make, one a sentence."""
    record, decision = run.record, run.decision
    yield _(
        "The figures hold for images drawn like those of this data set. Nothing is claimed about other cameras, "
        "places, times or groups of people."
    )
    yield _("The network always names one of its classes, also for a picture that shows none of them.")
    yield _(
        "Differences below %(points)s percentage points can't be told on the decision images.",
        points=words.unsigned_points(decision.resolves),
    )
    if decision.kind is not DecisionKind.SHOWN:
        yield _(
            "The answer is of the kind “%(kind)s”: it isn't shown against the whole search space.",
            kind=lookup(decision.kind),
        )
    if not words.learned(record):
        yield _("The test images don't show that it does better than always naming the most frequent class.")
    if record.test is None or not record.test.top1.count:
        yield _("There were no test images, so its accuracy on unseen images was not measured.")
    yield _("Calibration was measured on the same kind of images only; probabilities are not guarantees.")
    yield _("No licence is stated here. Before you publish the model, state one that the images and weights allow.")
    if current_language() is Language.ENGLISH:
        yield from map(_line, decision.advice)
    else:
        yield from (words.sentence(each) for each in advice(record))
