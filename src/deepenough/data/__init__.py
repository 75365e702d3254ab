"""Where images come from, what is wrong with them, how they are split, cached and fed."""

from deepenough.data.decode import ImageLike
from deepenough.data.finding import Finding, ImageError
from deepenough.data.images import Images, prepare
from deepenough.data.preprocess import Preprocess
from deepenough.data.sources import Source, from_anywhere, open_source
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION, Split

__all__ = [
    "TEST",
    "TRAIN",
    "UNASSIGNED",
    "VALIDATION",
    "Finding",
    "ImageError",
    "ImageLike",
    "Images",
    "Preprocess",
    "Source",
    "Split",
    "from_anywhere",
    "open_source",
    "prepare",
]
