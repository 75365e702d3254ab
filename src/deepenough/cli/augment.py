"""`deepenough augment`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import data_argument, from_schema, given, out_option
from deepenough.cli.types import PICTURE_SUFFIXES
from deepenough.errors import DeepenoughError
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
    source, console = open_source(data), Console()
    with console.bars() as bars:
        with bars.task("reading images") as advance:
            images = prepare(source, size=size, seed=seed, progress=advance)
        mirroring = decide_mirroring(images, seed, strength=strength, switches=options)
        bars.say(mirroring.text)
        policy = replace(Augment.named(strength, mirroring.on), **options)
        if times is None:
            path = out or Path(f"{Path(source.name).stem or 'images'}-augmented.png")
            if path.suffix.lower() not in PICTURE_SUFFIXES:
                raise DeepenoughError(f"--out {path}: expected a picture, such as {path.name or 'sheet'}.png")
            contact_sheet(images, policy, seed=seed).save(path)
            console.line(f"picture: {path}")
            return
        if out is None:
            raise DeepenoughError("--times needs --out FOLDER, for the enlarged data set")
        with bars.task("writing images") as advance:
            count = enlarge(images, policy, times, out, seed, progress=advance)
    console.line(f"{count:,} images: {out}")
