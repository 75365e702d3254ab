"""SVHN's cropped digits: `train_32x32.mat` and `test_32x32.mat` (Netzer et al. 2011)."""

from __future__ import annotations

from pathlib import Path

from deepenough.data.sources.array_files import ArrayFiles, ArrayPart, damaged
from deepenough.data.sources.matlab import read_matlab
from deepenough.data.split import TEST, TRAIN

FILES = {"train_32x32.mat": TRAIN, "test_32x32.mat": TEST}


class Svhn(ArrayFiles):
    """The two files of a folder. The 531,131 easier digits of `extra_32x32.mat` are not used."""

    mirror = False

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.is_dir() and all((path / file).is_file() for file in FILES)

    @classmethod
    def open(cls, given: str) -> Svhn:
        return cls(Path(given))

    def __init__(self, path: Path, name: str = "") -> None:
        parts = []
        for file, split in FILES.items():
            found = read_matlab(path / file, ("X", "y"))
            pixels, labels = found["X"], found["y"].reshape(-1)
            if pixels.ndim != 4:
                raise damaged(path / file, f"X with the shape (H, W, 3, N), not {pixels.shape}")
            if int(labels.max(initial=1)) > 10 or int(labels.min(initial=1)) < 1:
                raise damaged(path / file, "y from 1 to 10")
            parts.append(ArrayPart(file, pixels.transpose(3, 0, 1, 2), labels % 10, split))  # 10 stands for 0
        super().__init__(path, name, parts, "0123456789")
