"""`deepenough explain`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepenough.attribution import METHODS
from deepenough.cli.exit_status import ExitStatus
from deepenough.cli.options import OneOf, from_schema, images_argument, out_option, run_argument, top_option
from deepenough.cli.types import PICTURE_SUFFIXES
from deepenough.errors import DeepenoughError
from deepenough.files import can_be_written

if TYPE_CHECKING:
    from PIL import Image

    from deepenough.explain.explanation import Explanation

MOST_STACKED = 24  # explanations in one picture


@click.command()
@run_argument
@images_argument
@click.option(
    "--method",
    type=OneOf(lambda: METHODS),
    default="gradcam",
    help="How to compute the heatmap.",
)
@click.option("--layer", metavar="PATH", help="For gradcam: the path of a layer, as `deepenough nets` lists them.")
@click.option("--truth", metavar="CLASS", help="The right class.  [default: the images' folder, if it is a class]")
@click.option("--class", "target", metavar="CLASS", help="Class whose heatmap to show.  [default: the predicted class]")
@top_option
@from_schema("language", language={"help": "Language of the words in the picture: English or Chinese."})
@out_option("FILE", "Picture to write, or a folder for several.")
@click.pass_context
def explain_command(ctx: click.Context, /, run: Path, images: tuple[str, ...], **options: Any) -> None:
    """Show which parts of an image speak for its class.

    Draws the image, a heatmap over it and the most probable classes; for a wrong answer also the heatmap for the right
    class.
    """
    ctx.exit(explain_images(run, images, **options))


def explain_images(
    run: Path,
    images: Sequence[str],
    *,
    out: Path | None = None,
    truth: str | None = None,
    language: str | None = None,
    **options: Any,
) -> int:
    """Explain the images, one by one, and write the picture, or a folder of them; the exit status."""
    from deepenough.cli.console import Console
    from deepenough.data.finding import ImageError, PassedOver
    from deepenough.explain import explanation
    from deepenough.explain.picture import drawable
    from deepenough.model import load
    from deepenough.prediction import images_among, lines

    language = drawable(language)
    model = load(run)
    console, passed = Console(), PassedOver()
    paths = images_among(images, passed)
    for line in lines(passed):
        console.problem(line)
    if out is None:
        out = Path(f"{paths[0].stem}-explained.png" if len(paths) == 1 else "explained")
    stacked = out.suffix.lower() in PICTURE_SUFFIXES and not out.is_dir()
    written = [out] if stacked else [out / f"{number:03}-{path.stem}.png" for number, path in enumerate(paths)]
    check_out(out, written, paths, stacked)
    pictures = []
    failed = 0
    for number, path in enumerate(paths):
        above = Path(os.path.abspath(path)).parent.name  # noqa: PTH100  `absolute` would leave `..` in it
        known = truth if truth is not None else above if above in model.classes else None
        try:
            (found,) = explanation.explain(model, path, truth=known, **options)
        except ImageError as error:
            console.problem(f"{path}: {error}")
            failed += 1
            continue
        console.line(answer_line(path, found))
        if stacked:
            pictures.append(found.picture(language))
        else:
            out.mkdir(parents=True, exist_ok=True)
            found.picture(language).save(written[number])
    if stacked and pictures:
        stack(pictures).save(out)
    if failed < len(paths):
        kind = "picture" if stacked else "pictures"
        console.line(f"{kind}: {out}")
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def check_out(out: Path, written: Sequence[Path], images: Sequence[Path], stacked: bool) -> None:
    """Raise the error for an `--out` where the files `written` can't or mustn't be, before any work is done for it."""
    from PIL import Image

    if stacked and len(images) > MOST_STACKED:
        raise DeepenoughError(
            f"--out {out}: {len(images)} images do not fit in one picture, {MOST_STACKED} do; name a folder instead"
        )
    ending = out.suffix.lower()
    if not stacked and not out.is_dir() and ending in {*Image.registered_extensions(), ".svg"}:
        raise DeepenoughError(
            f"--out {out}: pictures can't be written as {ending}; end the name with {', '.join(PICTURE_SUFFIXES)}, "
            "or name a folder"
        )
    if stacked and not out.parent.exists():
        raise DeepenoughError(f"--out {out}: there is no folder {out.parent}; create it first, or name another")
    folder = out.parent if stacked else next(place for place in (out, *out.parents) if place.exists())
    if not folder.is_dir():
        raise DeepenoughError(f"--out {out}: {folder} is a file; name a picture (.png, .jpg) or another folder")
    if not can_be_written(folder):
        raise DeepenoughError(f"--out {out}: {folder} can't be written to; name another folder")
    given = {file_identity(image) for image in images if image.exists()}
    for file in written:
        if file.exists() and file_identity(file) in given:
            raise DeepenoughError(f"--out {out}: {file} is one of the images and would be overwritten; name another")


def file_identity(path: Path) -> tuple[int, int]:
    """Device and inode, which are the same for all names of a file."""
    status = path.stat()
    return status.st_dev, status.st_ino


def answer_line(path: Path, found: Explanation) -> str:
    """One image's answer in a line."""
    from deepenough.explain.explanation import share_text

    answer = f"{path}: {found.prediction.label} {found.prediction.confidence:.1%}"
    if found.wrong:
        answer += f", but it is {found.truth}"
    for label, off in found.inexact.items():
        answer += f"; the integrated gradients for {label} miss the difference of logits by {share_text(off)}"
    return answer


def stack(pictures: list[Image.Image]) -> Image.Image:
    """Stack pictures under each other."""
    from PIL import Image

    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
