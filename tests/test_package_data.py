"""The files that a wheel takes along."""

from __future__ import annotations

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "deepenough"


def test_every_file_beside_the_modules_is_package_data() -> None:
    """A template or a catalogue that no pattern matches would be missing for all who install a wheel."""
    listed = subprocess.run(["git", "ls-files", "src"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git repository")
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = patterns["tool"]["setuptools"]["package-data"]["deepenough"]
    files = [Path(line) for line in listed.stdout.splitlines() if not line.endswith(".py")]
    inside = [(ROOT / file).relative_to(PACKAGE).as_posix() for file in files]
    assert any(name.endswith("zh.json") for name in inside)

    def taken(name: str, pattern: str) -> bool:
        return name.count("/") == pattern.count("/") and fnmatch(name, pattern)

    assert [name for name in inside if not any(taken(name, pattern) for pattern in patterns)] == []
