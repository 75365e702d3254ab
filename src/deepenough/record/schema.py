"""The schema of `record.json`: everything that was asked, seen, measured and decided in one run.

The JSON schema is written out in `docs/record.schema.json`. Accuracies and bounds are fractions in 0..1, times are
seconds, costs are multiply-accumulates (training an image costs three times its forward pass). A model whose name ends
in `Record` is filled from the object of the same name, by its attributes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from deepenough.record.base import Finite, Name, RecordModel, inside
from deepenough.record.images import DataRecord, MirroringRecord
from deepenough.record.networks import ArchitectureRecord, LatencyRecord, LimitsRecord, NetworkFields
from deepenough.record.pictures import Example, Mistake, Patches
from deepenough.record.plan import Plan
from deepenough.search.question import DecisionBasis, DecisionKind, Measure, Metric, Role

SCHEMA = 2

CandidateState = Literal["finished", "pruned", "out of time", "not finite", "unfinished"]


class RunStatus(StrEnum):
    """The state of a run when its record was written."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    FINISHED = "finished"


class Accuracy(RecordModel):
    """A share of images, with its count and its two-sided 95% interval."""

    value: float
    count: int
    low: float
    high: float


class QuestionRecord(RecordModel):
    """The user's question."""

    target: float | None
    margin: float
    confidence: float
    metric: Metric
    minimize: Measure
    families: list[str]
    widths: list[float]
    budget: float = Field(
        description="what the search may cost: with a target, closing in below the answer stops at so many trainings "
        "of the chosen network; without one, it is a share of training the whole search space"
    )
    time_limit: float | None
    seed: int


class DecisionImages(RecordModel):
    """The images that decide: the validation split, or all images but test by out-of-fold predictions."""

    kind: DecisionBasis
    count: int
    folds: int
    why: str


class EpochRecord(RecordModel):
    """One epoch of a training; measurements of the held-out images are null where they are no finite numbers."""

    epoch: float
    lr: float
    train_loss: float
    train_top1: float
    loss: Finite = None
    top1: Finite = None
    top5: Finite = None
    balanced: Finite = None
    calibration_error: Finite = None
    seconds: float
    gradients: list[Finite] = Field(
        default=[], description="norm of the loss's gradient at the weights of each of the candidate's `layers`"
    )
    activations: list[Finite] = Field(default=[], description="root mean square of what each of them gives")


class TrainingRecord(RecordModel):
    """One training of a candidate, on one fold of the images."""

    lr: float
    epochs: int
    steps: int
    seconds: float
    waited: float = Field(default=0.0, description="seconds of them that were spent waiting for images")
    cost: int = inside("macs", key="cost")
    ended: str
    curve: list[EpochRecord]


class Metrics(RecordModel):
    """Everything measured on one set of images."""

    top1: Accuracy
    top5: float
    balanced: float
    loss: float
    calibration_error: float
    per_class: list[Accuracy]
    confusion: list[list[int]] = Field(description="rows are true classes, columns predicted ones")


class StepConfigurationRecord(RecordModel):
    """One configuration of a training step, and its time over a few of them."""

    precision: str
    memory_format: str
    compiled: bool
    micro_batch: int = Field(description="images at once; 0 for the whole batch")
    threads: int = Field(description="0 for as many as the process has")
    seconds: float = Field(description="of a training step, by its images")
    first: float = Field(description="seconds that the first step takes longer")


class CandidateRecord(NetworkFields):
    """One network tried for the task, with everything measured about it."""

    receptive_field: int = inside("architecture", "receptive_field")
    role: Role
    seed: int
    start: str | None = Field(description="the sibling whose weights it started from, if any")
    teacher: Name | None = Field(default=None, description="the candidate whose logits it learned from, if any")
    state: CandidateState
    why: str
    trainings: list[TrainingRecord] = Field(description="one a fold, in their order")
    cost: int
    seconds: float
    decision: Metrics | None = Field(description="on the decision images; of those seen so far if unfinished")
    train_top1: float | None
    ways: list[StepConfigurationRecord] = Field(
        default=[], description="configurations of a step, as tried; the recipe's own first"
    )
    way: str | None = Field(default=None, description="the one it was trained in")
    expected: float | None = Field(default=None, description="seconds that what was done was expected to take")
    layers: list[str] = Field(default=[], description="the weighted layers, in the order of computation")
    frozen: int | None = Field(
        default=None, description="the first of `layers` that kept their pretrained weights; null without `--freeze`"
    )


