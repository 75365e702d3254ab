"""A source without an image that can be used says why."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError


def test_all_too_small(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (6, 7), number).save(tmp_path / "set" / name / f"{number}.png")
    with pytest.raises(
        DeepenoughError, match=r"6 tiny \(a/0\.png: 6 x 7 is under 8 pixels a side\); resize them first"
    ):
        prepare(open_source(tmp_path / "set"), cache=tmp_path / "cache")
    for name in ("a", "b"):
        for number in range(3):
            (tmp_path / "set" / name / f"{number}.png").write_text("text")
    (tmp_path / "set" / "a" / "0.png").write_bytes(b"")
    with pytest.raises(
        DeepenoughError, match=r"5 not-an-image \(a/1\.png: .*; 1 damaged \(a/0\.png: the file is empty"
    ):
        prepare(open_source(tmp_path / "set"), cache=tmp_path / "cache")
