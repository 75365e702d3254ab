"""A page as a reader sees or hears it, and the English that is left on a Chinese one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "img", "br", "input", "hr"}
# Terms and names of formats that Chinese texts have in Latin letters, too.
TERMS = {
    "deepenough", "Grad", "CAM", "top", "logits", "epoch", "model", "record", "json", "JSON", "px", "min", "ReLU",
    "sigmoid", "HOG", "SVM", "float", "SGD", "dropout", "ONNX", "ImageNet", "MiB", "GB", "MB", "features", "comparison",
    "LBFGS", "BFGS", "bilinear", "RGB", "RUN",
}  # fmt: skip


WHOLE = "whole"
"""The class of options that a browser does not break behind their hyphens."""


class Seen(HTMLParser):
    """The texts of a page that a reader sees or hears, by the language that they are marked as; and its table cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.figures = ""
        self.tag = ""
        self.goes_on = False  # an option that is kept in one piece does not end a text
        self.feed(text)

    @property
    def language(self) -> str:
        return next((language for _, language in reversed(self.open) if language), "")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.goes_on = given.get("class") == WHOLE
        if tag == "html":
            self.tag = given["lang"] or ""
        self.texts += [(self.language, text) for key in ("alt", "title", "aria-label") if (text := given.get(key))]
        if tag not in VOID:
            kind = f"script {given.get('id', '')}" if tag == "script" else f"{tag} {WHOLE}" if self.goes_on else tag
            self.open.append((kind, given.get("lang") or ""))

    def handle_endtag(self, tag: str) -> None:
        self.goes_on = bool(self.open) and self.open[-1][0] == f"{tag} {WHOLE}"
        while self.open and self.open.pop()[0].split()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = [tag for tag, _ in self.open]
        if "script figures" in inside:
            self.figures += data
        elif data.strip() and not any(tag.startswith(("style", "script")) or tag == "code" for tag in inside):
            before = self.texts.pop()[1] + " " if self.goes_on and self.texts else ""
            self.texts.append((self.language, before + data.strip()))
            self.goes_on = False


def labels(node: Any, key: str = "") -> Iterator[str]:
    """The texts of a figure that are shown."""
    if isinstance(node, dict):
        for name, item in node.items():
            yield from labels(item, name)
    elif isinstance(node, list):
        for item in node:
            yield from labels(item, key)
    elif isinstance(node, str) and key in ("text", "name", "hovertemplate", "customdata", "ticktext"):
        yield node


def english_left(found: Seen, names: Iterable[str] = ()) -> list[str]:
    """The texts of a page and of its figures with words in Latin letters that are no terms, options or `names`."""
    known = TERMS | {word for name in names for word in re.findall(r"[A-Za-z]{2,}", name)}
    figures = json.loads(found.figures).values() if found.figures else ()
    drawn = [text for figure in figures for text in labels(figure)]
    left = []
    for text in [*(text for _, text in found.texts), *drawn]:
        plain = re.sub(r"<br>|%\{.*?\}|<extra></extra>|--\S+(?: [a-z]\w*)?|`[^`]*`", " ", text)
        if not set(re.findall(r"[A-Za-z]{2,}", plain)) <= known:
            left.append(text)
    return left
