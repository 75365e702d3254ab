"""The options of `fit` in one place: for the command line, Python, the record and resuming."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from deepenough.data.policy import STRENGTHS, Augment
from deepenough.errors import DeepenoughError, unknown
from deepenough.experiment.choices import families, loggers, presets, runtimes
from deepenough.language import Language
from deepenough.schema import Option, Section, check_options, exposed_options, option, options_of, parts_of
from deepenough.search.limits import SizeLimits, StoredAs
from deepenough.search.question import Measure, Metric
from deepenough.training.recipe import DISTILLATION, Recipe
from deepenough.weights.exported_program import check_is_no_program

MOST_THREADS = 1024  # PyTorch fails where the system refuses so many
HELD = "python:"
"""Before the name of a network that Python held: it can't be imported again."""

AUTO = "auto"  # for the weights of all networks that are considered
BUDGET_WITH_TARGET = 2.0
BUDGET_WITH_TARGET_AND_DISTILLATION = 3.0  # the climb takes about two
BUDGET_WITHOUT = 0.7


class PretrainedView(StrEnum):
    """The part of an image that a pretrained network sees: its source's centre crop, or all that its shape allows."""

    SOURCE = "source"
    WHOLE = "whole"


class Duplicates(StrEnum):
    """Images that show a picture which is also in a split that counts for more, or under another label."""

    LEAVE_OUT = "leave-out"
    KEEP = "keep"


def _data(default: Any, text: str, **more: Any) -> Any:
    return option(default, text, Section.DATA, **more)


def _question(default: Any, text: str, **more: Any) -> Any:
    return option(default, text, Section.QUESTION, **more)


def _search(default: Any, text: str, **more: Any) -> Any:
    return option(default, text, Section.SEARCH, **more)


