"""Runs to be harmed: small images, the kinds of run, starting and resuming them, and comparing with an unbroken one."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "helpers"))

import forkserver
from broken import environment
from forkserver import PIPE, STDOUT, Forked, ForkServer

CLASSES = ("circle", "cross", "square")
IMAGES = 40  # of each class
WEIGHTS = "model/weights.safetensors"
SHIM, IN_TERMINAL = (Path(__file__).with_name(name) for name in ("shim.py", "in_terminal.py"))
TORCHRUN = Path(forkserver.__file__).with_name("forked_torchrun.py")
TIMES = {"seconds", "waited", "created", "command", "environment", "plan", "ways", "way", "expected"}
TIMES |= {"milliseconds", "content_sha256"}

QUICK = (
    "--batch 16 --lr 0.1 --epochs 4 --max-depth 7 --width 0.5 --threads 1 --precision float32 --no-compile "
    "--augment light --scratch"
)
KINDS = {
    "plain": f"{QUICK} --folds 1",
    "folds": f"{QUICK} --folds 2 --epochs 2",
    "target": f"{QUICK} --folds 1 --target 0.6",
    "second seed": f"{QUICK} --folds 2 --epochs 6 --margin 0.08 --budget 5 --max-depth 15 --width 1",
    "pretrained": "--weights {weights} --size 40 --folds 2 --epochs 1 --threads 1 --margin 0.05 --no-compile "
    "--precision float32",
    "torchrun": f"{QUICK} --folds 1 --epochs 2",
    "ray": f"{QUICK} --folds 1 --epochs 2 --ray local",
}


@dataclass
class Lab:
    """The folder that all trials share, and what they compare with."""

    folder: Path
    forks: ForkServer
    broken: str = ""
    """The variant of deepenough that is tried, one of `broken.VARIANTS`; what trials compare with is never broken."""
    _known: dict[Any, Any] = field(default_factory=dict)
    _knowing: threading.RLock = field(default_factory=threading.RLock)
    _starting: threading.Lock = field(default_factory=threading.Lock)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def once(self, key: Any, find: Callable[[], Any]) -> Any:
        """What `find` gives, found once for all trials."""
        with self._knowing:
            if key not in self._known:
                variant, self.broken = self.broken, ""
                try:
                    self._known[key] = find()
                finally:
                    self.broken = variant
            return self._known[key]

    def unbroken(self, kind: str) -> Path:
        """The folder of a run of that kind that nothing happened to, and of its cache."""
        return self._unharmed(kind)[0]

    def lasting(self, kind: str) -> tuple[float, float]:
        """The seconds from its start to its end, and of them those from its first checkpoint to its model."""
        return self._unharmed(kind)[1]

    def _unharmed(self, kind: str) -> tuple[Path, tuple[float, float]]:
        def find() -> tuple[Path, tuple[float, float]]:
            place, start = self.folder / f"unbroken-{kind.replace(' ', '-')}", time.monotonic()
            process = self.begin(kind, place)
            wait_for_training(process, place)
            training = time.monotonic()
            while not (place / "run" / "model").is_dir() and process.poll() is None:
                time.sleep(0.02)
            trained = time.monotonic() - training
            status, said = self.end(process)
            if status:
                raise RuntimeError(f"the unbroken run ({kind}) ended with {status}:\n{said}")
            if kind == "second seed" and not any((place / "run" / "candidates").glob("*-seed1")):
                raise RuntimeError("the run that was to train a second seed has not")
            return place, (time.monotonic() - start, trained)

        found: tuple[Path, tuple[float, float]] = self.once(("unbroken", kind), find)
        return found

    def begin(self, kind: str, place: Path, shim: dict[str, str] | None = None, terminal: str = "") -> Forked:
        """Start a run in `place/run`, with a cache of its own; with `shim` a fault in it, with `terminal` in that."""
        words = KINDS[kind].format(weights=self.folder / "weights.pth").split()
        return self._start(kind, place, [str(self.data), "--out", str(place / "run"), *words], shim, terminal)

    def resume(self, kind: str, place: Path) -> tuple[int, str]:
        """Go on with the run in `place/run`: the exit status and what was said."""
        ray = ["--ray", "local"] if kind == "ray" else []
        return self.end(self._start(kind, place, ["--resume", str(place / "run"), *ray]))

    def _start(
        self, kind: str, place: Path, words: list[str], shim: dict[str, str] | None = None, terminal: str = ""
    ) -> Forked:
        place.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, **environment(self.broken), "DEEPENOUGH_CACHE": str(place / "cache")}
        command = ["-m", "deepenough"]
        if shim is not None:
            env |= {"FAULT_ROOTS": os.pathsep.join([str(place / "run"), str(place / "cache")])} | shim
            command = [str(SHIM)]
        elif terminal:
            env["TERMINAL"], command = terminal, [str(IN_TERMINAL)]
        elif kind == "torchrun":
            command = [str(TORCHRUN), "--standalone", "--nproc-per-node", "2", "-m", "deepenough"]
        return self.fork([*command, "fit", *words], env)

    def fork(self, words: list[object], env: dict[str, str]) -> Forked:
        """Start `python WORDS`; the server hears one at a time."""
        with self._starting:
            return self.forks.popen(words, env=env, stdout=PIPE, stderr=STDOUT)

    @staticmethod
    def end(process: Forked, timeout: float = 500) -> tuple[int, str]:
        """Wait for the end: the exit status and all that was said."""
        said, _ = process.communicate(timeout=timeout)
        return process.wait(), said

    def verdict(self, kind: str, place: Path) -> str:
        """Go on with a run that was ended, to its end: "" where it came to the same as the unbroken one."""
        unbroken = self.unbroken(kind)
        if (place / "run" / "record.json").is_file():
            status, said = self.resume(kind, place)
        else:  # it did not come to be a run
            shutil.rmtree(place / "run", ignore_errors=True)
            status, said = self.end(self.begin(kind, place))
        if status:
            return f"going on ended with {status}: {said[-300:]}"
        if "Traceback" in said:
            return f"a traceback: {said[-600:]}"
        return different(place / "run", unbroken / "run")


def wait_for_training(process: Forked, place: Path) -> None:
    """Wait until a run has its first checkpoint, or has ended."""
    while process.poll() is None and not any((place / "run").glob("candidates/*/*/step-*")):
        time.sleep(0.02)


def different(run: Path, other: Path) -> str:
    """What two runs differ in; "" where weights and record are the same but for times."""
    if (run / WEIGHTS).read_bytes() != (other / WEIGHTS).read_bytes():
        return "the weights are others"
    mine, theirs = (timeless(json.loads((each / "record.json").read_text())) for each in (run, other))
    if mine != theirs:
        keys = [key for key in theirs if mine.get(key) != theirs[key]]
        return f"the records differ in {', '.join(keys)}"
    return ""


def timeless(value: Any) -> Any:
    """A record without seconds and dates."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def make_images(folder: Path, count: int = IMAGES, side: int = 16) -> None:
    """Class folders of shapes on noise, anywhere in the picture; every eighth is the next class's."""
    draw = np.random.default_rng(0)
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for row in range(count):
            picture = Image.fromarray(draw.integers(0, 120, (side, side, 3), dtype=np.uint8))
            x, y = (int(place) for place in draw.integers(1, side - 10, 2))
            box, pen = (x, y, x + 8, y + 8), ImageDraw.Draw(picture)
            match CLASSES[(number + (row % 8 == 0)) % len(CLASSES)]:
                case "circle":
                    pen.ellipse(box, outline="white")
                case "square":
                    pen.rectangle(box, outline="white")
                case _:
                    pen.line((x, y, x + 8, y + 8), fill="white")
                    pen.line((x, y + 8, x + 8, y), fill="white")
            picture.save(folder / name / f"{row:03}.png")


def make_weights(file: Path) -> None:
    """Random weights of SqueezeNet under torchvision's names, for runs that fine-tune."""
    import torch

    from deepenough.nets import NETWORKS
    from deepenough.nets.build import build

    fires = [
        f"features.{n}.{part}" for n in (3, 4, 6, 7, 9, 10, 11, 12) for part in ("squeeze", "expand1x1", "expand3x3")
    ]
    names = [f"{name}.{kind}" for name in ("features.0", *fires, "classifier.1") for kind in ("weight", "bias")]
    state = build(NETWORKS["squeezenet1_1"](), seed=5).state_dict()
    torch.save(dict(zip(names, state.values(), strict=True)), file)


def open_lab(folder: Path, forks: ForkServer) -> Lab:
    """A lab in an empty folder."""
    make_images(folder / "data")
    make_weights(folder / "weights.pth")
    lab = Lab(folder, forks)
    lab.end(lab.fork(["-m", "deepenough", "--help"], dict(os.environ)))  # the server imports for a while first
    return lab


def trial_folder(lab: Lab, row: str, number: int) -> Path:
    """A folder for one trial, where nothing is."""
    place = lab.folder / "trials" / f"{row}-{number}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place
