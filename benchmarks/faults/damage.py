"""Rows of the matrix: cuts and flips in every kind of file of a run and of the cache, and data that changed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from broken import broken
from PIL import Image
from runs import Lab, different, trial_folder

from deepenough import DeepenoughError
from deepenough.autotuning.tuning import TuningResult
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.files import read_checked_json, write_checked_json
from deepenough.model import check_model
from deepenough.probing.pretrained import HEAD_FILE
from deepenough.record import check_pictures
from deepenough.record import load as load_record
from deepenough.training.checkpoint import newest_checkpoint
from deepenough.training.result import load_result, read_facts
from deepenough.training.serialization import unpack_checked

READ = ("plain", "stopped", "plain", "target", "stopped", "folds", "plain", "pretrained")
"""The kinds of run of which files are harmed and read; a stopped one is the plain one with checkpoints."""

NEVER_READ = frozenset({"report.html", "results.csv", "args.yaml", "curve.png", "confusion.png"})
"""Files of a run that are made from its record, for people and other programs."""


def harm(file: Path, draw: random.Random) -> str:
    """Flip a bit, cut the end off, or put zeros in the middle: what was done."""
    content = bytearray(file.read_bytes())
    place = draw.randrange(max(len(content), 1))
    match draw.choice(("flip", "flip", "cut", "zeros")):
        case "flip" if content:
            content[place] ^= 1 << draw.randrange(8)
            done = f"a flipped bit at {place}"
        case "cut":
            done = f"cut to {place} of {len(content)} bytes"
            del content[place:]
        case _:
            length = min(draw.randrange(1, 4096), len(content) - place)
            content[place : place + length] = bytes(length)
            done = f"{length} zeros at {place}"
    file.write_bytes(content)
    return f"{file.name}, {done}"


def stopped_run(lab: Lab) -> Path:
    """A run and its cache as a kill in its second training leaves them: record, ways, a training, checkpoints."""

    def find() -> Path:
        place = trial_folder(lab, "stopped", 0)
        process = lab.begin("plain", place)
        second = place / "run" / "candidates" / "residual-7-w0.5"
        until = time.monotonic() + 300
        while not list(second.glob("fold0/step-*")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        lab.end(process)
        return place

    found: Path = lab.once("stopped", find)
    return found


def read_everything(lab: Lab, run: Path, cache: Path) -> dict[str, Any]:
    """All that deepenough reads of a run and its cache, by name; DeepenoughError where it refuses a file."""
    os.environ["DEEPENOUGH_CACHE"] = str(cache)
    found: dict[str, Any] = {}
    images = prepare(open_source(str(lab.data)))
    found["pixels"] = np.asarray(images.pixels).tobytes()
    found["images"] = (images.labels.tolist(), list(images.names), images.groups.tolist(), images.fingerprint)
    if (run / "record.json").is_file():
        found["record"] = load_record(run)
    for way in sorted(run.rglob("*.way.json")):
        found[f"way {way.name}"] = TuningResult.from_json(read_checked_json(way))
    for result in sorted(run.rglob("result.json")):
        facts = read_facts(result.parent)
        trained = load_result(result.parent, None)  # type: ignore[arg-type]
        assert facts is not None
        assert trained is not None
        state = {name: tensor.numpy().tobytes() for name, tensor in trained.state.items()}
        found[str(result.relative_to(run))] = (facts, state, trained.probabilities.tobytes())
    for folder in sorted({step.parent for step in run.rglob("step-*")}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            saved = newest_checkpoint(folder)
        assert saved is not None
        tensors = {name: tensor.numpy().tobytes() for name, tensor in saved[0].items()}
        found[str(folder.relative_to(run))] = (tensors, saved[1])
    for head in sorted(run.rglob(HEAD_FILE)):
        tensors = unpack_checked(head, head.read_bytes())
        found[str(head.relative_to(run))] = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
    if (run / "model").is_dir():
        check_model(run / "model")
        found["model"] = sorted(file.read_bytes() for file in (run / "model").iterdir() if file.name != "SHA256SUMS")
    check_pictures(run)
    return found


def noticed(lab: Lab, number: int) -> str:
    """Harm one file, and read everything: "" where it is refused or mended by name, or says what it did."""
    kind = READ[number % len(READ)]
    source = stopped_run(lab) if kind == "stopped" else lab.unbroken(kind)
    unharmed = lab.once(("read", source), lambda: read_everything(lab, source / "run", source / "cache"))
    place = lab.folder / "harmed"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(source, place)
    draw = random.Random(f"damage {number}")
    file = a_file(place, draw, cache=kind != "pretrained")  # whose images are of another size
    done = f"{kind}, {file.relative_to(place)}: {harm(file, draw)}"
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with broken(lab.broken):
                found = read_everything(lab, place / "run", place / "cache")
    except (DeepenoughError, RuntimeWarning) as error:
        return "" if str(place) in str(error) else f"{done}: refused without naming a file: {error}"
    except Exception as error:
        return f"{done}: {type(error).__name__} {error}"
    wrong = [name for name, value in unharmed.items() if found.get(name) != value]
    if wrong and not any(str(place) in str(each.message) for each in said):
        return f"{done}: not noticed; {', '.join(wrong)} changed"
    return f"{done}: mended to something else" if "pixels" in wrong or "images" in wrong else ""


def a_file(place: Path, draw: random.Random, cache: bool = True) -> Path:
    """One of the files of a run and its cache that are read back, each kind as often as another."""
    kinds: dict[str, list[Path]] = {}
    for file in sorted((place if cache else place / "run").rglob("*")):
        if file.is_file() and file.name not in NEVER_READ and "measured" not in file.parts:
            folders = file.relative_to(place).parts[:-1][:2]
            kind = "".join(letter for letter in file.name if not letter.isdigit())[:9]  # without digests and numbers
            kinds.setdefault("/".join([*folders, kind]), []).append(file)
    return draw.choice(kinds[draw.choice(sorted(kinds))])


def survived_resume(lab: Lab, number: int) -> str:
    """Harm one file of a run that was killed, and resume it: the same answer, or a line that names the file."""
    place = trial_folder(lab, "harmed", number)
    shutil.rmtree(place)
    shutil.copytree(stopped_run(lab), place)
    draw = random.Random(f"resume {number}")
    file = a_file(place, draw)
    done = f"{file.relative_to(place)}: {harm(file, draw)}"
    status, said = lab.resume("plain", place)
    if "Traceback" in said:
        return f"{done}: a traceback: {said[-700:]}"
    if status:
        return "" if file.name in said else f"{done}: ended with {status} without naming the file: {said[-300:]}"
    found = different(place / "run", lab.unbroken("plain") / "run")
    shutil.rmtree(place)
    return found and f"{done}: {found}"


def data_changed(lab: Lab, number: int) -> str:
    """Change the images before resuming: refused by a line, or the same answer where nothing that counts changed."""
    place = trial_folder(lab, "changed", number)
    shutil.rmtree(place)
    shutil.copytree(stopped_run(lab), place)
    data = shutil.copytree(lab.data, place / "data")
    file = place / "run" / "record.json"
    content = read_checked_json(file)
    content["options"]["data"] = str(data)
    write_checked_json(file, content)
    first, draw = data / "circle" / "001.png", random.Random(number)
    changes: dict[str, Callable[[], object]] = {
        "a pixel": lambda: _with_another_pixel(first, draw),
        "one image less": lambda: first.unlink(),
        "one image more": lambda: shutil.copy(first, data / "square" / "more.png"),
        "another label": lambda: shutil.move(first, data / "square" / "moved.png"),
        "a class renamed": lambda: (data / "circle").rename(data / "round"),
        "a damaged image": lambda: first.write_bytes(first.read_bytes()[:60]),
        "only touched": lambda: os.utime(first, (1, 1)),
    }
    names = list(changes)
    what = names[number % len(names)]
    changes[what]()
    status, said = lab.resume("plain", place)
    if "Traceback" in said:
        return f"{what}: a traceback: {said[-700:]}"
    if what == "only touched":
        found = different_but_for_the_path(place / "run", lab.unbroken("plain") / "run") if status == 0 else said[-300:]
        return found and f"{what}: {found}"
    return "" if status == 2 and "have changed since the run began" in said else f"{what}: {status}, {said[-300:]}"


def different_but_for_the_path(run: Path, other: Path) -> str:
    """`different`, where the images are at another place."""
    found = different(run, other)
    return "" if found == "the records differ in options" else found


def _with_another_pixel(file: Path, draw: random.Random) -> None:
    with Image.open(file) as opened:
        picture = opened.convert("RGB")
    picture.putpixel((draw.randrange(16), draw.randrange(16)), (1, 2, 3))
    picture.save(file)
