"""Prepared images of a folder, and their findings, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepenough.data.images import Images, prepare
from deepenough.data.sources import open_source


def ready(root: Path, cache: Path, **options: Any) -> Images:
    return prepare(open_source(root), cache=cache, **options)


def kinds(images: Images) -> dict[str, set[str]]:
    """The names of images by the kinds of what was found about them."""
    found: dict[str, set[str]] = {}
    for finding in images.findings:
        found.setdefault(finding.kind, set()).add(finding.name)
    return found
