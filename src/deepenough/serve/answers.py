"""The answers of the service, as its API describes them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """The classes of one picture, most probable first."""

    name: str = Field(description="the file's name as it came; empty for raw bytes")
    label: str
    classes: list[str]
    probabilities: list[float]


class Answers(BaseModel):
    """The answers to one request."""

    predictions: list[Answer]


class DepthAnswer(BaseModel):
    """The answer of a network of another depth."""

    name: str
    depth: int
    chosen: bool
    finished: bool = Field(description="false: its training was pruned")
    label: str
    probability: float


class DepthAnswers(BaseModel):
    """The answers of the networks of all depths, from shallow to deep."""

    depths: list[DepthAnswer]


class ServedArchitecture(BaseModel):
    """A network of the run that answers at /depths."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    depth: int
    accuracy: float
    chosen: bool
    finished: bool = Field(description="false: its training was pruned; the accuracy is that until then")


class About(BaseModel):
    """The model of the service."""

    network: str
    depth: int
    parameters: int
    engine: str = Field(description="the library that computes the predictions, with its version")
    input: list[int] = Field(description="channels, height and width")
    classes: list[str]
    test: float | None = Field(description="accuracy on the run's test images, 0..1")
    low: float | None = Field(description="lower end of its 95% interval")
    high: float | None
    folds: int = Field(
        description="above 1, the accuracies of `architectures` are out of so many folds, while at /depths a network "
        "that was not chosen answers as its first fold trained it; 1: one validation split, 0: no run"
    )
    architectures: list[ServedArchitecture] = Field(description="the run's networks that answer at /depths")
    methods: list[str]
    limits: dict[str, float]


class ModelList(BaseModel):
    """The models of the service."""

    default: str = Field(description="the one that is meant where a request names none")
    models: list[str]


class Reloaded(BaseModel):
    """The models that were read anew."""

    reloaded: list[str]
