"""MATLAB's files, of which only plain numbers are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deepenough.data.sources.array_files import damaged


def read_matlab(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """The arrays of whole numbers with these names. Raises the error for a file that lacks one."""
    from scipy.io import loadmat  # slow to import

    expected = f"a MATLAB file with {' and '.join(names)}"
    try:
        found = loadmat(path, variable_names=names)
    except Exception as error:  # a damaged file fails in every way there is
        raise damaged(path, f"{expected} ({type(error).__name__})") from None
    arrays = {name: found.get(name) for name in names}
    for name, array in arrays.items():
        if array is None or getattr(array, "dtype", None) is None or array.dtype.kind not in "ui":
            raise damaged(path, f"{expected}, as whole numbers, and {name} is none")
    return arrays
