"""The record of one run, `record.json`: everything that was asked, seen, measured and decided.

Reports, tables and tests read records; nothing scrapes logs. The JSON schema is `Record.model_json_schema()`
and is written out in `docs/record.schema.json`. Accuracies and bounds are fractions in 0..1, times are
seconds, costs are multiply-accumulates (training an image costs three times its forward pass).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from deepenough.errors import DeepenoughError
from deepenough.files import write_whole

SCHEMA = 1
FILE = "record.json"
CANDIDATES = "candidates"


def fold_folder(candidate: Path, number: int) -> Path:
    """The folder of a candidate's training on one fold: `fold0`, ...; `part0`, ... where version 0.1.0 began it."""
    old = candidate / f"part{number}"
    return old if old.is_dir() else candidate / f"fold{number}"


class Part(BaseModel):
    """One piece of a record: unknown keys are errors, so that a typo cannot hide."""

    model_config = ConfigDict(extra="forbid")


class Accuracy(Part):
    """A share of images, with its count and its two-sided 95% interval."""

    value: float
    count: int
    low: float
    high: float


class Finding(Part):
    """Something that is wrong with an image, and what was done about it."""

    kind: str
    name: str
    detail: str = ""
    action: str


class Data(Part):
    source: str
    fingerprint: str
    classes: list[str]
    size: tuple[int, int]
    channels: int
    mean: list[float]
    std: list[float]
    counts: dict[str, list[int]] = Field(description="images of each class in train, validation and test")
    findings: list[Finding]
    mirror: bool = Field(description="whether mirror images are sensible for this data")
    in_blocks: bool | None = Field(default=None, description="whether trainings read the images block by block")


class Question(Part):
    target: float | None
    margin: float
    confidence: float
    metric: Literal["top1", "balanced"]
    minimize: Literal["depth", "parameters", "macs"]
    families: list[str]
    widths: list[float]
    budget: float = Field(
        description="what the search may cost: with a target, closing in below the answer stops at so many trainings "
        "of the chosen network; without one, it is a share of training the whole search space"
    )
    time_limit: float | None
    seed: int


class DecisionImages(Part):
    """What decides: the validation split, or out-of-fold predictions over all images but test."""

    kind: Literal["validation", "out-of-fold"]
    count: int
    folds: int
    why: str


class Architecture(Part):
    """One network of the search space, whether it was trained or not."""

    name: str
    family: str
    width: float
    depth: int
    parameters: int
    macs: int
    planned_cost: int = Field(description="multiply-accumulates of training it in full")


class EpochRow(Part):
    epoch: float
    lr: float
    train_loss: float
    train_top1: float
    loss: float | None = None
    top1: float | None = None
    top5: float | None = None
    balanced: float | None = None
    calibration_error: float | None = None
    seconds: float
    gradients: list[float | None] = Field(
        default=[], description="norm of the loss's gradient at the weights of each of the candidate's `layers`"
    )
    activations: list[float | None] = Field(default=[], description="root mean square of what each of them gives")


class Training(Part):
    """One training of one network from one seed on one part of the images."""

    fold: int
    seed: int
    lr: float
    epochs: int
    steps: int
    seconds: float
    waited: float = Field(default=0.0, description="share of the time that was spent waiting for images")
    cost: int
    ended: str
    curve: list[EpochRow]


class Metrics(Part):
    """Everything measured on one set of images."""

    top1: Accuracy
    top5: float
    balanced: float
    loss: float
    calibration_error: float
    per_class: list[Accuracy]
    confusion: list[list[int]] = Field(description="rows are true classes, columns predicted ones")


class Way(Part):
    """One way to compute a training step, as a few of them went."""

    precision: str
    memory_format: str
    compiled: bool
    micro_batch: int = Field(description="images at once; 0 for the whole batch")
    threads: int = Field(description="0 for as many as the process has")
    seconds: float = Field(description="of a training step, by its images")
    first: float = Field(description="seconds that the first step takes longer")


