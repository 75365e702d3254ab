"""What the layers see, as a page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from deepenough import DeepenoughError, load, record
from deepenough.cli import cli
from deepenough.explain.features import features, filters


def test_the_page_shows_filters_patches_and_probes(finished: Path, tmp_path: Path) -> None:
    words = ["features", str(finished), "--out", str(tmp_path / "seen")]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "seen" / "features.json").read_text())
    made = record.load(finished)
    unseen = sum(made.data.counts["validation"]) + sum(made.data.counts["test"])
    assert found["sounding"]["images"] == unseen
    places = found["sounding"]["places"]
    assert len(places) == result.output.count("after ")
    assert places[-1]["accuracy"]["value"] > 1 / 3
    for each in found["patches"]:
        assert Image.open(tmp_path / "seen" / each["picture"]).size[0] > 100
    page = (tmp_path / "seen" / "features.html").read_text()
    assert page.count("data:image/png;base64,") == 1 + len(found["patches"])


def test_other_images_and_a_model_alone(finished: Path, shapes: Path, tmp_path: Path) -> None:
    found, _ = features(finished / "model", shapes, out=tmp_path)
    assert found.sounding.images == 180
    with pytest.raises(DeepenoughError, match="give the DATA"):
        features(finished / "model", out=tmp_path)


def test_filters_are_the_weights(finished: Path) -> None:
    model = load(finished)
    sheet = np.asarray(filters(model))
    first = next(iter(model.module.state_dict().values())).numpy()[0]
    tile = sheet[:44, :44].astype(float) / 255
    shown = (first - first.min()) / (first.max() - first.min())
    step = 44 / first.shape[-1]
    at = (np.arange(first.shape[-1]) * step + step / 2).astype(int)
    np.testing.assert_allclose(tile[np.ix_(at, at)], shown.transpose(1, 2, 0), atol=1 / 254)