class ComparisonRecord(RecordModel):
    """A candidate against the one that it may be furthest behind, paired on the same images."""

    candidate: Name
    best: Name
    difference: float = inside(
        "difference",
        "value",
        key="difference",
        description="`best` less candidate; with a scout, what it understates is added",
    )
    lower: float = inside("difference", "lower", description="one-sided 95% lower bound of the difference")
    upper: float = inside("difference", "upper", description="one-sided 95% upper bound of the difference")
    standard_error: float = inside("difference", "standard_error")
    images: int = inside("difference", "images")
    seeds: int
    enough: bool
    not_shown_worse: bool
    contested: bool = Field(description="within two standard errors of the margin")
    images_to_settle: int | None = Field(description="about how many images would settle it; None where none would")
    text: str


class TargetCheckRecord(RecordModel):
    """A candidate against the target."""

    candidate: Name
    value: float
    lower: float = Field(description="one-sided lower bound at the confidence 1 - alpha")
    images: int
    shown: bool
    seems: bool
    images_to_settle: int | None
    text: str
    alpha: float = Field(
        default=0.05, description="chance of a false claim at this look alone; the looks of a run share 0.05"
    )


class Probe(RecordModel):
    """A linear probe on the pooled features at one place where a pretrained network can be cut."""

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


class ProbingRecord(RecordModel):
    """The accuracy of linear probes at every depth of a pretrained network, before any of it is trained."""

    weights: str
    source: str
    network: str
    title: str = Field(default="", description="the network in words")
    sha256: str
    input: str
    preprocess: dict[str, Any] | None = Field(default=None, description="the same as in a model's preprocess.json")
    images: int = Field(description="images that were judged, none of them test, each by a probe that has not seen it")
    folds: int = Field(description="1 where the validation split was judged")
    metric: Metric
    margin: float
    resolves: float = Field(description="differences smaller than this can't be told")
    probes: list[Probe]
    proposed: str = Field(description="the shallowest place that is not ruled out: it proposes, it never decides")
    text: str
    seconds: float
    behind: float | None = Field(
        default=None, description="accuracy by which the place before the proposed one is worse than the best"
    )
    behind_lower: float | None = Field(default=None, description="one-sided 95% lower bound of that")
    most_frequent: float | None = Field(default=None, description="share of the most frequent class of those images")


class JoinedProbes(RecordModel):
    """The proposal of the probes of several networks together, by the names of architectures."""

    best: Name = Field(description="the most accurate probe of all")
    proposed: Name = Field(description="the smallest that is not ruled out, by what is kept small")
    text: str


class EventRecord(RecordModel):
    """One step of the search, and its reason."""

    what: str
    why: str
    figures: dict[str, float | str | list[str]] = Field(default={}, description="the figures and names in `why`")


class AnswerFacts(RecordModel):
    """The facts of the decision's words that its comparisons don't hold; networks are architectures, by their names."""

    shown: Name | None = Field(default=None, description="the smallest shown to be enough against the search space")
    also_enough: list[Name] = Field(
        default=[], description="smaller than the chosen one, and shown to be enough among those trained in full"
    )
    beside: list[Name] = Field(default=[], description="scouted ones that make those less likely to be enough")
    short_look: list[Name] = Field(default=[], description="a scout can't rule them out")
    unseen: list[Name] = Field(default=[], description="not looked at, or not tried, and named for that")
    left_out: list[Name] = Field(default=[], description="cuts that can't win by their probes")
    diverged: list[Name] = Field(default=[], description="whose loss became NaN or infinite")
    cut_short: list[Name] = Field(default=[], description="whose training the time limit ended")
    not_proposed: list[Name] = Field(default=[], description="as `left_out`, in older records")
    others: bool = Field(default=False, description="whether the probes propose others, and not only deeper cuts")
    ruled_out: list[Name] = Field(default=[], description="that can't be expected to reach the target")
    highest: float = Field(default=0.0, description="what a short training leaves those at most")
    option: str = Field(default="", description="the option that lets the search try more")
    another_family: str = Field(default="", description="that may do better where none reached the target")


