"""The networks of a search space in a record: their sizes, their latencies, and the limits that they keep."""

from __future__ import annotations

from pydantic import Field

from deepenough.record.base import RecordModel, inside


class LatencyFields(RecordModel):
    """The seconds of one prediction of a network, whatever its weights, over rounds of measuring."""

    median: float
    lower: float = Field(description="lower quartile")
    upper: float = Field(description="upper quartile")
    told_apart: float = Field(
        description="median of the fastest network that it can't be told from, by which networks are sorted"
    )
    measured: bool = Field(description="false where it was interpolated between two networks of its family")


class NetworkFields(RecordModel):
    """A network of the search space, by name and size."""

    name: str
    family: str = inside("architecture", "family")
    width: float = inside("architecture", "width")
    depth: int = inside("architecture", "depth")
    parameters: int = inside("architecture", "parameters")
    macs: int = inside("architecture", "macs")
    weight_bytes: int | None = inside(
        "architecture", "weight_bytes", default=None, description="of its weights in float32"
    )
    latency: LatencyFields | None = inside("architecture", "latency", default=None)


class LeftOutRecord(NetworkFields):
    """A network that is no part of the search space, since it is over a limit."""

    why: str


class LimitsRecord(RecordModel):
    """The limits that the networks of the search space keep."""

    latency: float | None = Field(description="seconds, which the median keeps")
    parameters: int | None
    size: float | None = Field(description="bytes of the weights, stored as `size_as`")
    size_as: str = Field(default="float32", description="as `--max-size-as` has it: float32, half or int8")
    text: str
    left_out: list[LeftOutRecord]


class LatencyRecord(RecordModel):
    """The conditions under which latency was measured."""

    runtime: str = Field(description="as `--runtime` has it")
    version: str
    batch: int = Field(description="images that are predicted at once")
    threads: int
    text: str


class ArchitectureRecord(NetworkFields):
    """One network of the search space, whether it was trained or not."""

    planned_cost: int = Field(description="multiply-accumulates of training it in full")