class PlannedArchitecture(Part):
    """One architecture of the search space, before anything is trained."""

    name: str
    depth: int
    images: float = Field(description="training steps' images that training it on every part comes to")
    seconds: float = Field(description="of training it on every part")
    memory: int = Field(description="bytes of a training step")


class Plan(Part):
    """How long the search was expected to take, and how long the trainings took that it came to."""

    architectures: list[PlannedArchitecture]
    least: float = Field(description="seconds of the fewest trainings that can give an answer")
    most: float = Field(description="seconds of all trainings that the budget allows")
    memory: int = Field(description="bytes (on a GPU, its own) at most, training the largest architecture")
    expected: float | None = Field(default=None, description="seconds that the trainings done were expected to take")
    seconds: float | None = Field(default=None, description="seconds that they took")
    peak: int | None = Field(default=None, description="bytes (on a GPU, its own) that it took at most")


class Candidate(Part):
    """One network tried for the task, with everything measured about it."""

    name: str
    family: str
    depth: int
    width: float
    parameters: int
    macs: int
    receptive_field: int
    role: Literal["search space", "bisection", "second seed", "look-ahead"]
    seed: int
    start: str | None = Field(description="the sibling whose weights it started from, if any")
    state: Literal["finished", "pruned", "out of time", "not finite", "unfinished"]
    why: str
    trainings: list[Training]
    cost: int
    seconds: float
    decision: Metrics | None = Field(description="on the decision images; of those seen so far if unfinished")
    train_top1: float | None
    ways: list[Way] = Field(default=[], description="of computing a step, as tried before; the recipe's own first")
    way: str | None = Field(default=None, description="the one it was trained in")
    expected: float | None = Field(default=None, description="seconds that what was done was expected to take")
    layers: list[str] = Field(default=[], description="the weighted layers, in the order of computation")


class Comparison(Part):
    """A shallower architecture against the best one, paired on the same images."""

    candidate: str
    best: str
    difference: float = Field(description="the best's accuracy less the candidate's")
    lower: float = Field(description="one-sided 95% lower bound of the difference")
    upper: float = Field(description="one-sided 95% upper bound of the difference")
    standard_error: float
    images: int
    seeds: int
    enough: bool
    not_shown_worse: bool
    contested: bool = Field(description="within two standard errors of the margin and judged on one seed")
    images_to_settle: int | None = Field(description="about how many images would settle it; None where none would")
    text: str


class TargetCheck(Part):
    candidate: str
    value: float
    lower: float = Field(description="one-sided 95% lower bound")
    images: int
    shown: bool
    seems: bool
    images_to_settle: int | None
    text: str


class Place(Part):
    """One place where a pretrained network can be cut, judged by a linear probe on the pooled features there."""

    place: str
    depth: int = Field(description="of the network cut there, with its new head")
    parameters: int
    macs: int
    milliseconds: float = Field(description="an image, from the input to there, on the machine of the run")
    accuracy: Accuracy
    difference: float = Field(description="the whole network's accuracy less this one's, on the same images")
    low: float = Field(description="lower end of the two-sided 95% interval of the difference")
    high: float
    ruled_out: bool = Field(description="shown to be worse than the best place by more than the margin")


class Sounding(Part):
    """How much of the task is solved at every depth of a pretrained network, before any of it is trained."""

    weights: str
    source: str
    network: str
    sha256: str
    input: str
    images: int = Field(description="images that are not test; each was judged by a probe that has not seen it")
    folds: int
    metric: Literal["top1", "balanced"]
    margin: float
    resolves: float = Field(description="differences smaller than this can't be told")
    places: list[Place]
    proposed: str = Field(description="the shallowest place that is not ruled out: it proposes, it never decides")
    text: str
    seconds: float


class Step(Part):
    """One thing that the search did, and why."""

    what: str
    why: str


class Decision(Part):
    """The answer, and what it rests on."""

    candidate: str
    depth: int
    kind: Literal["shown", "seems", "not met", "best"]
    second: str | None = Field(description="the shallowest candidate that seems to be enough, or is not shown worse")
    best: str
    resolves: float = Field(description="differences smaller than this can't be told on the decision images")
    text: str
    advice: list[str]
    comparisons: list[Comparison]
    target: list[TargetCheck]


