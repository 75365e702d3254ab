"""`deepenough augment`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import data_argument, from_schema, given, out_option
from deepenough.cli.types import PICTURE_SUFFIXES
from deepenough.errors import DeepenoughError
from deepenough.files import can_be_written, check_new
from deepenough.schema import Section


@click.command()
@data_argument()
@from_schema(
    Section.AUGMENTATION,
    "size",
    "seed",
    augment={"otherwise": "standard"},
    seed={"help": "Seed of the drawn images and of their augmentation."},
    size={"otherwise": "their own where all have the same, up to 64; else 64"},
)
@out_option("PATH", "The picture; with --times a folder.")
@click.option(
    "--times",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write the training images, each augmented this many times.",
)
def augment_command(data: str | None, out: Path | None, times: int | None, **options: Any) -> None:
    """Draw originals beside their augmentations, or write an enlarged data set."""
    from deepenough.cli.console import Console
    from deepenough.data.augment import Augment
    from deepenough.data.contact_sheet import contact_sheet, enlarge
    from deepenough.data.images import prepare
    from deepenough.data.mirroring import decide_mirroring
    from deepenough.data.sources import open_source

    options = given(options)
    strength, size, seed = options.pop("augment", "standard"), options.pop("size", None), options.pop("seed", 0)
    console = Console()
    with console.bars() as bars:
        source = open_source(data, reporter=bars)
        out = _checked(out, source.name, times is not None)
        with bars.task("reading images") as advance:
            images = prepare(source, size=size, seed=seed, progress=advance)
        mirroring = decide_mirroring(images, seed, strength=strength, switches=options)
        bars.say(mirroring.text)
        policy = replace(Augment.named(strength, mirroring.on), **options)
        if times is None:
            contact_sheet(images, policy, seed=seed).save(out)
            console.line(f"picture: {out}")
            return
        with bars.task("writing images") as advance:
            count = enlarge(images, policy, times, out, seed, progress=advance)
    console.line(f"{count:,} images: {out}")


def _checked(out: Path | None, source: str, several: bool) -> Path:
    """The picture, or the folder of several, where it can be written; an error where not, before anything is read."""
    if several:
        if out is None:
            raise DeepenoughError("--times needs --out FOLDER, for the enlarged data set")
        check_new(out)
        return out
    picture = out or Path(f"{Path(source).stem or 'images'}-augmented.png")
    if picture.suffix.lower() not in PICTURE_SUFFIXES:
        raise DeepenoughError(f"--out {picture}: expected a picture, such as {picture.name or 'sheet'}.png")
    if not picture.parent.is_dir() or not can_be_written(picture.parent):
        raise DeepenoughError(f"--out {picture}: nothing can be written in {picture.parent}; name another folder")
    return picture
