"""`deepenough explain`: explanations of images, drawn."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from deepenough.console import Bars, Console
from deepenough.data.finding import ImageError
from deepenough.errors import DeepenoughError
from deepenough.explain.explanation import Explanation, explain
from deepenough.explain.features import features
from deepenough.model import load
from deepenough.prediction import files
from deepenough.report import words

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
) -> int:
    """Explain the images, one by one, and write the picture, or a folder of them; the exit status."""
    model = load(folder)
    paths = list(files(given))
    if out is None:
        out = Path(f"{paths[0].stem}-explained.png" if len(paths) == 1 else "explained")
    together = out.suffix.lower() in PICTURES
    if together and len(paths) > TOGETHER:
        raise DeepenoughError(
            f"--out {out}: {len(paths)} images are too many for one picture, at most {TOGETHER}; give a folder"
        )
    if out.is_file() and not together:
        raise DeepenoughError(f"--out {out}: there is a file of that name; give a picture (.png, .jpg) or a folder")
    pictures = []
    failed = 0
    for number, path in enumerate(paths):
        known = truth if truth is not None else path.parent.name if path.parent.name in model.classes else None
        try:
            (found,) = explain(model, path, method=method, layer=layer, truth=known, top=top)
        except ImageError as error:
            console.progress.print(f"{path}: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            failed += 1
            continue
        console.out.print(sentence(path, found), markup=False, highlight=False, soft_wrap=True)
        if together:
            pictures.append(found.picture())
        else:
            out.mkdir(parents=True, exist_ok=True)
            found.picture().save(out / f"{number:03}-{path.stem}.png")
    if together and pictures:
        stacked(pictures).save(out)
    if failed < len(paths):
        kind = "picture" if together else "pictures"
        console.out.print(f"{kind}: {out}", markup=False, highlight=False, soft_wrap=True)
    return SOME_FAILED if failed else 0


def show_features(console: Console, folder: Path, data: str | None, out: Path | None, limit: int | None) -> None:
    """Look into the model of a run, print the probes, write the page."""
    with Bars(console.progress) as bars:
        found, page = features(folder, data, out=out, limit=limit, reporter=bars)
    for place in found.sounding.places:
        told = f"{place.accuracy.value:.1%} ({words.interval(place.accuracy)})"
        line = f"after {place.place}, depth {place.depth}: {told}"
        console.out.print(line, markup=False, highlight=False, soft_wrap=True)
    console.out.print(f"page: {page}", markup=False, highlight=False, soft_wrap=True)


def sentence(path: Path, found: Explanation) -> str:
    """One image's answer in a line."""
    answer = f"{path}: {found.prediction.label} {found.prediction.confidence:.1%}"
    return f"{answer}, and it is {found.truth}" if found.wrong else answer


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """Pictures under each other."""
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet
