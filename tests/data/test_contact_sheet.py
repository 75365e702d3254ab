from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepenough.data.augment import Augment, apply
from deepenough.data.contact_sheet import contact_sheet, enlarge
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError


def test_enlarge_writes_originals_and_versions_of_training_images(two_classes: Path, tmp_path: Path) -> None:
    images = prepare(open_source(two_classes), size=(16, 24), cache=tmp_path / "cache")
    out, seen = tmp_path / "out", []
    policy = Augment(rotation=20, mixup=1.0)
    count = enlarge(images, policy, 2, out, 0, progress=lambda done, total: seen.append((done, total)))
    files = sorted(out.rglob("*.png"))
    assert len(files) == count == 3 * len(images.split.train)
    assert seen[-1] == (count, count)
    originals = {np.asarray(Image.open(file)).tobytes() for file in out.rglob("*-0.png")}
    assert originals == {images.pixels[row].tobytes() for row in images.split.train}
    # A version is what training sees of the image alone (a drawn rotation may be near 0, so it need not differ).
    expected = set()
    for row in images.split.train:
        one = torch.from_numpy(np.array(images.pixels[row : row + 1])).permute(0, 3, 1, 2) / 255
        changed, _ = apply(Augment(rotation=20), one, torch.ones(1, 1), seed=0, epoch=1, index=[row])
        expected.add((changed[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy().tobytes())
    assert {np.asarray(Image.open(file)).tobytes() for file in out.rglob("*-2.png")} == expected
    assert len(expected - originals) > 0.8 * len(images.split.train)
    with pytest.raises(DeepenoughError, match="empty"):
        enlarge(images, policy, 2, out, 0)


def test_contact_sheet_shows_originals_first(two_classes: Path, tmp_path: Path) -> None:
    images = prepare(open_source(two_classes), size=16, cache=tmp_path / "cache")
    same = contact_sheet(images, Augment(), seed=0, rows=4, columns=3)
    assert same.tobytes() == contact_sheet(images, Augment(), seed=0, rows=4, columns=3).tobytes()
    assert same.size == (3 * 102 + 12, 4 * 120 + 6)
    moved = contact_sheet(images, Augment(rotation=90, mixup=1.0), seed=0, rows=4, columns=3)
    assert moved.crop((0, 0, 102, 486)).tobytes() == same.crop((0, 0, 102, 486)).tobytes()
    assert moved.tobytes() != same.tobytes()
