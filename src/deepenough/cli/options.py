"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from deepenough.cli.types import Size, Time

STRENGTHS = ("none", "light", "standard", "strong")
PRECISIONS = ("float32", "tf32", "bfloat16", "float16", "float64")
FAMILIES = ("residual", "plain", "inception")


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
            "--time-limit", type=Time(), help="Stop after this long and answer from what there is: 90s, 20m, 1h."
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
