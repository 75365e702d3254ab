"""Measuring on a made-up ImageNet: labels, crops, errors, and which published figures may stand beside them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from deepenough.data.finding import PassedOver
from deepenough.errors import DeepenoughError
from deepenough.evaluation import imagenet_table as module
from deepenough.evaluation.imagenet_images import Labelled, labelled_images
from deepenough.evaluation.imagenet_table import (
    Errors,
    ImageNetResult,
    chosen_weights,
    comparable_figures,
    imagenet_table,
    measure_imagenet,
    not_comparable,
    notes,
    scaled,
    ten_crops,
    to_json,
    wrong,
)
from deepenough.nets import Conv, Dense, GlobalAvgPool, Network, Relu
from deepenough.nets.build import build
from deepenough.nets.zoo.published import PUBLISHED
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.weights import Weights
from deepenough.weights.imagenet import wordnet_ids
from deepenough.weights.names import NAMED

SMALL = Preprocessing((24, 24), 28)
PLACES = (0, 5, 999)


def picture(seed: int, size: tuple[int, int] = (40, 32)) -> Image.Image:
    draws = np.random.default_rng(seed)
    coarse = Image.fromarray(draws.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def some_weights(name: str = "mine", given: Preprocessing = SMALL, seed: int = 0) -> Weights:
    network = Network("narrow", (3, *given.size), (Conv(8, 5, 2), Relu(), Conv(16), GlobalAvgPool(), Dense(1000)))
    state = {key: 3 * value for key, value in build(network, seed).state_dict().items()}
    return Weights(name, "torchvision", network, state, given, "00" * 32)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Seven images of three classes in folders, and a damaged one."""
    for number in range(7):
        folder = tmp_path / "val" / wordnet_ids()[PLACES[number % 3]]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number, (40 + number, 32 + 3 * number)).save(folder / f"ILSVRC2012_val_{number + 1:08}.JPEG")
    (tmp_path / "val" / wordnet_ids()[0] / "ILSVRC2012_val_00000099.JPEG").write_bytes(b"\xff\xd8\xffbroken")
    return tmp_path / "val"