@dataclass(frozen=True)
class Options:
    """The options of `fit`.

    None leaves a choice to deepenough; what it chose is in the record. `recipe` and `switches` hold the fields of
    `Recipe` and `Augment` that the user sets; `Options.of` takes them by their names among the others.
    """

    data: str | None = _data(
        None,
        "The images: a folder of class folders (with or without train, validation and test folders), a CSV of path and "
        "label, a Parquet file or folder, WebDataset tar shards, a folder of IDX files, hf:NAME, or a data set by its "
        "name, which is fetched where it is not on this machine: digits, mnist, fashion-mnist, kmnist, cifar10, "
        "cifar100, svhn, flowers102, imagenette.",
        otherwise="digits",
    )
    target: float | None = _question(
        None,
        "The accuracy that you need, as 0.95.",
        common=True,
        unit="SHARE",
        above=0,
        below=1,
        hint="write for example 0.99 or 99%, since no number of images can show 100%",
    )
    margin: float = _question(
        0.01,
        "Without a target: how much worse than the best is still good enough.",
        common=True,
        unit="SHARE",
        above=0,
        below=1,
    )
    metric: str = _question(
        "top1", "Which accuracy counts; balanced gives every class the same weight.", choices=Metric
    )
    minimize: str = _question("depth", "What to keep small.", choices=Measure)
    max_latency: float | None = _question(
        None,
        "Consider only networks that predict within this time: the median on this machine, see --runtime.",
        unit="LATENCY",
        above=0,
    )
    max_parameters: int | None = _question(
        None, "Consider only networks with at most this many parameters.", unit="COUNT", least=1
    )
    max_size: float | None = _question(
        None,
        "Consider only networks whose weights take at most this much room: in float32, as in the run's model folder, "
        "or as --max-size-as says.",
        unit="SIZE",
        above=0,
    )
    max_size_as: str = _question(
        "float32",
        "How the weights of --max-size are stored: half and int8 as `deepenough export --half` and --int8 write them.",
        choices=StoredAs,
    )
    runtime: str | None = _question(
        None,
        "The runtime in which latency is measured, on this machine's processor before anything is trained.",
        choices=runtimes,
        otherwise="torch with --minimize latency or --max-latency, else latency is not measured",
    )
    runtime_batch: int = _question(1, "Images that are predicted at once where latency is measured.", least=1)
    runtime_threads: int = _question(
        1, "Processor threads of a prediction where latency is measured.", least=1, most=MOST_THREADS
    )
    folds: int | None = _question(
        None,
        "Decide on out-of-fold predictions from this many folds, or with 1 on the validation split.",
        least=1,
        otherwise="4 where the validation split is too small, else 1",
        hint="give 1 for the validation split, or 2 and more for folds",
    )
    weights: tuple[str, ...] = _search(
        (),
        "Pretrained weights to start from: a name (see `deepenough weights list`), hf:USER/NAME for those of timm, "
        "transformers or deepenough on the Hugging Face hub, or a file; of several networks the smallest that does the "
        "task is found. auto stands for all of --among that can be had.",
        common=True,
        unit="NAME|FILE|auto",
        otherwise="auto for photos where some can be had; else none",
    )
    among: str | None = _search(
        None,
        "The networks that --weights auto considers: small ones, those made for phones, or all that have a name.",
        choices=("small", "mobile", "all"),
        otherwise="small, on a GPU ResNet-50 too",
    )
    network: str | None = _search(
        None,
        "The network that a file of weights belongs to, where several fit; or a network of your own, as the function "
        "of a Python file that returns a torch module: it is run, read by torch.export, cut and fine-tuned.",
        unit="NAME|MODULE:FUNCTION",
    )
    preprocess: str | None = _search(
        None, "The preprocessing that a file of weights expects.", choices=presets, otherwise="that of its source"
    )
    framing: str = _search(
        "whole",
        "What a pretrained network sees of an image: the centre crop of its source, or as much as its shape allows.",
        choices=PretrainedView,
    )
    scratch: bool = _search(False, "Train from scratch, even where the images are photos.", common=True)
    family: tuple[str, ...] = _search(
        (),
        "Family of networks to train from scratch.",
        choices=families,
        otherwise="residual",
    )
    width: tuple[float, ...] = _search(
        (), "Width factor of the family's networks.", unit="FACTOR", above=0, otherwise="1"
    )
    max_depth: int | None = _search(
        None, "Depth of the deepest network to consider.", least=1, otherwise="16 blocks per level"
    )
    budget: float | None = _search(
        None,
        "What the search may cost: with a target, in trainings of the chosen network; without one, as a share of "
        "training the whole search space.",
        unit="COST",
        above=0,
        otherwise="2 with a target (3 with --distill), 0.7 without",
    )
    distill: bool = _search(
        False,
        "Have networks that are shallower than the best learn from its logits, too, as further candidates "
        "(knowledge distillation).",
    )
    time_limit: float | None = _search(
        None, "Stop after this long and answer from what there is.", common=True, unit="TIME", above=0
    )
    size: int | None = _data(
        None,
        "Side in pixels to which images are resized.",
        least=1,
        otherwise="their own where all have the same, up to 64; else 64, or that of the weights",
    )
    limit: int | None = _data(None, "Use at most this many images of each split, for a quick look.", least=1)
    duplicates: str = _data(
        "leave-out",
        "What to do with the same picture in two given splits, or under two labels: leave it out (of training before "
        "validation before test), or keep all and only name them. Pictures that merely look alike always stay.",
        choices=Duplicates,
    )
    cache_limit: float | None = _data(
        None,
        "Room on disk for decoded images; a larger set is decoded again whenever it is needed.",
        unit="SIZE",
        above=0,
        otherwise="a third of what is free, at most 20GiB",
    )
    seed: int = option(
        0, "Seed of every random choice: split, initial weights, order, augmentation.", least=0, most=2**63 - 1
    )
    augment: str | None = option(
        None,
        "Strength of the augmentation; --rotation and the other switches override single parts of it.",
        Section.AUGMENTATION,
        common=True,
        choices=STRENGTHS,
        otherwise="light",
    )
    threads: int | None = option(
        None, "Processor threads.", Section.SPEED, least=1, most=MOST_THREADS, otherwise="all, or fewer if faster"
    )
    jobs: int | None = option(
        None,
        "Trainings side by side on this machine's processor, where folds decide; they share the threads.",
        Section.SPEED,
        least=1,
        most=MOST_THREADS,
        otherwise="as many as threads, folds and memory allow",
    )
    log: tuple[str, ...] = option(
        (), "Also write the curves of every training for TensorBoard, MLflow or Weights & Biases.", Section.OUTPUT,
        choices=loggers,
    )  # fmt: skip
    language: str | None = option(
        None, "Language of the report: English or Chinese.", Section.OUTPUT, choices=tuple(Language),
        otherwise="by the locale",
    )  # fmt: skip
    recipe: Mapping[str, Any] = field(default_factory=dict)
    switches: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_options(self)
        for schema, given in ((Recipe, self.recipe), (Augment, self.switches)):
            known = exposed_options(schema)
            for name, value in given.items():
                if name not in known:
                    raise unknown("option", name, known)
                known[name].check(value)
        self._check_weights()

    def _check_weights(self) -> None:
        """Raise the error for options that don't go with the weights, or lack them."""
        given = " ".join(self.weights)
        if given and (self.scratch or self.from_family):
            other = "--scratch" if self.scratch else "--family, --width or --max-depth"
            raise DeepenoughError(f"--weights {given}: it starts from trained weights, {other} does not; give one")
        if AUTO in self.weights and len(self.weights) > 1:
            raise DeepenoughError(f"--weights {given}: auto chooses the networks; give it alone, or leave it out")
        if self.among is not None and (not self.is_auto or self.scratch or self.from_family):
            raise DeepenoughError(
                f"--among {self.among}: it says which networks --weights auto considers; leave out the others"
            )
        for name in DISTILLATION:
            if name in self.recipe and not self.distill:
                flag = name.replace("_", "-")
                raise DeepenoughError(f"--{flag} {self.recipe[name]:g}: it says how --distill trains; give that, too")
        for name in ("runtime_batch", "runtime_threads"):
            if getattr(self, name) != 1 and self.latency_runtime is None:
                raise DeepenoughError(
                    f"--{name.replace('_', '-')} {getattr(self, name)}: latency is not measured; give --runtime, "
                    "--minimize latency or --max-latency too"
                )
        if self.max_size_as != StoredAs.FLOAT32 and self.max_size is None:
            raise DeepenoughError(
                f"--max-size-as {self.max_size_as}: it says how the weights of --max-size are stored; give that, too"
            )
        check_is_no_program(self.network)
        if self.gives_module:
            others = {"--weights": given, "--among": self.among, "--scratch": self.scratch, "--family": self.family,
                      "--width": self.width, "--max-depth": self.max_depth}  # fmt: skip
            if more := [flag for flag, value in others.items() if value]:
                raise DeepenoughError(
                    f"--network {self.network}: this network is where it starts; leave out {', '.join(more)}"
                )
            return
        for name in ("network", "preprocess"):
            if (value := getattr(self, name)) is None:
                continue
            if not given:
                raise DeepenoughError(f"--{name} {value}: it says what --weights are; give those too")
            if len(self.weights) > 1 or self.is_auto:
                beside = ", or put a preprocess.json beside each file" if name == "preprocess" else ""
                raise DeepenoughError(
                    f"--{name} {value}: it says what one file of --weights is; give only that{beside}"
                )

    @classmethod
    def of(cls, **given: Any) -> Options:
        """The options by their names, those of recipe and augmentation among them; None for what is not asked for.

        Values may be written as on the command line, as "20m", "4GB" or "95%". A single family or width stands for a
        list of one.
        """
        known, own = fit_options(), options_of(cls)
        if given.pop("tensorboard", False):  # its name before there were other loggers
            given["log"] = given.get("log") or ("tensorboard",)
        values: dict[str, Any] = {"recipe": {}, "switches": parts_of("switches", given.pop("switches", None))}
        for name, written in given.items():
            if name not in known:
                raise unknown("option", name, known)
            value = known[name].read(written)
            if name in own:
                values[name] = value
            elif value is not None:
                values["recipe" if name in options_of(Recipe) else "switches"][name] = value
        return cls(**{name: value for name, value in values.items() if value is not None})

    @property
    def gives_module(self) -> bool:
        """True if a network of the user's own is given: `module:function`, or one that Python held."""
        return self.network is not None and ":" in self.network

    @property
    def is_auto(self) -> bool:
        """True if the networks are to be chosen among those whose weights can be had."""
        return self.weights == (AUTO,) or (self.among is not None and not self.weights)

    @property
    def from_family(self) -> bool:
        """True if networks of a family were asked for, which are trained from scratch."""
        return bool(self.family or self.width or self.max_depth)

    @property
    def fixed(self) -> frozenset[str]:
        """The settings of a step's computation that the user has chosen."""
        chosen = {"precision", "compiled"} & self.recipe.keys()
        return frozenset(chosen if self.threads is None else {*chosen, "threads"})

    @property
    def leaves_duplicates_out(self) -> bool:
        return self.duplicates == Duplicates.LEAVE_OUT

    @property
    def device(self) -> str:
        return str(self.recipe.get("device", "auto"))

    @property
    def latency_runtime(self) -> str | None:
        """The runtime that latency is measured in; None where it is not."""
        wanted = self.minimize == Measure.LATENCY or self.max_latency is not None
        return self.runtime or ("torch" if wanted else None)

    @property
    def limits(self) -> SizeLimits:
        """The limits that networks have to keep to be considered."""
        return SizeLimits(self.max_latency, self.max_parameters, self.max_size, self.max_size_as)

    @property
    def families(self) -> tuple[str, ...]:
        return self.family or ("residual",)

    @property
    def widths(self) -> tuple[float, ...]:
        return self.width or (1.0,)

    @property
    def search_budget(self) -> float:
        """In trainings of the chosen network with a target, as a share of the whole search space without one."""
        if self.budget is not None:
            return self.budget
        if self.target is None:
            return BUDGET_WITHOUT
        return BUDGET_WITH_TARGET_AND_DISTILLATION if self.distill else BUDGET_WITH_TARGET

    def to_json(self) -> dict[str, Any]:
        """Plain values: the options of the recipe by their names, single parts of the augmentation under `switches`."""
        own = {name: value for name, value in asdict(self).items() if name != "recipe"}
        return own | {name: self.recipe.get(name) for name in exposed_options(Recipe)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Options:
        """The options that `to_json` was called on, by this version or by 0.1.0."""
        return cls.of(**content)


def fit_options() -> dict[str, Option]:
    """All options of `fit` by name: its own, the recipe's and the augmentation's."""
    return exposed_options(Options, Recipe, Augment)
