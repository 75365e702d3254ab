"""The record of a run's images: their classes and splits, what was found about them, and whether they are mirrored."""

from __future__ import annotations

from pydantic import Field

from deepenough.record.base import FileName, RecordModel, inside


class FindingRecord(RecordModel):
    """A defect of an image, and the action that was taken."""

    kind: str
    name: FileName
    detail: FileName = ""
    action: str
    other: FileName = Field(default="", description="the picture that it is like")


class DataRecord(RecordModel):
    """The images of the run."""

    source: str
    fingerprint: str
    classes: list[str]
    size: tuple[int, int] = inside("preprocess", "size")
    channels: int = inside("preprocess", "channels")
    mean: list[float] = inside("preprocess", "mean")
    std: list[float] = inside("preprocess", "std")
    levels: tuple[int, int] | None = inside(
        "preprocess", "levels", default=None, description="the values of 16 bits that become 0 and 255"
    )
    counts: dict[str, list[int]] = Field(description="images of each class in train, validation and test")
    findings: list[FindingRecord]
    mirror: bool = Field(description="whether mirror images are sensible for this data")
    in_blocks: bool | None = Field(default=None, description="whether trainings read the images block by block")


class SwapRecord(RecordModel):
    """A class whose mirror images a small classifier takes for another's."""

    name: str
    taken_for: str
    share: float = Field(description="of the mirrored held-out images of the class")


class MirroringRecord(RecordModel):
    """The decision whether training images are mirrored, and the test that it rests on."""

    on: bool
    basis: str = Field(description="asked, names, test, or too few images")
    text: str
    images: int = Field(default=0, description="training images that it was tested on, out of fold; 0 without a test")
    seeing: float | None = Field(
        default=None, description="accuracy of a classifier that sees which way round they are"
    )
    blind: float | None = Field(default=None, description="accuracy of one to which mirror images are the same")
    harms: bool = Field(default=False, description="whether the test shows that mirroring changes a class")
    tells: bool = Field(default=False, description="whether it would have shown it for at least one class")
    swaps: list[SwapRecord] = Field(default=[], description="what mirror images are taken for, the largest share first")
