"""The record of the pictures beside it: mistakes, right answers, and patches that excite channels."""

from __future__ import annotations

from pydantic import Field

from deepenough.record.base import FileName, RecordModel


class Mistake(RecordModel):
    """A confident mistake on a test image."""

    name: FileName
    truth: str
    predicted: str
    confidence: float
    picture: str = Field(description="file of the picture, relative to the run's folder")
    heat: str | None = Field(default=None, description="the same with the heat of the predicted class over it")
    truth_heat: str | None = Field(default=None, description="the same with the heat of the right class over it")


class Example(RecordModel):
    """A test image that was classified right: of its class, the one whose confidence is the median."""

    name: FileName
    truth: str
    confidence: float
    picture: str = Field(description="file of the picture, relative to the run's folder")
    heat: str = Field(description="the same with the heat of the class over it")


class Patches(RecordModel):
    """The image patches that excite the strongest channels at one depth of the chosen network."""

    place: str
    depth: int = Field(description="of a network cut there, as the probes have it")
    receptive_field: int = Field(description="pixels along one side that a value there depends on")
    channels: list[int] = Field(description="the channels, a row of the picture each")
    picture: str = Field(description="file of the picture, relative to the run's folder")
