"""Rows of the matrix: malicious weights, sources and images, and a corpus of bad images."""

from __future__ import annotations

import os
import random
import resource
import shutil
import time
import warnings
from pathlib import Path

import bad_images
import numpy as np
from bombs import BOMBS
from broken import broken, environment
from hostile_sources import ESCAPED, SOURCES
from hostile_weights import WEIGHTS, Ground
from PIL import Image
from runs import Lab, trial_folder

from deepenough import DeepenoughError
from deepenough.data import images as data_images
from deepenough.data.sources import open_source

SECONDS = 60.0  # that a command may take for something hostile
SECONDS_FOR_IMAGE = 10.0
MEMORY, DISK = 4 << 30, 512 << 20  # bytes that it may have of memory, and in one file
MEMORY_FOR_IMAGE = 1 << 30


def refused(lab: Lab, words: list[object], ground: Ground) -> str:
    """Run a command on something hostile: "" where it ends soon in a line, and nothing in the file was executed."""
    limits = (("RLIMIT_DATA", MEMORY), ("RLIMIT_FSIZE", DISK))
    lines = [f"resource.setrlimit(resource.{name}, ({most}, {most}))" for name, most in limits]
    (ground.place / "sitecustomize.py").write_text("\n".join(["import resource", *lines]))
    more = environment(lab.broken, str(ground.place)) | {"DEEPENOUGH_CACHE": str(ground.place / "cache")}
    process = lab.fork(["-m", "deepenough", *words], {**os.environ, **more, "TMPDIR": str(ground.place)})
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except Exception:
        process.kill()
        return f"still at it after {SECONDS:.0f} s"
    if ground.canary.exists():
        return "it was executed"
    if (ground.place.parent / ESCAPED).exists() or (ground.place.parent / f"{ESCAPED}.png").exists():
        return "it wrote outside"
    if "File too large" in said:
        return f"it wrote more than {DISK:,} bytes: {said[-300:]}"
    if "Traceback" in said or process.wait() not in (0, 1, 2):
        return f"ended with {process.wait()}: {said[-700:]}"
    return ""


def _ground(lab: Lab, row: str, number: int) -> Ground:
    place = trial_folder(lab, row, number)
    return Ground(place, place / "executed", random.Random(f"{row} {number}"), lab.folder / "weights.pth")


def weights(lab: Lab, number: int) -> str:
    """Read a hostile file of weights: it is refused."""
    ground = _ground(lab, "weights", number)
    name = list(WEIGHTS)[number % len(WEIGHTS)]
    file, run = WEIGHTS[name](ground), ground.place / "run"
    words = [
        "fit",
        lab.data,
        "--out",
        run,
        "--weights",
        file,
        "--network",
        "squeezenet1_1",
        "--epochs",
        1,
        "--folds",
        1,
    ]
    found = refused(lab, words, ground)
    if not found and (run / "record.json").is_file():
        found = "a run was made of it"
    shutil.rmtree(ground.place)
    return found and f"weights {number}, {name} ({file.name}): {found}"


def source(lab: Lab, number: int) -> str:
    """Read a hostile source of images: it is refused, or what is sound in it is used."""
    ground = _ground(lab, "source", number)
    name = list(SOURCES)[number % len(SOURCES)]
    given = SOURCES[name](ground)
    words = ["fit", given, "--out", ground.place / "run", "--epochs", 1, "--max-depth", 3, "--folds", 1, "--scratch"]
    found = refused(lab, [*words, "--threads", 1, "--no-compile", "--lr", 0.01], ground)
    shutil.rmtree(ground.place, ignore_errors=True)
    return found and f"source {number}, {name}: {found}"


def few_images(lab: Lab) -> Path:
    """A small set of images, so that a bad one among them is most of the work."""

    def make() -> Path:
        folder = lab.folder / "few"
        draw = np.random.default_rng(1)
        for name in ("cat", "dog"):
            (folder / name).mkdir(parents=True)
            for row in range(10):
                picture = draw.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(picture).save(folder / name / f"{row}.png")
        return folder

    found: Path = lab.once("few images", make)
    return found


def looked_at(lab: Lab, row: str, number: int, name: str, content: bytes, used: bool | None = None) -> str:
    """Prepare images, a bad one among them: "" where it is used, or named in the findings, for bounded work.

    `used` says whether it has to be; None where both are right.
    """
    place = trial_folder(lab, row, number)
    shutil.copytree(few_images(lab), place / "data")
    (place / "data" / "cat" / name).write_bytes(content)
    start, before = time.process_time(), _peak()
    try:
        with warnings.catch_warnings(), broken(lab.broken):
            warnings.simplefilter("ignore")
            images = data_images.prepare(open_source(str(place / "data")), cache=place / "cache")
    except DeepenoughError as error:
        return f"{name}: all images were refused for it: {error}"
    except Exception as error:
        return f"{name}: {type(error).__name__} {error}"
    seconds, memory = time.process_time() - start, _peak() - before
    if seconds > SECONDS_FOR_IMAGE or memory > MEMORY_FOR_IMAGE:
        return f"{name}: took {seconds:.1f} s and {memory:,} bytes"
    is_used = f"cat/{name}" in set(images.names)
    named = [finding for finding in images.findings if finding.name == f"cat/{name}"]
    shutil.rmtree(place)
    if not is_used and not named:
        return f"{name}: neither used nor named"
    if used is not None and used != is_used:
        return f"{name}: {'' if is_used else 'not '}used; {'; '.join(finding.detail for finding in named)}"
    return ""


def _peak() -> int:
    """The most bytes that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bad_image(lab: Lab, number: int) -> str:
    """An image of the corpus that is made here."""
    return looked_at(lab, "image", number, *bad_images.bad_image(number))


def bomb(lab: Lab, number: int) -> str:
    """An image that is made to harm."""
    draw, canary = random.Random(f"bomb {number}"), lab.folder / "executed"
    kind = list(BOMBS)[number % len(BOMBS)]
    name = f"{number}-{kind}.{draw.choice(('jpg', 'png', 'tif', 'gif', 'eps'))}"
    found = looked_at(lab, "bomb", number, name, BOMBS[kind](draw, canary))
    return f"{name}: it was executed" if canary.exists() else found


def corpus(folder: Path, lab: Lab, number: int) -> str:
    """A bad image of a corpus that the user has."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = files[number % len(files)]
    found = looked_at(lab, "corpus", number, f"corpus{file.suffix}", file.read_bytes())
    return found and f"{file.relative_to(folder)}: {found}"
