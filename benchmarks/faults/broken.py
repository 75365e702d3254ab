"""Variants of deepenough that are broken on purpose: with each of them, a row of the matrix has to fail.

`broken(NAME)` breaks this process; `control/sitecustomize.py` those that the fork server starts with that folder in
PYTHONPATH and the name in FAULT_BROKEN. The package itself knows nothing of this.
"""

from __future__ import annotations

import os
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

Put = Callable[[str, str, Any], None]
CONTROL = Path(__file__).with_name("control")


class Same(str):
    """A text that is the same as any other."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


def checkpoints(put: Put) -> None:
    """Weights that are read back, of checkpoints and of finished trainings, are not quite those that were saved."""
    from deepenough.training.serialization import unpack as plain

    def unpack(path: Path, content: bytes) -> Any:
        tensors = plain(path, content)
        return {name: each * 1.001 if each.is_floating_point() else each for name, each in tensors.items()}

    put("deepenough.training.serialization", "unpack", unpack)


def errors(put: Put) -> None:
    """Errors of the disk are not made into a line."""

    def full_disk(error: BaseException, *written: Path) -> str | None:
        raise error

    put("deepenough.full_disk", "full_disk", full_disk)


def checks(put: Put) -> None:
    """Files have their checks, and nobody looks at them."""
    from deepenough.files import CHECKSUM
    from deepenough.training.serialization import unpack

    def verified(path: Path, content: Any) -> Any:
        return {key: value for key, value in content.items() if key != CHECKSUM}

    put("deepenough.files", "verified", verified)
    put("deepenough.files", "check_sums", lambda folder, names=None: None)
    put("deepenough.training.serialization", "read_checked", lambda path, digest: path.read_bytes())
    put("deepenough.training.serialization", "unpack_checked", unpack)
    put("deepenough.data.cached_pixels", "CachedPixels._is_whole", lambda self, block: True)


def fingerprints(put: Put) -> None:
    """All sets of images are taken for the same."""
    from deepenough.data.images import _assemble as plain

    def assemble(*given: Any) -> Any:
        images = plain(*given)
        return replace(images, fingerprint=Same(images.fingerprint))

    put("deepenough.data.images", "_assemble", assemble)


def unpickling(put: Put) -> None:
    """Weights are unpickled."""
    import torch

    plain = torch.load
    put("torch", "load", lambda path, **given: plain(path, **{**given, "weights_only": False}))


def unpacking(put: Put) -> None:
    """Tar files are unpacked beside themselves, wherever their members want to be."""
    from deepenough.data.sources.tar import Tar

    def unpack(cls: type[Tar], given: str) -> Tar:
        with tarfile.open(given) as tar:
            tar.extractall(Path(given).parent, filter="fully_trusted")
        return cls(Path(given))

    put("deepenough.data.sources.tar", "Tar.open", classmethod(unpack))


def silence(put: Put) -> None:
    """Images are left out without a word."""
    from deepenough.data.images import prepare as plain

    def prepare(*given: Any, **named: Any) -> Any:
        return replace(plain(*given, **named), findings=())

    put("deepenough.data.images", "prepare", prepare)


VARIANTS = {each.__name__: each for each in (checkpoints, errors, checks, fingerprints, unpickling, unpacking, silence)}


def break_process(name: str) -> list[tuple[Any, str, Any]]:
    """Break this process: the holders, names and values of what was put aside."""
    aside: list[tuple[Any, str, Any]] = []

    def put(module: str, dotted: str, new: Any) -> None:
        *path, last = dotted.split(".")
        if path:  # a method
            holders = [getattr(sys.modules[module], path[0])]
        else:  # a function, wherever it was imported to
            plain = getattr(sys.modules[module], last)
            holders = [each for each in list(sys.modules.values()) if each.__dict__.get(last) is plain]
        for holder in holders:
            aside.append((holder, last, holder.__dict__[last]))
            setattr(holder, last, new)

    if name:
        VARIANTS[name](put)
    return aside


@contextmanager
def broken(name: str) -> Iterator[None]:
    """Break this process while the context lasts. An empty name breaks nothing."""
    aside = break_process(name)
    try:
        yield
    finally:
        for holder, last, before in aside:
            setattr(holder, last, before)


def environment(name: str, *folders: str) -> dict[str, str]:
    """The environment that breaks a process of the fork server, with more folders for its PYTHONPATH."""
    before = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    folders = (*folders, *([str(CONTROL)] if name else []))
    return {"PYTHONPATH": os.pathsep.join([*folders, *before]), "FAULT_BROKEN": name} if folders else {}
