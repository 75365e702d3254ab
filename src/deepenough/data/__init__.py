"""Where images come from, what is wrong with them, how they are split, cached and fed."""

from deepenough.data.cache import Cache, cache_folder
from deepenough.data.decode import ImageLike, header
from deepenough.data.finding import Finding, ImageError
from deepenough.data.images import Images, prepare
from deepenough.data.preprocess import Framing, Preprocess
from deepenough.data.sources import Source, from_anywhere, open_source
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION, Split, make_folds, sample

__all__ = [
    "TEST",
    "TRAIN",
    "UNASSIGNED",
    "VALIDATION",
    "Cache",
    "Finding",
    "Framing",
    "ImageError",
    "ImageLike",
    "Images",
    "Preprocess",
    "Source",
    "Split",
    "cache_folder",
    "from_anywhere",
    "header",
    "make_folds",
    "open_source",
    "prepare",
    "sample",
]
