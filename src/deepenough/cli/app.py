"""The command line: one command a verb. No logic here, and nothing heavy imported before a command runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deepenough.errors import DeepenoughError, nearest

TARGETS = ("torch", "onnx", "keras", "tensorflow", "litert", "paddle", "caffe")
STRENGTHS = ("none", "light", "standard", "strong")
PRECISIONS = ("float32", "tf32", "bfloat16", "float16", "float64")
FAMILIES = ("residual", "plain", "inception")


class Verbs(click.Group):
    """Commands that a misspelt name is matched with, listed in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            near = nearest(args[0], self.commands)
            hint = f"nearest: {', '.join(near)}" if near else f"commands: {', '.join(self.commands)}"
            raise click.UsageError(f"no command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)


class Shape(click.ParamType[tuple[int, int, int]]):
    """Channels, height and width, as 3x224x224."""

    name = "CxHxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int, int]:
        match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", str(value).lower().replace("×", "x"))
        if not match or "0" in match.groups():
            self.fail(f"{value!r}: expected channels, height and width, as 3x224x224", param, ctx)
        channels, height, width = (int(number) for number in match.groups())
        return channels, height, width


class Span(click.ParamType[float]):
    """A length of time: 90, 90s, 20m, 1.5h; in seconds."""

    name = "TIME"
    units = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}  # noqa: RUF012

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).lower())
        if not match:
            self.fail(f"{value!r}: expected a length of time, as 90s, 20m or 1.5h", param, ctx)
        return float(match[1]) * self.units[match[2]]


class Size(click.ParamType[float]):
    """An amount of memory: 500MB, 20GB, 1.5TB; in bytes."""

    name = "SIZE"
    units = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}  # noqa: RUF012

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)I?B?", str(value).upper())
        if not match:
            self.fail(f"{value!r}: expected an amount of memory, as 500MB or 20GB", param, ctx)
        return float(match[1]) * self.units[match[2]]


def augmentation_options(command: Callable[..., None]) -> Callable[..., None]:
    """A named strength, and switches for single kinds that override it."""
    switches = (
        click.option("--augment", type=click.Choice(STRENGTHS), help="Named strength of the augmentation."),
        click.option("--rotation", type=float, metavar="DEGREES", help="Largest rotation."),
        click.option("--shift", type=float, metavar="SHARE", help="Largest shift, as a share of the image's side."),
        click.option("--zoom", type=float, metavar="SHARE", help="Largest zoom in or out, as a share."),
        click.option("--crop", type=float, metavar="AREA", help="Smallest area of a random crop, 1 for none."),
        click.option("--flip/--no-flip", default=None, help="Mirror images (off for digits and letters by default)."),
        click.option("--vertical-flip/--no-vertical-flip", default=None, help="Upside-down images."),
        click.option("--brightness", type=float, metavar="SHARE", help="Largest change of brightness."),
        click.option("--contrast", type=float, metavar="SHARE", help="Largest change of contrast."),
        click.option("--saturation", type=float, metavar="SHARE", help="Largest change of saturation."),
        click.option("--erase", type=float, metavar="CHANCE", help="Chance of erasing a random rectangle."),
        click.option("--mixup", type=float, metavar="ALPHA", help="Mix pairs of images, 0 for none."),
        click.option("--cutmix", type=float, metavar="ALPHA", help="Paste patches of other images, 0 for none."),
    )
    for option in reversed(switches):
        command = option(command)
    return command


SWITCHES = (
    "rotation", "shift", "zoom", "crop", "flip", "vertical_flip", "brightness", "contrast", "saturation", "erase",
    "mixup", "cutmix",
)  # fmt: skip


def switches_of(options: dict[str, Any]) -> dict[str, Any]:
    """Take the single augmentation switches that were given out of `options`."""
    given = {name: options.pop(name) for name in SWITCHES}
    return {name: value for name, value in given.items() if value is not None}


