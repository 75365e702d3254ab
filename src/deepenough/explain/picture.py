"""Drawing explanations: panels side by side, and bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from deepenough.attribution.overlay import overlay
from deepenough.errors import DeepenoughError
from deepenough.fonts import can_draw, fitting, font
from deepenough.language import Language, language_of_locale

HEIGHT, WIDEST = 280, 420  # of a panel (pixels)
GAP, LINE = 12, 22
BARS = 300  # width of the bars' panel
SAMPLES = {Language.ENGLISH: "a", Language.CHINESE: "中"}
INK, PALE, BAR, RIGHT, WRONG = "#1c1e21", "#6b7280", "#4c78a8", "#2f855a", "#b83232"


def drawable(language: str | None) -> Language:
    """The language of a picture's words: that asked for, or that of the locale where this machine has its letters.

    Raises DeepenoughError where it has none of those asked for.
    """
    if language is None:
        by_locale = language_of_locale()
        return by_locale if can_draw(SAMPLES[by_locale]) else Language.ENGLISH
    if not can_draw(SAMPLES[Language(language)]):
        raise DeepenoughError(
            f"--language {language}: no font on this machine has Chinese letters for a picture; install one "
            "(fonts-noto-cjk on Debian and Ubuntu), or take --language en"
        )
    return Language(language)


@dataclass(frozen=True)
class Panel:
    """A picture with a caption, perhaps heat over that part of it which the network saw, and notes under it."""

    image: Image.Image
    caption: str
    heat: npt.NDArray[np.float32] | None = None
    box: tuple[float, float, float, float] | None = None
    notes: tuple[str, ...] = ()


def draw(panels: Sequence[Panel], bars: Sequence[tuple[str, float]], truth: str | None = None) -> Image.Image:
    """The panels side by side, then the classes with their probabilities; an RGB picture."""
    pictures = [sized(panel) for panel in panels]
    widths = [
        max(picture.width, *(min(round(font(note, 14).getlength(note)) + 1, WIDEST) for note in panel.notes), 0)
        for picture, panel in zip(pictures, panels, strict=True)
    ]
    height = max(picture.height + len(panel.notes) * LINE for picture, panel in zip(pictures, panels, strict=True))
    height = max(height, len(bars) * 2 * LINE)
    width = sum(width + GAP for width in widths) + BARS + GAP
    sheet = Image.new("RGB", (GAP + width, height + LINE + 2 * GAP), "white")
    pen, left = ImageDraw.Draw(sheet), GAP
    for picture, panel, wide in zip(pictures, panels, widths, strict=True):
        pen.text((left, GAP), fitting(panel.caption, 14, wide), fill=INK, font=font(panel.caption, 14))
        sheet.paste(picture, (left, GAP + LINE))
        for number, note in enumerate(panel.notes):
            under = GAP + LINE + picture.height + number * LINE + 4
            pen.text((left, under), fitting(note, 14, wide), fill=PALE, font=font(note, 14))
        left += wide + GAP
    for number, (label, probability) in enumerate(bars):
        top = GAP + LINE + number * 2 * LINE
        colour = BAR if truth is None else RIGHT if label == truth else WRONG if number == 0 else BAR
        share = f"{100 * probability:.1f}%"
        pen.text((left, top), fitting(label, 14, BARS - 60), fill=INK, font=font(label, 14))
        pen.text((left + BARS, top), share, fill=PALE, font=font(share, 14), anchor="ra")
        pen.rectangle((left, top + 20, left + BARS, top + 28), fill="#e5e7eb")
        if probability > 0.002:
            pen.rectangle((left, top + 20, left + round(BARS * probability), top + 28), fill=colour)
    return sheet


def sized(panel: Panel) -> Image.Image:
    """A panel's picture, as large as panels are: small images are enlarged without smoothing."""
    scale = min(HEIGHT / panel.image.height, WIDEST / panel.image.width)
    size = max(round(panel.image.width * scale), 1), max(round(panel.image.height * scale), 1)
    how = Image.Resampling.NEAREST if scale > 2 else Image.Resampling.LANCZOS
    picture = panel.image.resize(size, how).convert("RGB")
    if panel.heat is not None:
        box = panel.box or (0, 0, *panel.image.size)
        over = overlay(panel.heat, size, tuple(scale * edge for edge in box))  # type: ignore[arg-type]
        picture.paste(over, (0, 0), over)
    return picture
