"""`deepenough explain`: explanations of images, drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from deepenough.cli.console import Bars, Console
from deepenough.data.finding import ImageError
from deepenough.errors import DeepenoughError
from deepenough.explain.explanation import Explanation, explain, share
from deepenough.explain.features import features
from deepenough.model import load
from deepenough.prediction import files
from deepenough.report import text as words

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
TOGETHER = 24  # explanations in one picture
SOME_FAILED = 1


def run(
    console: Console,
    folder: Path,
    given: tuple[str, ...],
    method: str,
    layer: str | None,
    truth: str | None,
    top: int,
    out: Path | None,
    target: str | None = None,
) -> int:
    """Explain the images, one by one, and write the picture, or a folder of them; the exit status."""
    model = load(folder)
    paths = list(files(given))
    if out is None:
        out = Path(f"{paths[0].stem}-explained.png" if len(paths) == 1 else "explained")
    together = out.suffix.lower() in PICTURES and not out.is_dir()
    written = [out] if together else [out / f"{number:03}-{path.stem}.png" for number, path in enumerate(paths)]
    check(out, written, paths, together)
    pictures = []
    failed = 0
    for number, path in enumerate(paths):
        known = truth if truth is not None else path.parent.name if path.parent.name in model.classes else None
        try:
            (found,) = explain(model, path, method=method, layer=layer, truth=known, target=target, top=top)
        except ImageError as error:
            console.progress.print(f"{path}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            failed += 1
            continue
        console.out.print(sentence(path, found), markup=False, highlight=False, soft_wrap=True)
        if together:
            pictures.append(found.picture())
        else:
            out.mkdir(parents=True, exist_ok=True)
            found.picture().save(written[number])
    if together and pictures:
        stacked(pictures).save(out)
    if failed < len(paths):
        kind = "picture" if together else "pictures"
        console.out.print(f"{kind}: {out}", markup=False, highlight=False, soft_wrap=True)
    return SOME_FAILED if failed else 0


def check(out: Path, written: Sequence[Path], images: Sequence[Path], together: bool) -> None:
    """Raise the error for an `--out` where the files `written` can't or mustn't be, before any work is done for it."""
    if together and len(images) > TOGETHER:
        raise DeepenoughError(
            f"--out {out}: {len(images)} images are too many for one picture, at most {TOGETHER}; give a folder"
        )
    ending = out.suffix.lower()
    if not together and not out.is_dir() and ending in {*Image.registered_extensions(), ".svg"}:
        raise DeepenoughError(
            f"--out {out}: pictures can't be written as {ending}; end the name with {', '.join(PICTURES)}, or name a "
            "folder"
        )
    if together and not out.parent.exists():
        raise DeepenoughError(f"--out {out}: there is no folder {out.parent}; make it first, or name another")
    folder = out.parent if together else next(place for place in (out, *out.parents) if place.exists())
    if not folder.is_dir():
        raise DeepenoughError(f"--out {out}: {folder} is a file; name a picture (.png, .jpg) or another folder")
    if not os.access(folder, os.W_OK):
        raise DeepenoughError(f"--out {out}: {folder} can't be written to; name another folder")
    given = {identity(image) for image in images if image.exists()}
    for file in written:
        if file.exists() and identity(file) in given:
            raise DeepenoughError(f"--out {out}: {file} is one of the images, and would be lost; name another")


def identity(path: Path) -> tuple[int, int]:
    """What tells a file from every other, whatever it is called."""
    status = path.stat()
    return status.st_dev, status.st_ino


def show_features(console: Console, folder: Path, data: str | None, out: Path | None, limit: int | None) -> None:
    """Look into the model of a run, print the probes, write the page."""
    with Bars(console.progress) as bars:
        found, page = features(folder, data, out=out, limit=limit, reporter=bars)
    for probe in found.probing.probes:
        told = f"{probe.accuracy.value:.1%} ({words.interval(probe.accuracy)})"
        line = f"after {probe.place}, depth {probe.depth}: {told}"
        console.out.print(line, markup=False, highlight=False, soft_wrap=True)
    console.out.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)


def sentence(path: Path, found: Explanation) -> str:
    """One image's answer in a line."""
    answer = f"{path}: {found.prediction.label} {found.prediction.confidence:.1%}"
    if found.wrong:
        answer += f", and it is {found.truth}"
    for label, off in found.inexact.items():
        answer += f"; the integrated gradients for {label} miss the difference of logits by {share(off)}"
    return answer


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """Pictures under each other."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
