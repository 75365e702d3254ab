"""What the layers see, as a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from seen_page import Seen, english_left

from deepenough import DeepenoughError, load, record
from deepenough.cli.app import cli
from deepenough.data.decode import framed
from deepenough.data.images import Images
from deepenough.evaluation.metrics import accuracy
from deepenough.explain.features import describe_probes, filter_sheet, show_features
from deepenough.model import save_model
from deepenough.nets import FAMILIES
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.probing.probe import probe_weights


def test_the_page_shows_filters_patches_and_probes(finished: Path, tmp_path: Path) -> None:
    words = ["features", str(finished), "--out", str(tmp_path / "seen")]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "seen" / "features.json").read_text())
    made = record.load(finished)
    unseen = sum(made.data.counts["validation"]) + sum(made.data.counts["test"])
    assert found["probing"]["images"] == unseen
    places = found["probing"]["probes"]
    assert len(places) == result.output.count("after ")
    assert places[-1]["accuracy"]["value"] > 1 / 3
    for each in found["patches"]:
        assert Image.open(tmp_path / "seen" / each["picture"]).size[0] > 100
    page = (tmp_path / "seen" / "features.html").read_text()
    assert page.count("data:image/png;base64,") == 1 + len(found["patches"])
    best = max(places, key=lambda place: place["accuracy"]["value"])
    assert f"A linear probe does best after {best['place']} (depth {best['depth']})" in page
    for unseen_by_anyone in ("edges", "parts", "Edges", "Sees", "What"):
        assert f"{unseen_by_anyone} " not in page.partition("<h2>What excites")[0]


def test_other_images_and_a_model_alone(finished: Path, shapes: Path, tmp_path: Path) -> None:
    found, _ = show_features(finished / "model", shapes, out=tmp_path)
    assert found.probing.images == 180
    with pytest.raises(DeepenoughError, match="give the DATA"):
        show_features(finished / "model", out=tmp_path)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_images_are_decoded_as_the_model_decodes_them(
    mode: str, shapes_in: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Colour images for a model that sees grey, and the other way round; a damaged one is left out, as ever."""
    data, channels = shapes_in(tmp_path / "data", 20), 1 if mode == "RGB" else 3
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        large = Image.open(path).convert(mode).resize((300, 200))
        large.save(path.with_suffix(".jpg")) if number % 2 else large.save(path)
        if number % 2:
            path.unlink()
    (data / "cross" / "broken.png").write_bytes(b"\x89PNG and nothing more")
    network = FAMILIES["residual"].network((channels, 16, 16), 3, depth=6)
    preprocess = Preprocessing((16, 16), mean=(0.5,) * channels, std=(0.2,) * channels)
    save_model(tmp_path / "model", network, build(network).state_dict(), preprocess, ("a", "b", "c"))
    kept: list[Images] = []
    monkeypatch.setattr(
        "deepenough.explain.features.probe_weights",
        lambda weights, images, *more, **options: (
            kept.append(images) or probe_weights(weights, images, *more, **options)
        ),
    )
    found, page = show_features(tmp_path / "model", data, out=tmp_path / "seen")
    assert found.probing.images == 60
    assert page.is_file()
    for row in range(60):
        expected = framed(data / kept[0].names[row], preprocess)
        np.testing.assert_array_equal(kept[0].pixels[row], expected)


def test_fewer_images_of_the_run_itself(finished: Path, tmp_path: Path) -> None:
    found, _ = show_features(finished, out=tmp_path, limit=9)
    made = record.load(finished).data.counts
    assert found.probing.images == min(9, sum(made["validation"])) + min(9, sum(made["test"]))
    assert found.images == f"{found.probing.images} images that the model was not trained on"
    with pytest.raises(DeepenoughError, match="limit 2: give at least 3"):
        show_features(finished, out=tmp_path, limit=2)


@pytest.mark.parametrize(
    ("rights", "told"),
    [
        (
            [50, 70, 90],
            "does best after place2 (depth 3): it is right on 90.0% of the images. From the first place, "
            "place0 (depth 1, 50.0%), to there it rises by 40.0 points.",
        ),
        (
            [50, 90, 60],
            "does best after place1 (depth 2): it is right on 90.0% of the images. From the first place, "
            "place0 (depth 1, 50.0%), to there it rises by 40.0 points. From there to the end, place2 "
            "(depth 3, 60.0%), it falls by 30.0 points (95% interval 25.0 to 35.0).",
        ),
        (
            [92, 91, 90],
            "does best after place0 (depth 1): it is right on 92.0% of the images. From there to the end, "
            "place2 (depth 3, 90.0%), it falls by 2.0 points (95% interval -3.0 to 7.0, so perhaps by chance).",
        ),
        (
            [90, 80, 90],
            "does best after place0 (depth 1): it is right on 90.0% of the images. At the end, place2 "
            "(depth 3, 90.0%), it is no better.",
        ),
        ([70], "does best after place0 (depth 1): it is right on 70.0% of the images."),
    ],
)
def test_what_is_said_follows_from_the_numbers(rights: list[int], told: str) -> None:
    places = [
        record.schema.Probe(
            place=f"place{number}",
            depth=number + 1,
            parameters=1,
            macs=1,
            milliseconds=1.0,
            accuracy=accuracy(right, 100),
            difference=(rights[-1] - right) / 100,
            low=(rights[-1] - right - 5) / 100,
            high=(rights[-1] - right + 5) / 100,
            ruled_out=False,
        )
        for number, right in enumerate(rights)
    ]
    assert describe_probes(places) == f"A linear probe {told}"


def test_filters_are_the_weights(finished: Path) -> None:
    model = load(finished)
    sheet = np.asarray(filter_sheet(model))
    first = next(iter(model.module.state_dict().values())).numpy()[0]
    tile = sheet[:44, :44].astype(float) / 255
    shown = (first - first.min()) / (first.max() - first.min())
    step = 44 / first.shape[-1]
    at = (np.arange(first.shape[-1]) * step + step / 2).astype(int)
    np.testing.assert_allclose(tile[np.ix_(at, at)], shown.transpose(1, 2, 0), atol=1 / 254)


def test_the_page_in_chinese(finished: Path, tmp_path: Path) -> None:
    found, page = show_features(finished, out=tmp_path, language="zh")
    seen = Seen(page.read_text(encoding="utf-8"))
    assert seen.tag == "zh-Hans"
    names = [found.model, found.probing.network, *(probe.place for probe in found.probing.probes)]
    assert english_left(seen, names) == []
    assert "not trained on" in found.images, "the record is English"
