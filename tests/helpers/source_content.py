"""Files whose content is their path, and what a source makes of them, for tests."""

from __future__ import annotations

from pathlib import Path

from deepenough.data.sources import Source


def place(root: Path, *paths: str) -> Path:
    """Write files whose content is their path."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(path.encode())
    return root


def content(source: Source) -> dict[str, tuple[str, int]]:
    """The class and split of each image, by its name."""
    rows = zip(source.names, source.labels, source.splits, strict=True)
    return {name: (source.classes[label], int(split)) for name, label, split in rows}
