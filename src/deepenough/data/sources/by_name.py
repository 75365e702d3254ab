"""Data sets by name: a copy on this machine, wherever other tools have put it, or one fetched from the publisher."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from platformdirs import user_cache_dir

from deepenough.data.sources.base import Source
from deepenough.data.sources.published_sets import SETS, Layout, PublishedSet
from deepenough.data.sources.unpack import Bounds, unpack
from deepenough.download import Published, alone, download, kept_in
from deepenough.errors import DamagedError
from deepenough.progress import Reporter
from deepenough.user_folders import cache_root


def is_set(word: str) -> bool:
    """True for the name of a data set, unless something else of this name lies in the working folder."""
    if word not in SETS:
        return False
    if not Path(word).exists():
        return True
    wanted = SETS[word]
    return any(_whole(wanted, Path(place)) for place in wanted.places if Path(place).parts[:1] == (word,))


def open_set(name: str, reporter: Reporter | None = None) -> Source:
    """Open a data set by its name. It is fetched where there is no copy on this machine.

    Raises `DeepenoughError` that says what to put where, if it can't be fetched.
    """
    reporter, wanted = reporter or Reporter(), SETS[name]
    own = cache_root() / "datasets" / name
    found = None if _whole(wanted, own / wanted.folder) else _found(wanted)
    if found is None:
        found = _fetched(wanted, name, own, reporter)
    else:
        reporter.say(f"{name}: read from {found[1]}")
    layout, path = found
    return layout.open(path, name)


def _whole(wanted: PublishedSet, path: Path) -> Layout | None:
    """The layout of a copy at a path; None where there is none, or a part of one."""
    try:
        return next((layout for layout in wanted.layouts if layout.is_whole(path)), None)
    except OSError:
        return None


def _found(wanted: PublishedSet) -> tuple[Layout, Path] | None:
    """A copy that another tool, a package or the user has put on this machine."""
    for folder in _folders():
        for place in wanted.places:
            path = (folder / place).absolute()
            layout = _whole(wanted, path)
            if layout is not None:
                return layout, path
    return None


def _folders() -> list[Path]:
    """The folders that data sets are kept in: the user's own, torchvision's, Keras', fastai's, and the system's."""
    given = os.environ.get
    try:
        home = Path.home()
        caches = [Path(user_cache_dir("deepenough")), home / ".cache" / "deepenough"]  # by hand, for earlier versions
    except RuntimeError:  # neither HOME nor an entry of the user
        home, caches = Path(tempfile.gettempdir()), []
    torch = Path(given("TORCH_HOME") or Path(given("XDG_CACHE_HOME") or home / ".cache") / "torch")
    return [
        *(base / folder for base in (Path(), home) for folder in ("data", "datasets")),
        Path(),
        *caches,
        home / ".cache" / "torchvision",
        *([Path(given("TORCHVISION_DATASETS_HOME", ""))] if given("TORCHVISION_DATASETS_HOME") else []),
        *(torch / folder for folder in ("datasets/vision", "datasets", "data", "")),
        Path(given("KERAS_HOME") or home / ".keras") / "datasets",
        Path(given("FASTAI_HOME") or home / ".fastai") / "data",
        Path("/usr/share/datasets"),
    ]


def _fetched(wanted: PublishedSet, name: str, folder: Path, reporter: Reporter) -> tuple[Layout, Path]:
    """The copy in the user's cache folder, made whole if it is not."""
    ready, files = folder / wanted.folder, _published(wanted, name, folder)

    def whole() -> Layout | None:
        """The layout of the copy, if nothing is missing and, where files are used as published, all are those."""
        layout = _whole(wanted, ready)
        checked = wanted.bounds or all(file.is_whole(folder / file.file) for file in files)
        return layout if checked else None

    layout = whole()
    if layout is None:
        with kept_in(folder, "data sets", wanted.megabytes):
            folder.mkdir(parents=True, exist_ok=True)
            with alone(folder, reporter):
                layout = whole()  # another process may have been first
                if layout is None:
                    for file in files:
                        download(file, folder / file.file, reporter)
                    if wanted.bounds:
                        _unpack(folder / files[0].file, wanted.bounds, name, reporter)
                    layout = _whole(wanted, ready)
    if layout is None:
        raise DamagedError(f"{ready}: files of {name} are missing in it; remove {folder}, and try again")
    return layout, ready


def _published(wanted: PublishedSet, name: str, folder: Path) -> list[Published]:
    """The files to fetch, with what to do where there is no network."""
    names = [file.name for file in wanted.files]
    by_hand = (
        f"or download {', '.join(names)} from {wanted.url} on another machine and put "
        f"{'it' if len(names) == 1 else 'them'} into {folder}: checked and used from there. A copy that torchvision or "
        f"Keras has made is found in ./data, too"
    )
    if wanted.otherwise:
        by_hand += f"; {wanted.otherwise}"
    title = {file.name: name if len(names) == 1 else f"{name} ({file.name})" for file in wanted.files}
    return [
        Published(title[file.name], wanted.url + file.name, file.sha256, file.megabytes, "data sets", by_hand)
        for file in wanted.files
    ]


def _unpack(archive: Path, bounds: Bounds, name: str, reporter: Reporter) -> None:
    """Unpack an archive into its folder, whole or not at all, and remove it."""
    folder, aside = archive.parent, archive.parent / ".unpacking"
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    try:
        aside.mkdir()
        with reporter.task(f"unpacking {name}") as advance:
            unpack(archive, aside, bounds, advance)
        for made in aside.iterdir():
            target = folder / made.name
            if target.is_dir():
                shutil.rmtree(target)
            made.replace(target)
        archive.unlink()
    finally:
        shutil.rmtree(aside, ignore_errors=True)
