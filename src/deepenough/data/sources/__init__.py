"""Sources of images: one file a kind, and `open_source` that tells them apart."""

from deepenough.data.sources.base import Source
from deepenough.data.sources.open import check_data_is_given, from_anywhere, is_word, open_source

__all__ = ["Source", "check_data_is_given", "from_anywhere", "is_word", "open_source"]