class Told(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.mark.parametrize("size", [(40, 32), (32, 45), (28, 28), (300, 200), (30, 29)])
def test_ten_crops_are_those_of_a_plain_reading_of_the_paper(size: tuple[int, int]) -> None:
    """Against crops by Pillow: the four corners, the centre, then the same of the mirror image."""
    seen = SMALL
    image = picture(1, size)
    ours = ten_crops(scaled(image, seen), seen.size)
    short = min(size)
    resized = image.resize(tuple(int(28 * side / short) for side in size), Image.Resampling.BILINEAR)
    theirs = []
    for one in (resized, resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
        right, down = one.width - 24, one.height - 24
        corners = [(0, 0), (right, 0), (0, down), (right, down), (round(right / 2), round(down / 2))]
        theirs += [np.asarray(one.crop((x, y, x + 24, y + 24))) for x, y in corners]
    np.testing.assert_array_equal(ours, np.stack(theirs))


def test_the_centre_is_that_of_predict_to_less_than_a_pixel() -> None:
    seen = SMALL
    smooth = Image.linear_gradient("L").resize((90, 64)).convert("RGB")
    ours, predicts = ten_crops(scaled(smooth, seen), seen.size)[4], seen.frame(smooth)
    step = 256 / 28  # grey levels a pixel
    assert np.abs(ours.astype(int) - predicts.astype(int)).max() < step


def test_an_image_that_just_covers_the_crop() -> None:
    seen = replace(SMALL, shorter=None)
    assert scaled(picture(1, (100, 50)), seen).shape == (24, 48, 3)
    assert scaled(picture(1, (50, 100)).convert("L"), seen).shape == (48, 24, 3)
    wide = replace(seen, size=(24, 40), shorter=26)
    assert ten_crops(scaled(picture(1, (50, 50)), wide), wide.size).shape == (10, 24, 40, 3)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_errors_are_those_of_a_slow_account(folders: Path, order: str) -> None:
    """Every image by itself, the network called on each crop alone, everything counted by hand."""
    given = replace(SMALL, order=order, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    weights = some_weights(given=given)
    told = Told()
    (found,) = measure_imagenet(folders, [weights], device="cpu", reporter=told)
    module = build(weights.network)
    module.load_state_dict(dict(weights.state))
    module.eval()
    seen = given
    counts = {"single": [0, 0], "ten": [0, 0]}
    images = labelled_images(folders)
    for path, label in zip(images.paths, images.labels, strict=True):
        if "00000099" in path.name:
            continue
        opened = Image.open(path)
        ten = ten_crops(scaled(opened, seen), seen.size)
        crops = {"single": ten[4:5], "ten": ten}
        for kind, pixels in crops.items():
            outputs = []
            for crop in pixels:
                values = crop[:, :, ::-1] if order == "BGR" else crop
                normal = (values / 255.0 - np.array(given.mean)) / np.array(given.std)
                tensor = torch.tensor(normal.transpose(2, 0, 1)[None], dtype=torch.float32)
                with torch.no_grad():
                    outputs.append(module(tensor).softmax(1)[0].numpy())
            ranked = list(np.argsort(-np.mean(outputs, axis=0)))
            counts[kind][0] += ranked[0] != label
            counts[kind][1] += label not in ranked[:5]
    assert found.images == 7
    assert found.classes == 3
    assert [found.single.wrong1, found.single.wrong5] == counts["single"]
    assert [found.ten.wrong1, found.ten.wrong5] == counts["ten"]
    assert len(found.left_out) == 1
    assert "00000099" in found.left_out[0]
    assert f"left out: {found.left_out[0]}" in told.lines
    assert any("each image shorter side 28, centre 24x24" in line for line in told.lines)


def test_images_that_are_kept_are_normalised_for_each_network(folders: Path) -> None:
    """Two that see the same of an image, with other means: to the first all images are dark, to the second bright."""
    network = Network("bright", (3, 24, 24), (GlobalAvgPool(), Dense(1000)))
    state = {key: torch.zeros_like(value) for key, value in build(network).state_dict().items()}
    state["dense.weight"][5] = 9.0
    given = [replace(SMALL, mean=(mean,) * 3, std=(1.0,) * 3) for mean in (1.0, 0.0)]
    weights = [Weights("mine", "torchvision", network, state, each, "00" * 32) for each in given]
    dark, bright = measure_imagenet(folders, weights, device="cpu")
    assert (dark.single.wrong1, bright.single.wrong1) == (4, 5)  # of 7, where 3 are of class 0 and 2 of class 5


def test_a_network_that_knows_the_answer(folders: Path) -> None:
    """A bias on one class: its images are right, the others wrong, with one crop as with ten."""
    weights = some_weights()
    bias = next(key for key, value in weights.state.items() if value.shape == (1000,))
    state = {key: torch.zeros_like(value) for key, value in weights.state.items()}
    state[bias][5] = 9.0
    (found,) = measure_imagenet(folders, [replace(weights, state=state)], device="cpu")
    assert found.single == found.ten == Errors(7, 5, 2)  # equal ones rank by place: 5, 0, 1, 2, 3
    error, low, high = found.single.percent(1)
    assert error == pytest.approx(500 / 7)
    assert (low, high) == (
        pytest.approx(29.042, abs=0.001),
        pytest.approx(96.331, abs=0.001),
    )  # Clopper-Pearson, 5 of 7


def test_images_are_decoded_once_for_all_networks(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    inner = module.upright
    monkeypatch.setattr(module, "upright", lambda path: read.append(path) or inner(path))
    grey = replace(SMALL, mean=(0.5,) * 3, std=(0.5,) * 3)
    weights = [some_weights("a"), some_weights("b", grey), some_weights("c")]
    found = list(measure_imagenet(folders, weights, device="cpu"))
    assert [entry.weights for entry in found] == ["a", "b", "c"]
    assert len(read) == 8
    assert found[0] == replace(found[2], weights="a")
    monkeypatch.setattr(module, "KEPT", 0)
    assert list(measure_imagenet(folders, [some_weights("a")], device="cpu")) == found[:1]


def test_only_one_network_is_in_memory(folders: Path) -> None:
    made = []

    def lazily() -> Any:
        for name in "ab":
            made.append(name)
            yield some_weights(name)

    results = measure_imagenet(folders, lazily(), device="cpu")
    next(results)
    assert made == ["a"]


def test_a_part_is_drawn_evenly() -> None:
    labels = tuple([0] * 10 + [1] * 10 + [2] * 2)
    images = Labelled(tuple(Path(f"{n}") for n in range(22)), labels)
    part = images.limited(8, 0)
    assert sorted(part.labels) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert part == images.limited(8, 0)
    assert part != images.limited(8, 1)
    assert [labels[int(path.name)] for path in part.paths] == list(part.labels)
    assert images.limited(22, 0) is images.limited(None, 0) is images
    with pytest.raises(DeepenoughError, match="limit 0"):
        images.limited(0, 0)


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    folder = tmp_path / "flat"
    folder.mkdir()
    for number in (1, 2, 3):
        picture(number).save(folder / f"ILSVRC2012_val_{number:08}.JPEG")
    return folder


NAMES = [f"ILSVRC2012_val_{number:08}.JPEG" for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("val.txt", [f"{NAMES[0]} 999", f"{NAMES[1]} 0", f"{NAMES[2]} 5"]),
        ("val.csv", ["filename,label", f"val/{NAMES[0]},n15075141", f"{NAMES[1]},n01440764", f"{NAMES[2]},5"]),
        (
            "LOC_val_solution.csv",
            [
                "ImageId,PredictionString",
                "ILSVRC2012_val_00000001,n15075141 85 1 499 272",
                "ILSVRC2012_val_00000002,n01440764 1 2 3 4 n01440764 5 6 7 8",
                f"ILSVRC2012_val_00000003,{wordnet_ids()[5]} 1 2 3 4",
            ],
        ),
    ],
)
@pytest.mark.parametrize("beside", [False, True])
def test_label_files(flat: Path, file: str, lines: list[str], beside: bool) -> None:
    (flat / "LICENSE.txt").write_text("some words\n")
    ((flat.parent if beside else flat) / file).write_text("\n".join(lines) + "\n")
    images = labelled_images(flat)
    assert [path.name for path in images.paths] == NAMES
    assert images.labels == (999, 0, 5)


def test_images_are_told_by_content_and_what_is_passed_over_is_counted(folders: Path) -> None:
    """Whatever their names end in: JPEGs without an ending, a PNG called .tif, a TGA, which has no signature."""
    place = folders / wordnet_ids()[0]
    before = set(labelled_images(folders).paths)
    added = {place / name for name in ("bare", "named.tif", "old.tga", "deeper/in.jpg")}
    (place / "deeper").mkdir()
    for path, kind in zip(sorted(added), ("JPEG", "JPEG", "PNG", "TGA"), strict=True):
        picture(1).save(path, kind)
    (place / "notes.jpg").write_text("no picture\n")
    (place / "page.JPEG").write_text("<html></html>")
    (place / ".hidden.jpg").write_bytes((place / "bare").read_bytes())
    (folders / "other").mkdir()
    (folders / "loose.jpg").write_bytes((place / "bare").read_bytes())
    passed = PassedOver()
    assert set(labelled_images(folders, passed).paths) == before | added
    names = {name: finding for finding in passed.findings() for name in finding.name.split(", ")}
    id_ = wordnet_ids()[0]
    assert set(names) == {"notes.jpg", "page.JPEG", "other", "loose.jpg", f"{id_}/.hidden.jpg"}
    told = Told()
    list(measure_imagenet(folders, [some_weights()], device="cpu", reporter=told))
    assert sum(line.startswith("passed over: ") for line in told.lines) == len(passed.findings())


def test_files_beside_flat_images_are_counted(flat: Path) -> None:
    lines = [f"{name} {label}" for name, label in zip(NAMES, (999, 0, 5), strict=True)]
    (flat / "val.txt").write_text("\n".join(lines))
    (flat / "LICENSE.txt").write_text("some words\n")
    (flat / "readme.md").write_text("# words\n")
    passed = PassedOver()
    assert labelled_images(flat, passed).labels == (999, 0, 5)
    assert sorted(finding.name for finding in passed.findings()) == ["LICENSE.txt", "readme.md"]


def test_the_devkits_own_numbers_need_its_table(flat: Path) -> None:
    from scipy.io import savemat

    (flat / "ILSVRC2012_validation_ground_truth.txt").write_text("490\n1\n361\n")
    with pytest.raises(DeepenoughError, match=r"not in the order of the WordNet ids.*meta\.mat"):
        labelled_images(flat)
    numbers = {490: "n15075141", 1: "n01440764", 361: wordnet_ids()[5], 1001: "n00001740"}
    rows = np.zeros(len(numbers), dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")])
    for place, (number, wordnet_id) in enumerate(numbers.items()):
        rows[place] = (number, wordnet_id, "words")
    savemat(flat / "meta.mat", {"synsets": rows.reshape(-1, 1)})
    assert labelled_images(flat).labels == (999, 0, 5)


def test_folders_that_are_none(flat: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match=r"3 images without labels; expected class folders"):
        labelled_images(flat)
    (flat / "val.txt").write_text(f"{NAMES[0]} 999\n{NAMES[1]} 3\n")
    with pytest.raises(DeepenoughError, match=f"no label for 1 of the images.*{NAMES[2]}"):
        labelled_images(flat)
    (flat / "val.txt").write_text(f"{NAMES[0]} 1000\n")
    with pytest.raises(DeepenoughError, match="line 1: label '1000'"):
        labelled_images(flat)
    with pytest.raises(DeepenoughError, match="it has the folders flat; give the one"):
        labelled_images(tmp_path)
    with pytest.raises(DeepenoughError, match="no such folder"):
        labelled_images(tmp_path / "nowhere")
    (tmp_path / "other" / "n00000001").mkdir(parents=True)
    with pytest.raises(DeepenoughError, match="n00000001 is not among"):
        labelled_images(tmp_path / "other")


def test_weights_of_other_classes(folders: Path) -> None:
    weights = some_weights()
    with pytest.raises(DeepenoughError, match="mine has 7 classes"):
        list(measure_imagenet(folders, [replace(weights, network=weights.network.with_classes(7))]))


def test_ranks() -> None:
    probabilities = np.tile(np.linspace(0.1, 0.9, 9, dtype=np.float32), (3, 1))
    assert wrong(probabilities, [8, 4, 3]) == (2, 1)
    probabilities[0, 0] = np.nan
    with pytest.raises(DeepenoughError, match="not finite"):
        wrong(probabilities, [8, 4, 3])


def measured(name: str, network: str, source: str = "torchvision") -> ImageNetResult:
    errors = Errors(1000, 300, 100)
    wanted = Preprocessing((224, 224), 256)
    return ImageNetResult(name, source, network, 50, wanted, "ab" * 32, 1000, 1000, errors, errors, ())


TORCHVISION = [measured(f"{name}.tv_in1k", NAMED[f"{name}.tv_in1k"].network) for name in PUBLISHED]


@pytest.mark.parametrize("entry", TORCHVISION, ids=lambda entry: entry.weights)
def test_every_published_figure_is_beside_its_like_or_has_a_reason(entry: ImageNetResult) -> None:
    figures = list(PUBLISHED[entry.published_as or ""].figures)
    beside = [*comparable_figures(entry, 1), *comparable_figures(entry, 10)]
    alone = not_comparable(entry)
    assert sorted(map(repr, (*beside, *(figure for figure, _ in alone)))) == sorted(map(repr, figures))
    assert [figure.source.split("'")[0] for figure in beside] == ["torchvision"]  # its own single-crop, first weights
    assert comparable_figures(entry, 10) == []
    assert all(len(reason) > 20 for _, reason in alone)
    text = "\n".join(notes([entry]))
    for figure, reason in alone:
        assert f"{figure.top5:g} ({figure.source}; {figure.protocol})" in text
        assert reason in text


def test_reasons() -> None:
    reasons = {
        (entry.published_as, figure.top5): reason for entry in TORCHVISION for figure, reason in not_comparable(entry)
    }
    assert "ILSVRC-2010" in reasons["alexnet", 17.0]
    assert "never released" in reasons["alexnet", 18.2]
    assert "without crops" in reasons["vgg16", 8.1]
    assert "other weights" in reasons["vgg16", 9.9]
    assert "no top-1" in reasons["googlenet", 10.07]
    assert "another variant, googlenet" in reasons["googlenet", 11.1]
    assert "ResNet-50's" in reasons["resnet34", 7.46]
    assert "stride in the first 1x1" in reasons["resnet50", 6.71]
    assert reasons["resnet50", 4.57] == "it is for other weights, resnet50.tv2_in1k"


def test_the_release_for_caffe_has_the_papers_figures() -> None:
    entry = measured("ResNet-50-model.caffemodel", "resnet50", "caffe")
    assert [figure.top5 for figure in comparable_figures(entry, 10)] == [6.71]
    assert [figure.top5 for figure in comparable_figures(entry, 1)] == [7.8]
    strange = measured("mine", "squeezenet1_1")
    assert (strange.published_as, comparable_figures(strange, 1), not_comparable(strange)) == (None, [], [])


def test_the_table_and_its_json() -> None:
    console = Console(width=220, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(imagenet_table(TORCHVISION))
    text = console.export_text()
    assert text.count("30.00 (27.17 to 32.95)") == 16  # 8 networks, 1 and 10 crops
    assert "23.87 / 7.14 (torchvision)" in text
    assert "1,000 images of 1,000 classes; published figures are for all 50,000" in text
    assert "Not comparable:" in text
    content = json.loads(json.dumps(to_json(TORCHVISION)))
    assert content[0]["single_crop"]["top1"]["error"] == 30.0
    assert content[0]["single_crop"]["published"][0]["top1"] == 43.48
    assert content[0]["ten_crop"]["published"] == []
    assert all(figure["why_not"] for entry in content for figure in entry["not_comparable"])


def test_which_weights_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "load_weights", lambda name, **_: asked.append(name))
    list(chosen_weights(["torchvision", "timm", "resnet50.tv_in1k", "some/file.pth"]))
    timm = [f"resnet{depth}.a1_in1k" for depth in (34, 50, 101, 152)]
    assert asked == [*(f"{name}.tv_in1k" for name in PUBLISHED), *timm, "some/file.pth"]