class Cost(Part):
    spent: int
    chosen_alone: int = Field(description="training the chosen network alone, from scratch, by the same recipe")
    whole_space: int
    final: int = Field(description="part of `spent`: retraining the chosen network on all images but test")
    times_chosen: float
    share_of_space: float
    seconds: float


class Baseline(Part):
    """A model without depth, for comparison on the test images."""

    name: str
    test: Accuracy
    trained_on: int
    note: str
    seconds: float


class Mistake(Part):
    """A confident mistake on a test image."""

    name: str
    truth: str
    predicted: str
    confidence: float
    picture: str = Field(description="file of the picture, relative to the run's folder")
    heat: str | None = Field(default=None, description="the same with the heat of the predicted class over it")
    truth_heat: str | None = Field(default=None, description="the same with the heat of the right class over it")


class Example(Part):
    """A test image that was classified right: of its class, the one whose confidence is the median."""

    name: str
    truth: str
    confidence: float
    picture: str = Field(description="file of the picture, relative to the run's folder")
    heat: str = Field(description="the same with the heat of the class over it")


class Patches(Part):
    """What excites the strongest channels at one depth of the chosen network."""

    place: str
    depth: int = Field(description="of a network cut there, as in the sounding")
    receptive_field: int = Field(description="pixels along one side that a value there depends on")
    channels: list[int] = Field(description="the channels, a row of the picture each")
    picture: str = Field(description="file of the picture, relative to the run's folder")


class LayerRow(Part):
    path: str
    kind: str
    kernel: int | None
    stride: int | None
    padding: int | None
    groups: int | None
    input_shape: list[int]
    output_shape: list[int]
    parameters: int
    macs: int
    receptive_field: int


class Record(Part):
    """The account of one run."""

    format: int = SCHEMA
    version: str
    status: Literal["running", "interrupted", "finished"]
    created: str
    command: str
    seed: int
    environment: dict[str, str]
    options: dict[str, Any] = Field(description="what `fit` was asked, as `Options`; resuming starts from it")
    question: Question
    data: Data
    decision_images: DecisionImages
    recipe: dict[str, Any]
    search_space: list[Architecture]
    plan: Plan | None = None
    sounding: Sounding | None = Field(default=None, description="of the pretrained network that is cut, if any")
    candidates: list[Candidate] = []
    steps: list[Step] = []
    decision: Decision | None = None
    cost: Cost | None = None
    network: dict[str, Any] | None = Field(default=None, description="the chosen network, as in network.json")
    layers: list[LayerRow] = []
    train: Metrics | None = None
    test: Metrics | None = None
    baselines: list[Baseline] = []
    mistakes: list[Mistake] = []
    examples: list[Example] = Field(default=[], description="one of every class, of the first 100; none without Captum")
    patches: list[Patches] = []

    def candidate(self, name: str) -> Candidate:
        return next(candidate for candidate in self.candidates if candidate.name == name)


def save(record: Record, run: Path) -> None:
    """Write `run/record.json`, whole or not at all."""
    write_whole(run / FILE, record.model_dump_json(indent=1))


def load(run: Path) -> Record:
    """Read the record of the run in the folder `run`."""
    path = run / FILE
    if not run.is_dir():
        raise DeepenoughError(f"run {str(run)!r}: there is no such folder; give the RUN that `deepenough fit` named")
    if not path.is_file():
        raise DeepenoughError(f"run {str(run)!r}: it has no {FILE}; give the RUN that `deepenough fit` named")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DeepenoughError(f"{path}: not JSON ({error}); the file is damaged") from None
    given = content.get("format") if isinstance(content, dict) else None
    if given != SCHEMA:
        raise DeepenoughError(
            f"{path}: record format {given!r}; this version reads {SCHEMA}. "
            "Read it with the version of deepenough that wrote it"
        )
    try:
        return Record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(key) for key in first["loc"])
        raise DeepenoughError(f"{path}: {where}: {first['msg']}; the file is damaged") from None
