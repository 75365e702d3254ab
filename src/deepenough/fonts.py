"""Words in pictures."""

from __future__ import annotations

from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Fonts with Chinese, Japanese and Korean letters, as Debian, Fedora, Windows and macOS call them.
WIDE = (
    "NotoSansCJK-Regular.ttc",
    "wqy-zenhei.ttc",
    "NotoSansCJKsc-Regular.otf",
    "msyh.ttc",
    "PingFang.ttc",
    "Hiragino Sans GB.ttc",
)
WESTERN = 0x0250  # letters below are in Pillow's own font


def font(text: str, size: int) -> Font:
    """Pillow's own font, or one of this machine's where the text has letters that it lacks."""
    return (_wide(size) if any(ord(letter) >= WESTERN for letter in text) else None) or ImageFont.load_default(size)


@cache
def _wide(size: int) -> Font | None:
    for name in WIDE:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


def can_draw(text: str) -> bool:
    """Tell if a font has the letters of a text: Pillow's own, or one of this machine's with Chinese letters."""
    return all(ord(letter) < WESTERN for letter in text) or _wide(12) is not None


def fitting(text: str, size: int, width: int) -> str:
    """The text, cut where it is wider than `width` pixels."""
    letters = font(text, size)
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
