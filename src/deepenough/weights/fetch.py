"""Named weights: where they are kept, and fetching them."""

from __future__ import annotations

from pathlib import Path

from deepenough.download import Published, download
from deepenough.progress import Reporter
from deepenough.user_folders import cache_root
from deepenough.weights.names import Named


def weights_folder() -> Path:
    """Return the folder of weights: `weights` in the environment's DEEPENOUGH_CACHE, or in the user's cache folder."""
    return cache_root() / "weights"


def cached(named: Named) -> Path | None:
    """The file where it lies, if it is there; its content is checked when it is used."""
    path = weights_folder() / named.file
    return path if path.is_file() else None


def fetch(named: Named, reporter: Reporter | None = None) -> Path:
    """The whole, checked file of `named`, fetched if it is not there yet, as `deepenough.download` does."""
    file = Published(named.name, named.url, named.sha256, named.megabytes, kind="weights")
    return download(file, weights_folder() / named.file, reporter)
