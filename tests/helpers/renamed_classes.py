"""Models that differ from others in the names of their classes."""

from pathlib import Path

from deepenough.files import write_sums
from deepenough.model import FILES


def rename_classes(folder: Path, old: str, new: str) -> None:
    """Rename the classes of a model that begin with `old`; it stays whole, with its checksums."""
    path = folder / "preprocess.json"
    path.write_text(path.read_text().replace(f'"{old}', f'"{new}'))
    write_sums(folder, FILES)