class Decision(RecordModel):
    """The answer, and the comparisons that it rests on."""

    chosen: Name
    title: str = Field(default="", description="of the chosen network, where several pretrained ones were asked")
    depth: int = inside("chosen", "architecture", "depth")
    kind: DecisionKind = Field(
        description="strength of the answer; `fit` ends with status 3 for `not met` and with 0 for every other kind"
    )
    second: Name | None = Field(description="the smallest candidate that seems to be enough, or is not shown worse")
    best: Name
    resolves: float = Field(description="differences smaller than this can't be told on the decision images")
    text: str
    advice: list[str]
    comparisons: list[ComparisonRecord]
    target_checks: list[TargetCheckRecord]
    not_ruled_out: list[Name] = Field(
        default_factory=list,
        description="architectures that can't be ruled out as the smallest that is enough, small to large; "
        "holds that one in 95% of questions",
    )
    facts: AnswerFacts | None = Field(default=None, description="null in records of version 0.2.0 and before")


class Cost(RecordModel):
    """The cost of the search."""

    spent: int
    chosen_alone: int = Field(description="training the chosen network alone, from scratch, by the same recipe")
    whole_space: int
    final: int = Field(description="part of `spent`: retraining the chosen network on all images but test")
    times_chosen: float
    share_of_space: float
    seconds: float


class Baseline(RecordModel):
    """A model without depth, for comparison on the test images."""

    name: str
    test: Accuracy
    trained_on: int
    averaged: int = Field(default=1, description="side of the squares of pixels that became one point")
    note: str
    seconds: float


class LayerRecord(RecordModel):
    """One layer of the chosen network."""

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


class Record(RecordModel):
    """The account of one run."""

    format: int = SCHEMA
    version: str
    status: RunStatus
    created: str
    command: str
    seed: int
    environment: dict[str, str]
    options: dict[str, Any] = Field(description="what `fit` was asked, as `Options`; resuming starts from it")
    question: QuestionRecord
    data: DataRecord
    decision_images: DecisionImages
    recipe: dict[str, Any]
    search_space: list[ArchitectureRecord]
    limits: LimitsRecord | None = Field(default=None, description="null where none were given")
    latency: LatencyRecord | None = Field(default=None, description="null where it was not measured")
    mirroring: MirroringRecord | None = Field(
        default=None, description="null in runs of versions that only went by names"
    )
    plan: Plan | None = None
    probing: ProbingRecord | None = Field(
        default=None, description="of the pretrained network that is cut, if any, or of the first of several"
    )
    further_probings: list[ProbingRecord] = Field(default=[], description="of the other networks, by their names")
    joined_probes: JoinedProbes | None = Field(default=None, description="of several networks")
    candidates: list[CandidateRecord] = Field(default=[])
    steps: list[EventRecord] = Field(default=[])
    decision: Decision | None = None
    cost: Cost | None = None
    network: dict[str, Any] | None = Field(default=None, description="the chosen network, as in network.json")
    layers: list[LayerRecord] = Field(default=[])
    train: Metrics | None = None
    test: Metrics | None = None
    baselines: list[Baseline] = Field(default=[])
    mistakes: list[Mistake] = Field(default=[])
    examples: list[Example] = Field(default=[], description="one of every class, of the first 100; none without Captum")
    patches: list[Patches] = Field(default=[])
    content_sha256: str | None = Field(default=None, description="SHA-256 of the other fields, in the file only")

    @property
    def probings(self) -> list[ProbingRecord]:
        """Of every pretrained network that is cut."""
        return [self.probing, *self.further_probings] if self.probing else []

    @property
    def has_one_choice(self) -> bool:
        """Tell if there is no target, and one network to choose from: nothing could be shown about it."""
        return self.question.target is None and len(self.search_space) == 1

    def candidate(self, name: str) -> CandidateRecord:
        """The candidate of that name."""
        return next(candidate for candidate in self.candidates if candidate.name == name)
