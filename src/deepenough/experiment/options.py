"""What a user can say to `fit`, in one place for the command line, Python and resuming."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from deepenough.errors import DeepenoughError, unknown

METRICS = ("top1", "balanced")
MEASURES = ("depth", "parameters", "macs")
MOST_THREADS = 1024  # PyTorch fails where the system refuses so many
BUDGET_WITH_TARGET = 2.0
BUDGET_WITHOUT = 0.5
# Fields of the recipe that a user may override, under the same names.
RECIPE = (
    "epochs", "batch", "lr", "optimizer", "momentum", "weight_decay", "schedule", "warmup", "label_smoothing", "clip",
    "ema", "patience", "precision", "compiled", "device",
)  # fmt: skip


def check_margin(margin: float) -> None:
    """Raise the error for a margin that is no share."""
    if not 0 < margin < 1:
        percent = f"; for {margin:g} points write {margin / 100:g}" if 1 <= margin < 100 else ""
        raise DeepenoughError(f"--margin {margin:g}: expected a share between 0 and 1{percent}")


@dataclass(frozen=True)
class Options:
    """`None` leaves a choice to deepenough; what it chose is in the record."""

    data: str | None = None
    target: float | None = None
    family: tuple[str, ...] = ()
    width: tuple[float, ...] = ()
    max_depth: int | None = None
    weights: str | None = None  # a name or a file
    network: str | None = None  # that the file of weights is for
    preprocess: str | None = None  # that the file of weights was made with
    framing: str = "whole"  # what pretrained weights see of an image
    scratch: bool = False
    margin: float = 0.01
    minimize: str = "depth"
    metric: str = "top1"
    budget: float | None = None
    folds: int | None = None
    size: int | None = None
    limit: int | None = None
    cache_limit: float | None = None  # bytes of decoded pixels that may be kept on disk
    time_limit: float | None = None
    seed: int = 0
    epochs: int | None = None
    batch: int | None = None
    lr: float | None = None
    optimizer: str | None = None
    momentum: float | None = None
    weight_decay: float | None = None
    schedule: str | None = None
    warmup: float | None = None
    label_smoothing: float | None = None
    clip: float | None = None
    ema: float | None = None
    patience: int | None = None
    augment: str | None = None
    switches: dict[str, Any] = field(default_factory=dict)  # single fields of the augmentation
    class_weights: bool = False
    precision: str | None = None
    compiled: bool | None = None
    device: str | None = None
    threads: int | None = None
    tensorboard: bool = False

    def __post_init__(self) -> None:
        if self.target is not None and not 0 < self.target < 1:
            percent = f"; for {self.target:g}% write {self.target / 100:g}" if 1 < self.target <= 100 else ""
            raise DeepenoughError(f"--target {self.target:g}: expected a share between 0 and 1{percent}")
        check_margin(self.margin)
        if self.metric not in METRICS:
            raise unknown("metric", self.metric, METRICS)
        if self.minimize not in MEASURES:
            raise unknown("measure to minimise", self.minimize, MEASURES)
        for name in (
            "budget",
            "time_limit",
            "epochs",
            "batch",
            "lr",
            "size",
            "limit",
            "cache_limit",
            "threads",
            "max_depth",
        ):
            value = getattr(self, name)
            if isinstance(value, str):
                unit = " of seconds" if name == "time_limit" else ""
                raise DeepenoughError(f"{name} {value!r}: expected a number{unit}")
            if value is not None and not value > 0:  # nan too
                raise DeepenoughError(f"--{name.replace('_', '-')} {value:g}: expected more than 0")
        if not 0 <= self.seed < 2**63:
            raise DeepenoughError(f"--seed {self.seed}: expected 0 or more, below 2 to the 63rd")
        if self.folds is not None and self.folds < 1:
            raise DeepenoughError(f"--folds {self.folds}: give 1 for the validation split, or 2 and more for folds")
        if self.threads is not None and self.threads > MOST_THREADS:
            raise DeepenoughError(f"--threads {self.threads}: expected at most {MOST_THREADS:,}")
        if self.weights is not None and (self.scratch or self.from_family):
            other = "--scratch" if self.scratch else "--family, --width or --max-depth"
            raise DeepenoughError(
                f"--weights {self.weights}: it starts from trained weights, {other} does not; give one"
            )
        for name in ("network", "preprocess"):
            if getattr(self, name) is not None and self.weights is None:
                raise DeepenoughError(f"--{name} {getattr(self, name)}: it says what --weights are; give those too")
        for width in self.width:
            if not width > 0:
                raise DeepenoughError(f"--width {width:g}: expected more than 0")

    @property
    def from_family(self) -> bool:
        """Whether networks of a family were asked for, which are trained from scratch."""
        return bool(self.family or self.width or self.max_depth)

    @property
    def fixed(self) -> frozenset[str]:
        """What of a step's computation the user has chosen."""
        return frozenset(name for name in ("precision", "compiled", "threads") if getattr(self, name) is not None)

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
        return BUDGET_WITHOUT if self.target is None else BUDGET_WITH_TARGET

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Options:
        known = {each.name for each in fields(cls)}
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
        }
        for key in values:
            if key not in known:
                raise unknown("option", key, known)
        return cls(**values)