def weights_options(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Which pretrained weights, and what a file does not say of them."""
    options = (
        click.option(
            "--weights",
            required=required,
            metavar="NAME|FILE",
            help="Pretrained weights to start from: a name (`deepenough weights list`) or a file."
            + ("" if required else "  [default: for photos, good ones; else none]"),
        ),
        click.option("--network", help="The network that a file of weights is for, where several fit."),
        click.option(
            "--framing",
            type=click.Choice(("source", "whole")),
            default="source" if required else "whole",
            show_default=True,
            help="What a pretrained network sees of an image: its source's centre crop, or all that the shape allows.",
        ),
        click.option("--preprocess", metavar="SOURCE", help="What a file of weights expects of images: caffe-bgr, ..."),
    )

    def add(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def search_options(command: Callable[..., None]) -> Callable[..., None]:
    """The question and the recipe, which `fit` and `plan` have in common."""
    options: tuple[Callable[..., Any], ...] = (
        click.argument("data", required=False),
        click.option("--target", type=float, metavar="SHARE", help="The accuracy that you need, as 0.95."),
        weights_options(required=False),
        click.option("--scratch", is_flag=True, help="Train from scratch, also where the images are photos."),
        click.option(
            "--family",
            multiple=True,
            type=click.Choice(FAMILIES),
            help="Family of networks, trained from scratch; give it again for more.  [default: residual]",
        ),
        click.option(
            "--width", multiple=True, type=float, help="Width factor of the family; give it again.  [default: 1]"
        ),
        click.option(
            "--max-depth", type=int, help="Deepest network of the search space.  [default: 16 blocks a level]"
        ),
        click.option(
            "--margin",
            type=float,
            default=0.01,
            show_default=True,
            metavar="SHARE",
            help="How much worse than the best is still good enough, without a target.",
        ),
        click.option(
            "--minimize",
            type=click.Choice(("depth", "parameters", "macs")),
            default="depth",
            show_default=True,
            help="What to keep small.",
        ),
        click.option(
            "--metric",
            type=click.Choice(("top1", "balanced")),
            default="top1",
            show_default=True,
            help="What accuracy means: balanced gives every class the same weight.",
        ),
        click.option(
            "--budget",
            type=float,
            help="What the search may cost: with a target, trying depths below one that meets it stops at so many "
            "trainings of the chosen network; without, it is a share of training the whole search space.  "
            "[default: 2 and 0.5]",
        ),
        click.option(
            "--folds",
            type=int,
            help="Judge on out-of-fold predictions in so many folds; 1 for the validation "
            "split.  [default: 4 folds where that split is too small]",
        ),
        click.option(
            "--time-limit", type=Span(), help="Stop after this long and answer from what there is: 90s, 20m, 1h."
        ),
        click.option("--size", type=int, help="Side to which images are resized.  [default: their own up to 64]"),
        click.option("--limit", type=int, help="Use at most so many images of each split, for a quick look."),
        click.option(
            "--cache-limit",
            type=Size(),
            help="Decoded images that take more than this on disk are read anew whenever they are needed.  "
            "[default: a third of what is free, at most 20GiB]",
        ),
        click.option("--epochs", type=int, help="Passes over the training images.  [default: by their number]"),
        click.option("--batch", type=int, help="Images a step."),
        click.option("--lr", type=float, help="Peak learning rate.  [default: a range test for each candidate]"),
        click.option("--optimizer", type=click.Choice(("sgd", "adamw")), help="SGD has Nesterov momentum."),
        click.option("--momentum", type=float, help="Of SGD; the first beta of AdamW."),
        click.option("--weight-decay", type=float, help="Not applied to norms and biases."),
        click.option("--schedule", type=click.Choice(("onecycle", "cosine", "constant")), help="Of the learning rate."),
        click.option(
            "--warmup", type=float, metavar="SHARE", help="Share of the steps in which the learning rate rises."
        ),
        click.option("--label-smoothing", type=float, metavar="SHARE"),
        click.option("--clip", type=float, metavar="NORM", help="Largest norm of the gradient, 0 for none."),
        click.option("--ema", type=float, metavar="DECAY", help="Of the moving average of the weights, 0 for none."),
        click.option(
            "--patience", type=int, help="End a training after so many epochs without a better accuracy, 0 for never."
        ),
        click.option("--class-weights", is_flag=True, help="Weigh rare classes up in training."),
        click.option(
            "--precision", type=click.Choice(PRECISIONS), help="[default: the fastest, by a short measurement]"
        ),
        click.option(
            "--compile/--no-compile", "compiled", default=None, help="[default: where it pays back within this run]"
        ),
        click.option("--device", type=click.Choice(("cpu", "cuda", "mps")), help="[default: the best that there is]"),
        click.option("--threads", type=int, help="Processor threads."),
        augmentation_options,
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
        click.option("--tensorboard", is_flag=True, help="Write curves for TensorBoard into the run too."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="deepenough")
def cli() -> None:
    """How deep does the network need to be?

    Give a set of labelled images and, if you like, the accuracy you need. `deepenough fit` finds the shallowest
    network that does the task, shows the evidence, and keeps a model that predicts.
    """


@cli.command()
@search_options
@click.option("--out", type=click.Path(path_type=Path), metavar="RUN", help="Folder of the run.  [default: runs/...]")
@click.option(
    "--resume",
    "resumed",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a run that was stopped, from its newest checkpoint.",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Train candidates side by side on a Ray cluster; without ADDRESS on one that is started here.",
)
@click.option("--processes", type=click.IntRange(min=1), help="With --ray: how many train each candidate together.")
@click.pass_context
def fit(
    ctx: click.Context,
    /,
    data: str | None,
    out: Path | None,
    resumed: Path | None,
    ray: str | None,
    processes: int | None,
    **options: Any,
) -> None:
    """Find the shallowest network that does the task.

    DATA is a folder of class folders (with or without train, validation and test folders), a CSV of path and
    label, a Parquet file or folder, WebDataset's tar shards, a folder of IDX files, digits, fashion-mnist, or hf:NAME.
    Without DATA: digits.
    """  # fmt: skip
    from deepenough.cli.console import Console

    if resumed is not None:
        how = ("resumed", "ray", "processes")
        given = [p.opts[0] for p in ctx.command.params if _given(ctx, p) and p.name not in how]
        if given:
            raise DeepenoughError(f"--resume takes everything from the run; leave out {', '.join(given)}")
    options["switches"] = switches_of(options)
    side_by_side = {"ray": ray, "processes": processes or 1}
    ctx.exit(Console().fit(data, out, resumed, options, side_by_side))


@cli.command()
@search_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(data: str | None, as_json: bool, **options: Any) -> None:
    """Say how long `fit` will take and how much memory, by a few training steps.

    DATA and the options are those of `deepenough fit`. Nothing is kept but what was measured, in the cache.
    """
    from deepenough.cli.console import Console

    options["switches"] = switches_of(options)
    Console().plan(data, as_json, options)


def _given(ctx: click.Context, parameter: click.Parameter) -> bool:
    source = ctx.get_parameter_source(parameter.name or "")
    return source == click.core.ParameterSource.COMMANDLINE


@cli.group(cls=Verbs)
def weights() -> None:
    """Pretrained weights: which there are, and fetching them."""


@weights.command("list")
@click.option("--json", "as_json", is_flag=True, help="The table as JSON.")
def weights_list(as_json: bool) -> None:
    """The weights that have a name: their networks, published errors, and whether they are here."""
    from deepenough.cli.console import Console
    from deepenough.cli.weights import weights_list

    weights_list(Console(), as_json)


@weights.command("get")
@click.argument("weights", metavar="NAME|FILE")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write a model that `predict` takes.")
@click.option("--network", help="The network that a file of weights is for, where several fit.")
@click.option("--preprocess", metavar="SOURCE", help="What a file of weights expects of images: caffe-bgr, ...")
def weights_get(weights: str, out: Path | None, network: str | None, preprocess: str | None) -> None:
    """Fetch weights, or read a file of them; check them, and say what they expect."""
    from deepenough.cli.console import Console
    from deepenough.cli.weights import weights_get

    weights_get(Console(), weights, out, network, preprocess)


@cli.command()
@click.argument("data", required=False)
@weights_options(required=True)
@click.option(
    "--margin",
    type=float,
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="How much worse than the best place is still good enough.",
)
@click.option("--size", type=int, help="Side to which images are resized.  [default: that of the weights]")
@click.option("--limit", type=int, help="Use at most so many images of each split, for a quick look.")
@click.option("--device", type=click.Choice(("cpu", "cuda", "mps")), help="[default: the best that there is]")
@click.option("--threads", type=int, help="Processor threads.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The sounding as JSON.")
def sound(data: str | None, as_json: bool, threads: int | None, **options: Any) -> None:
    """Tell how much of the task is solved at every depth of a trained network.

    One pass over the images, a linear probe at every place where the network can be cut. Test images stay unseen.
    """
    from deepenough.cli.console import Console

    Console().sound(data, as_json, threads, options)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER...")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show.")
@click.option("--json", "style", flag_value="json", help="One JSON object a line.")
@click.option("--csv", "style", flag_value="csv", help="Comma-separated values.")
@click.option("--reject-below", type=click.FloatRange(0, 1), metavar="P", help="Give no class when less probable.")
@click.pass_context
def predict(
    ctx: click.Context, run: Path, images: tuple[str, ...], top: int, style: str | None, reject_below: float | None
) -> None:
    """Classify images with the model of a run."""
    from deepenough.cli.console import Console

    ctx.exit(Console().predict(run, images, top, style or "table", reject_below or 0.0))


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER...")
@click.option(
    "--method",
    type=click.Choice(("gradcam", "integrated-gradients", "occlusion")),
    default="gradcam",
    show_default=True,
)
@click.option("--layer", metavar="PATH", help="For gradcam: a layer's path, as `deepenough nets` has them.")
@click.option("--truth", metavar="CLASS", help="The right class.  [default: the images' folder, if it is a class]")
@click.option("--class", "target", metavar="CLASS", help="Whose heat to show.  [default: the predicted class]")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="Classes to show.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="The picture, or a folder for many.")
@click.pass_context
def explain(
    ctx: click.Context,
    /,
    run: Path,
    images: tuple[str, ...],
    method: str,
    layer: str | None,
    truth: str | None,
    target: str | None,
    top: int,
    out: Path | None,
) -> None:
    """Draw what in an image spoke for its class: the image, the heat over it, the most probable classes.

    For a wrong answer also the heat for the right class.
    """
    from deepenough.cli import explain as command
    from deepenough.cli.console import Console

    ctx.exit(command.run(Console(), run, images, method, layer, truth, top, out, target))


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: RUN/features]")
@click.option("--limit", type=click.IntRange(min=1), help="Use at most so many images of each split.")
def features(run: Path, data: str | None, out: Path | None, limit: int | None) -> None:
    """Show what the layers see: first filters, the patches that excite channels most, a linear probe at every depth.

    DATA is by default what the run was made from; its probes use only images that the model was not trained on.
    """
    from deepenough.cli import explain as command
    from deepenough.cli.console import Console

    command.show_features(Console(), run, data, out, limit)


@cli.command()
@click.argument("name", required=False)
@click.option("--data", help="Images to look at, as for `fit`.  [default: fashion-mnist; digits for some quick ones]")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Trainings of each setting.")
@click.option("--quick", is_flag=True, help="Few images, few epochs, narrow networks.")
@click.option("--limit", type=click.IntRange(min=1), help="Use at most so many images of each split.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: lab/NAME]")
def lab(name: str | None, data: str | None, seeds: int, quick: bool, limit: int | None, out: Path | None) -> None:
    """Test what everyone says about depth, on your images: NAME is a claim; without NAME, list them."""
    from deepenough.cli import lab as command
    from deepenough.cli.console import Console

    if name is None:
        command.listing(Console())
    else:
        command.experiment(Console(), name, data, seeds, quick, limit, out)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 for everyone who reaches this machine.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option("--device", type=click.Choice(("cpu", "cuda", "mps")), default="cpu", show_default=True)
@click.option("--max-upload", type=click.IntRange(min=1), default=20, show_default=True, help="MiB of a request.")
@click.option("--max-files", type=click.IntRange(min=1), default=32, show_default=True, help="Images of a request.")
def serve(run: Path, host: str, port: int, device: str, max_upload: int, max_files: int) -> None:
    """Answer over HTTP with the model of a run, and show a page to try it."""
    from deepenough.cli import serve as command
    from deepenough.cli.console import Console

    command.run(Console(), run, host, port, device, max_upload, max_files)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data")
@click.option("--split", help="train, validation, test or all.  [default: test where there is one, else all]")
@click.option("--json", "as_json", is_flag=True, help="All metrics as JSON.")
def evaluate(run: Path, data: str, split: str | None, as_json: bool) -> None:
    """Measure the model of a run on labelled images."""
    from deepenough.cli.console import Console

    Console().evaluate(run, data, split, as_json)


@cli.command()
@click.argument("model", metavar="RUN|WEIGHTS|NETWORK")
@click.option("--to", required=True, type=click.Choice(TARGETS), help="The framework to write for.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: RUN/exports/TO, or NAME-TO]")
@click.option("--half", is_flag=True, help="In float16, for torch, onnx, keras, tensorflow and litert.")
@click.option("--int8", is_flag=True, help="Quantised, for onnx and litert, calibrated on the training images.")
@click.option("--no-verify", is_flag=True, help="Don't run what was written, in its own framework, to compare.")
@click.option("--network", help="The network that a file of WEIGHTS is for, where several fit.")
@click.option("--preprocess", metavar="SOURCE", help="What a file of WEIGHTS expects of images: caffe-bgr, ...")
@click.option("--data", help="Labelled images to compare (and calibrate) on, instead of the run's own.")
@click.option("--input", "shape", type=Shape(), help="Size of the images, as 3x224x224, of a NETWORK.")
@click.option("--classes", type=click.IntRange(min=1), help="Number of classes of a NETWORK.")
@click.option("--depth", type=int, help="Depth of a family's network.")
@click.option("--width", type=float, help="Width factor of a family's network.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of a NETWORK's random weights.")
@click.option("--json", "as_json", is_flag=True, help="What was seen as JSON.")
@click.pass_context
def export(ctx: click.Context, /, model: str, as_json: bool, no_verify: bool, **options: Any) -> None:
    """Write a model for another framework, and prove that it predicts the same.

    RUN is what `deepenough fit` named; WEIGHTS pretrained ones, by name or file; NETWORK a network of `deepenough nets`
    or a family, with random weights. Normalisation travels along inside; a README and a predict.py stand beside.
    """
    from deepenough.cli.console import Console
    from deepenough.cli.export import export

    ctx.exit(export(Console(), model, as_json, verify=not no_verify, **options))


@cli.command()
@click.argument("name", metavar="[NETWORK]", default="resnet50")
@click.option("--input", "shape", type=Shape(), help="Size of the images, as 3x224x224.  [default: the network's]")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True, help="Images a step.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Turns of every framework.")
@click.option("--seconds", type=float, default=3.0, show_default=True, help="Length of a turn; at least two steps.")
@click.option("--only", multiple=True, metavar="NAME", help="Take part: PyTorch, 'Keras, JAX', ...; give it again.")
@click.option("--depth", type=int, help="Depth of a family's network.")
@click.option("--width", type=float, help="Width factor of a family's network.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: comparison-NETWORK]")
@click.pass_context
def compare(ctx: click.Context, /, name: str, **options: Any) -> None:
    """Build a network natively in every framework that is here, and measure them turn by turn.

    One training step is checked to be the same; then come training and prediction speed, first steps, memory, size and
    lines of code, as a table and a page.
    """
    from deepenough.cli.compare import run
    from deepenough.cli.console import Console

    ctx.exit(run(Console(), name, **options))


@cli.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.option("--input", "shape", type=Shape(), help="Size of the images, as 3x224x224.")
@click.option("--classes", type=click.IntRange(min=1), help="Number of classes.")
@click.option("--depth", type=int, help="Depth of a family's network.")
@click.option("--width", type=float, help="Width factor of a family's network.")
@click.option(
    "--evaluate",
    "images",
    type=click.Path(path_type=Path),
    metavar="IMAGENET_VAL",
    help="Measure pretrained networks on ImageNet's validation images, beside the published errors.",
)
@click.option(
    "--weights", multiple=True, metavar="NAME|FILE", help="With --evaluate: torchvision or timm for all of theirs, ..."
)
@click.option("--network", help="The network that a file of weights is for, where several fit.")
@click.option("--preprocess", metavar="SOURCE", help="What a file of weights expects of images: caffe-bgr, ...")
@click.option("--limit", type=click.IntRange(min=1), help="With --evaluate: only so many images, of all classes alike.")
@click.option("--device", type=click.Choice(("cpu", "cuda", "mps")), help="With --evaluate.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="With --limit: which images are drawn.")
def nets(
    name: str | None,
    as_json: bool,
    shape: tuple[int, int, int] | None,
    classes: int | None,
    depth: int | None,
    width: float | None,
    images: Path | None,
    **options: Any,
) -> None:
    """Show the published networks, or NAME layer by layer.

    NAME is a network (alexnet, vgg16, googlenet, resnet50 ...) or a family (residual, plain, inception) with
    --depth and --width. With --evaluate: each network's own single-crop and ten-crop error.
    """
    if images is not None:
        if name is not None:
            raise DeepenoughError(f"{name}: --evaluate measures what --weights name; leave the network out")
        from deepenough.cli.console import Console
        from deepenough.cli.weights import nets_evaluate

        nets_evaluate(Console(), images, options.pop("weights"), as_json=as_json, **options)
        return
    for option in ("weights", "network", "preprocess", "limit", "device"):
        if options[option]:
            raise DeepenoughError(f"--{option} says what --evaluate measures; give --evaluate IMAGENET_VAL too")
    from deepenough.cli.console import Console

    Console().nets(name, as_json, shape, classes, depth, width)


@cli.command()
@click.argument("data", required=False)
@augmentation_options
@click.option("--out", type=click.Path(path_type=Path), metavar="PATH", help="The picture; with --times a folder.")
@click.option("--times", type=click.IntRange(min=1), help="Write the training images, each so many times augmented.")
@click.option("--size", type=int, help="Side to which images are resized.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
def augment(data: str | None, out: Path | None, times: int | None, size: int | None, seed: int, **options: Any) -> None:
    """Draw originals beside their augmentations, or write the enlarged data set."""
    from deepenough.cli.console import Console

    strength = options.pop("augment") or "standard"
    Console().augment(data, strength, switches_of(options), out, times, size, seed)


@cli.command()
@click.argument("run", type=click.Path(path_type=Path))
def report(run: Path) -> None:
    """Write the report of a run anew, and print its evidence."""
    from deepenough.cli.console import Console

    Console().report(run)
