"""The ONNX files of models in the user's cache, with the proofs of the engines that compute them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from deepenough.engines.engine import Engine
from deepenough.errors import DamagedError, DamageWarning
from deepenough.files import digest_of, read_checked_json, write_checked_json
from deepenough.machine import processor
from deepenough.user_folders import cache_root, tidy_cache

MOST_GRAPH_BYTES = 4 * 2**30
"""Files of models that were not used for longest go when all together are larger (bytes)."""

GRAPH, PROOFS = "model.onnx", "proofs.json"


class CachedGraph:
    """The ONNX file of one model, which `digest` stands for: the SHA-256 of the checksums of its files.

    It is in a folder of its own, beside a file with its SHA-256 and the engines that were proven with it: of which
    version, on which processor, and how far they were from torch.
    """

    def __init__(self, digest: str) -> None:
        self._root = cache_root() / "engines"
        self.folder = self._root / digest_of(f"{digest} {version('deepenough')}".encode())[:32]

    def read(self) -> bytes | None:
        """The file; None where there is none, or with a warning where it is damaged."""
        try:
            graph = (self.folder / GRAPH).read_bytes()
            if digest_of(graph) != self._about()["sha256"]:
                raise DamagedError(f"{self.folder / GRAPH}: it is not what deepenough wrote; the file is damaged")
        except OSError:
            return None
        except (DamagedError, KeyError) as error:
            warnings.warn(f"{error}; making it anew", DamageWarning, stacklevel=2)
            return None
        with suppress(OSError):  # a cache that may only be read still serves
            os.utime(self.folder)
        return graph

    def write(self, make: Callable[[Path], None]) -> bytes:
        """Have `make` write the file into a folder; its bytes. Raises OSError where the cache can't be written."""
        self.folder.mkdir(parents=True, exist_ok=True)
        make(self.folder)
        graph = (self.folder / GRAPH).read_bytes()
        write_checked_json(self.folder / PROOFS, {"sha256": digest_of(graph), "proofs": {}})
        tidy_cache(self._root, MOST_GRAPH_BYTES, self.folder)
        return graph

    def is_proven(self, engine: Engine) -> bool:
        """True if this very engine was proven with this file on such a processor."""
        try:
            return _key(engine) in self._about()["proofs"]
        except (OSError, DamagedError, KeyError):
            return False

    def keep_proof(self, engine: Engine, difference: float) -> None:
        """Remember that an engine was proven, with the largest relative difference of its logits from torch's."""
        with suppress(OSError, DamagedError, KeyError):  # without it, it is proven again
            about = self._about()
            about["proofs"][_key(engine)] = {"largest_relative_difference": difference}
            write_checked_json(self.folder / PROOFS, about)

    def _about(self) -> dict[str, Any]:
        return read_checked_json(self.folder / PROOFS)


def _key(engine: Engine) -> str:
    return f"{engine.title} on {processor()}"
