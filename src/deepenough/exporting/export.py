"""A model in another framework, with the proof that it predicts the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.arguments import check_arguments
from deepenough.data.sources import is_word, open_source
from deepenough.errors import DeepenoughError, unknown
from deepenough.evaluation.evaluate import decoded, own_images
from deepenough.exporting.cost import PrecisionCost, will_do
from deepenough.exporting.folder import PROOF, replacing
from deepenough.files import write_whole
from deepenough.frameworks import parity
from deepenough.frameworks.export import Export
from deepenough.frameworks.parity import Check
from deepenough.frameworks.target import DIFFERENCE, Runtime, Target, absent
from deepenough.frameworks.targets import target_named
from deepenough.frameworks.writer import run_writer
from deepenough.hub import HUB_PREFIX
from deepenough.model import FOLDER, Model, load
from deepenough.nets import FAMILIES, NETWORKS, Network
from deepenough.nets.build import build
from deepenough.nets.choose import choose_network
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.record import FILE
from deepenough.record import load as load_record
from deepenough.search.question import DecisionBasis
from deepenough.weights import Weights, load_weights
from deepenough.weights.imagenet import names_for
from deepenough.weights.names import ALIASES, NAMED
from deepenough.weights.saved_model import is_saved_model

PARITY_IMAGES = 28
"""The number of images that float32 parity is checked on: four batches of seven."""
MEASURED = 1_000
"""The most images that show what half precision or int8 costs."""
CALIBRATION = 128
"""The number of images that fix the ranges of int8."""


@dataclass(frozen=True)
class Exported:
    """The files of an export and the proof. `passed` is None where nothing was checked."""

    folder: Path
    model: Path
    target: str
    precision: str
    source: str
    checks: tuple[Check, ...]
    skipped: tuple[str, ...]
    costs: tuple[PrecisionCost, ...]
    passed: bool | None

    @property
    def cost(self) -> PrecisionCost | None:
        """The loss of a lower precision; the largest where several runtimes were asked."""
        return max(self.costs, key=lambda cost: cost.difference, default=None)


@dataclass(frozen=True)
class _Subject:
    """The model to export, its name, whether it was trained, and images for it."""

    model: Model
    name: str
    trained: bool
    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64] | None
    calibration: npt.NDArray[np.uint8]
    source: str


@check_arguments
def export(
    model: str | Path | Model | Network,
    to: str,
    *,
    out: str | Path | None = None,
    half: bool = False,
    int8: bool = False,
    verify: bool = True,
    data: Any = None,
    network: str | None = None,
    preprocess: str | None = None,
    shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    depth: int | None = None,
    width: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Exported:
    """Write `model` for the framework `to` into the folder `out`, and prove that it predicts the same.

    `model` is a run, a model folder, a `Model`, pretrained weights by name or file, or a network, which then has
    random weights. `shape` (C, H, W), `classes`, `depth` and `width` are of a network by its name; `network` and
    `preprocess` say what a file of weights does not. `half` and `int8` are lower precisions.

    What was written is run by its own runtime in another process on the run's validation images, on those of `data`,
    or, where there are neither, on random ones: float32 has to agree to 1e-4 of the largest logit and on every top-1
    answer. Where it does not, the model is renamed `.failed`. `parity.json` keeps what was seen. A runtime that
    does not exist for this system (Core ML's) is left out; its files are read back and compared with the network.
    """
    reporter = reporter or Reporter()
    goal = target_named(to)
    if half and int8:
        raise DeepenoughError("--half and --int8: give one of them")
    precision = "float16" if half else "int8" if int8 else "float32"
    goal.check(precision)
    ready, missing = _runtimes(goal, precision, verify)
    options = {"shape": shape, "classes": classes, "depth": depth, "width": width}
    of_file = {"network": network, "preprocess": preprocess}
    verify = verify and bool(ready)
    subject = _subject(model, data, options, of_file, seed, reporter)
    folder = Path(out) if out is not None else _folder(model, subject, goal, precision)
    with replacing(folder, goal) as draft:
        exported = _written(subject, precision)
        with reporter.task(f"writing for {goal.title}"):
            side = subject.model.preprocess.reading_side
            run_writer([exported], goal, [draft], trained=subject.trained, reading_side=[side])
        checks, costs, passed = _proven(subject, ready, draft, precision, reporter) if verify else ((), (), None)
        result = Exported(
            folder, folder / goal.files[0], goal.name, precision, subject.source if verify else "", checks,
            tuple(missing), costs, passed,
        )  # fmt: skip
        if passed is False:
            for file in (goal.files[0], *goal.more_files(precision)):
                (draft / file).rename(draft / f"{file}.failed")
            for file in goal.built:
                (draft / file).unlink(missing_ok=True)
            result = replace(result, model=folder / f"{goal.files[0]}.failed")
        write_whole(draft / PROOF, json.dumps(parity_json(result), indent=1, ensure_ascii=False))
    return result


def _runtimes(goal: Target, precision: str, needed: bool) -> tuple[list[Runtime], list[str]]:
    """The runtimes that can check it here, and a line on each of the others; an error where one is needed and could be
    there."""
    ready, missing = [], []
    for runtime in goal.runtimes_for(precision):
        lacking = absent(runtime.packages)
        if reason := runtime.absence:
            missing.append(f"{runtime.name}: not run, since {reason}")
        elif lacking:
            missing.append(f"{runtime.name}: not checked, since {', '.join(lacking)} is not installed here")
        else:
            ready.append(runtime)
    if needed and not ready and any(runtime.exists_here for runtime in goal.runtimes):
        raise DeepenoughError(
            f"--to {goal.name}: what is written is checked with {goal.runtimes[0].name}, which is not installed here: "
            f"pip install 'deepenough[{goal.extra}]' (or --no-verify)"
        )
    return ready, missing


def _subject(
    given: str | Path | Model | Network,
    data: str | None,
    options: dict[str, Any],
    of_file: dict[str, str | None],
    seed: int,
    reporter: Reporter,
) -> _Subject:
    model, name, trained = _model(given, options, of_file, seed, reporter)
    run = Path(given) if isinstance(given, (str, Path)) and Path(given).is_dir() else None
    found = None
    if data is not None:
        found = _of_data(model, data, seed, reporter)
    elif run is not None and (run / FILE).is_file():
        found = _of_run(model, run, seed, reporter)
    if found is not None:
        return _Subject(model, name, trained, *found)
    shape = (PARITY_IMAGES, *model.preprocess.size, model.preprocess.channels)
    noise = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return _Subject(model, name, trained, noise, None, noise, f"{PARITY_IMAGES} random images")


def _model(
    given: str | Path | Model | Network,
    options: dict[str, Any],
    of_file: dict[str, str | None],
    seed: int,
    reporter: Reporter,
) -> tuple[Model, str, bool]:
    """The model, its name, and whether it was trained."""
    asked = [f"--{'input' if name == 'shape' else name}" for name, value in options.items() if value is not None]
    said = [f"--{name}" for name, value in of_file.items() if value is not None]
    if isinstance(given, Model):
        return given, given.network.name, True
    if isinstance(given, Network):
        return _untrained(given, seed), given.name, False
    name, path = str(given), Path(given)
    if said and not path.is_file() and not is_saved_model(path):
        raise DeepenoughError(f"{', '.join(said)}: this says what a file of weights is; leave it out for {name}")
    if name in (*NETWORKS, *FAMILIES) and not path.exists():
        network = choose_network(name, **options)
        return _untrained(network, seed), network.name, False
    if asked:
        raise DeepenoughError(f"{', '.join(asked)}: only a network by its name has a choice; leave it out for {name}")
    if name.startswith(HUB_PREFIX):
        return _on_hub(name, reporter), name.partition("@")[0].rpartition("/")[2], True
    if path.is_dir() and not is_saved_model(path):
        return load(path), path.resolve().name, True
    if path.exists() or name in (*NAMED, *ALIASES):
        weights = load_weights(
            name, network=of_file.get("network"), preprocess=of_file.get("preprocess"), reporter=reporter
        )
        return _of_weights(weights), weights.name, True
    raise unknown("RUN, weights or network", name, [*NETWORKS, *FAMILIES, *NAMED, *_folders(path)])


def _on_hub(name: str, reporter: Reporter) -> Model:
    """The model of a repository of the hub: one of ours, or a network of timm or transformers."""
    from deepenough.hub.fetch import NotOurModelError

    try:
        return load(name)
    except NotOurModelError:
        return _of_weights(load_weights(name, reporter=reporter))


def _of_weights(weights: Weights) -> Model:
    return Model(weights.network, weights.state, weights.input, weights.class_names)


def _folders(path: Path) -> list[str]:
    """Folders that may have been meant."""
    return [str(entry) for entry in path.parent.iterdir() if entry.is_dir()] if path.parent.is_dir() else []


def _untrained(network: Network, seed: int) -> Model:
    names = [str(number) for number in range(network.classes)]
    return Model(network, build(network, seed).state_dict(), Preprocessing.untrained(network.input), names)


LabelledPixels = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.uint8], str]


def _of_run(model: Model, run: Path, seed: int, reporter: Reporter) -> LabelledPixels | None:
    """The validation images of a run, and training images to calibrate on; None where they are no longer there."""
    made = load_record(run)
    data = made.options["data"]
    try:
        images = own_images(run, model, open_source(data, reporter=reporter), data)
    except DeepenoughError as error:
        reporter.say(f"the run's images can't be read ({error}); --data names others")
        return None
    if images is None:
        reporter.say("the run's images have changed since; --data names others")
        return None
    random = np.random.default_rng(seed)
    seen = np.sort(random.permutation(images.split.validation)[:MEASURED])
    fixed = np.sort(random.permutation(images.split.train)[:CALIBRATION])
    pixels = np.array(images.pixels[seen])
    # With folds the model was retrained on all but the test images.
    known = made.decision_images.kind is DecisionBasis.OUT_OF_FOLD
    source = f"validation images of {run.resolve().name}{', which it was trained on too' if known else ''}"
    return pixels, images.labels[seen], np.array(images.pixels[fixed]), source


def _of_data(model: Model, data: Any, seed: int, reporter: Reporter) -> LabelledPixels:
    """Images of labelled data, half of those to measure on for calibration where they are few."""
    source = open_source(data, model.preprocess.value_range, reporter=reporter)
    data = data if is_word(data) else source.name
    classes = names_for(source.classes, model.classes)
    strangers = [name for name in classes if name not in model.classes]
    if strangers:
        raise DeepenoughError(
            f"--data {data}: the model does not know {', '.join(map(repr, strangers[:5]))}; "
            f"it knows {', '.join(model.classes[:20])}"
        )
    order = np.random.default_rng(seed).permutation(len(source.labels))
    cut = min(CALIBRATION, len(order) // 2)
    fixed, _, _ = decoded(source, np.sort(order[:cut]), model.preprocess)
    pixels, rows, left_out = decoded(source, np.sort(order[cut : cut + MEASURED]), model.preprocess)
    if not len(pixels) or not len(fixed):
        raise DeepenoughError(f"--data {data}: too few images can be read; {left_out[0] if left_out else 'give more'}")
    to_model = np.array([model.classes.index(name) for name in classes])
    return pixels, to_model[source.labels[rows]], fixed, f"images of {data}"


def _folder(given: str | Path | Model | Network, subject: _Subject, goal: Target, precision: str) -> Path:
    """`RUN/exports/onnx`, or `resnet50-onnx` here."""
    kind = goal.name if precision == "float32" else f"{goal.name}-{precision}"
    if isinstance(given, (str, Path)) and (Path(given) / FOLDER).is_dir():
        return Path(given) / "exports" / kind
    return Path(f"{subject.name}-{kind}")


def _written(subject: _Subject, precision: str) -> Export:
    model = subject.model
    network = model.network.with_input(model.preprocess.shape)
    state = {key: value.cpu().float().numpy() for key, value in model.module.state_dict().items()}
    export = Export.of(network, state, model.preprocess, model.classes)
    calibration = subject.calibration if precision == "int8" else None
    return replace(export, precision=precision, calibration=calibration, source=subject.name)


def _proven(
    subject: _Subject, runtimes: Sequence[Runtime], folder: Path, precision: str, reporter: Reporter
) -> tuple[tuple[Check, ...], tuple[PrecisionCost, ...], bool]:
    """Run all runtimes: their checks, the costs of a lower precision, and whether that will do."""
    exact = precision == "float32"
    pixels = subject.pixels[:PARITY_IMAGES] if exact else subject.pixels
    pixels = np.resize(pixels, (max(len(pixels), parity.BATCHES[-1]), *pixels.shape[1:]))  # repeated where too few
    wanted = subject.model.logits(pixels)
    checks: list[Check] = []
    costs: list[PrecisionCost] = []
    passed = True
    for runtime in runtimes:
        with reporter.task(f"checking with {runtime.name}"):
            ((version, answers),) = parity.run_exports([folder], [pixels], runtime)
        name = f"{version}{_form(runtime.name)}"
        found = parity.compare_logits(name, answers, wanted)
        checks += found
        if exact:
            passed &= all(check.difference < DIFFERENCE and check.same_top1 == check.images for check in found)
            continue
        after, cost = answers[parity.BATCHES[-1]], None
        if subject.labels is not None:
            count = len(subject.labels)
            cost = PrecisionCost.of(name, wanted[:count], after[:count], subject.labels)
            costs.append(cost)
        passed &= all(np.isfinite(check.difference) for check in found) and will_do(wanted, after, cost)
    return tuple(checks), tuple(costs), passed


def _form(name: str) -> str:
    """Return what sets a runtime apart from others of the same framework."""
    return f",{name.partition(',')[2]}" if "," in name else ""


def parity_json(result: Exported) -> dict[str, Any]:
    """Return what `parity.json` holds."""
    content: dict[str, Any] = {
        "deepenough": version("deepenough"),
        "target": result.target,
        "precision": result.precision,
        "passed": result.passed,
        "images": result.source,
        "tolerance": DIFFERENCE if result.precision == "float32" else None,
        "checks": [check.to_json() for check in result.checks],
        "not_checked": list(result.skipped),
    }
    if read_back := target_named(result.target).read_back:
        content["read_back"] = read_back
    if result.cost is not None:
        content["accuracy"] = result.cost.to_json()
    if len(result.costs) > 1:
        content["accuracy_by_runtime"] = [cost.to_json() for cost in result.costs]
    return content
