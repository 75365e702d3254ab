"""`deepenough export` as a user meets it: a run in another framework, its script, its proof, and its errors."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from export_cases import RUN_HERE, skip_where_absent
from PIL import Image

import deepenough
from deepenough import DeepenoughError, load
from deepenough.data.decode import framed
from deepenough.data.finding import ImageError
from deepenough.exporting import export as exporting
from deepenough.exporting.export import Exported
from deepenough.frameworks.folder import write_folder
from deepenough.frameworks.target import DIFFERENCE
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import Conv, Flatten, GlobalAvgPool, Network
from deepenough.preprocessing import Preprocessing

Command = Callable[..., tuple[int, str, str]]

pytest.importorskip("cv2", reason="what is written for Caffe is run by OpenCV")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def script(folder: Path, *files: Path) -> tuple[int, str, str]:
    """What the export's own predict.py says, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(folder / "predict.py"), *map(str, files)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def answers(text: str) -> dict[str, list[tuple[str, float]]]:
    """`FILE: class 93.1%  class 4.0% ...` as classes with percentages."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.rpartition(": ")
        found[Path(name).name] = [(c, float(p)) for c, p in re.findall(r"(\S+) ([\d.]+)%", rest)]
    return found


@pytest.fixture
def photos(shapes: Path, tmp_path: Path) -> list[Path]:
    """A large JPEG that lies on its side, a palette PNG, a transparent one, and a plain one."""
    source = sorted(shapes.rglob("*.png"))
    picture = Image.open(source[3]).resize((700, 500))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif, quality=90)
    Image.open(source[70]).quantize(16).save(tmp_path / "palette.png")
    clear = Image.open(source[100]).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(tmp_path / "clear.png")
    shutil.copy(source[150], tmp_path / "plain.png")
    return [tmp_path / name for name in ("turned.jpg", "palette.png", "clear.png", "plain.png")]


def check_script(folder: Path, run: Path, photos: list[Path]) -> None:
    status, out, errors = script(folder, *photos)
    assert status == 0, errors
    assert "not writable" not in errors  # as torch says of pixels that are read-only
    found = answers(out)
    wanted = load(run).predict(photos)
    for photo, prediction in zip(photos, wanted, strict=True):
        rows = found[photo.name]
        assert [name for name, _ in rows] == list(prediction.classes)
        assert [share for _, share in rows] == pytest.approx([100 * p for p in prediction.probabilities], abs=0.11)


def test_a_run_for_caffe(run: Path, command: Command, photos: list[Path], tmp_path: Path) -> None:
    status, out, _ = command("export", run, "--to", "caffe")
    folder = run / "exports" / "caffe"
    assert status == 0
    assert "predicts the same" in out
    assert "validation images of run" in out
    assert f"model: {folder / 'model.caffemodel'}" in out
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "classes.json", "model.caffemodel", "model.prototxt", "network.json", "parity.json", "predict.py",
        "preprocess.json", "solver.prototxt", "train_val.prototxt",
    }  # fmt: skip
    proof = json.loads((folder / "parity.json").read_text())
    assert proof["passed"] is True
    assert [(check["batch"], check["images"]) for check in proof["checks"]] == [(1, 7), (7, 22)]
    for check in proof["checks"]:
        assert 0 < check["largest_relative_difference"] < DIFFERENCE
        assert check["same_top1"] == check["images"]
    about = (folder / "README.md").read_text()
    for name in load(run).classes:
        assert name in about
    assert "less the mean" in about
    check_script(folder, run, photos)
    elsewhere = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    check_script(elsewhere, run, photos)


def in_group(name: str) -> pytest.MarkDecorator:
    """One worker exports for one framework."""
    return pytest.mark.xdist_group(f"export {name}")


@pytest.fixture(scope="session")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Exported]]:
    """A copy of a finished run, and its export to a framework."""

    @cache
    def export(name: str) -> tuple[Path, Exported]:
        run = Path(shutil.copytree(finished, tmp_path_factory.mktemp(name) / "run"))
        return run, deepenough.export(run, name)

    return export


@pytest.mark.frameworks
@pytest.mark.parametrize("name", [pytest.param(name, marks=in_group(name)) for name in RUN_HERE if name != "caffe"])
def test_a_run_in_every_framework(
    name: str, exported: Callable[[str], tuple[Path, Exported]], photos: list[Path]
) -> None:
    skip_where_absent(name)
    run, done = exported(name)
    assert done.passed is True
    assert len(done.skipped) == sum(not runtime.exists_here for runtime in TARGETS[name].runtimes)
    assert done.folder == run / "exports" / name
    assert all((done.folder / file).exists() for file in TARGETS[name].files)
    check_script(done.folder, run, photos)


@pytest.mark.frameworks
@pytest.mark.skipif("coreml" in RUN_HERE, reason="Core ML runs what is written here")
def test_what_no_runtime_here_can_run_is_compared_and_says_so(run: Path, command: Command, tmp_path: Path) -> None:
    skip_where_absent("coreml")
    status, out, errors = command("export", run, "--to", "coreml")
    said = " ".join(out.split())
    assert status == 0, errors
    assert "Core ML: not run, since it exists on macOS only" in said
    assert "written but not run; read back, its operations, their arguments and shapes are the network's" in said
    folder = run / "exports" / "coreml"
    proof = json.loads((folder / "parity.json").read_text())
    assert (proof["passed"], proof["checks"]) == (None, [])
    assert proof["read_back"] == TARGETS["coreml"].read_back
    assert proof["not_checked"] == ["Core ML: not run, since it exists on macOS only"]
    assert "not run: Core ML does not exist where it was written" in (folder / "README.md").read_text()
    status, _, errors = script(folder, tmp_path / "photo.jpg")
    assert status == 1
    assert errors.splitlines()[-1] == "Core ML exists on Apple's systems only: run this on macOS 12 or later"


LOWER = [
    pytest.param(name, option, marks=in_group(name))
    for name, each in TARGETS.items()
    if each.any_network
    for option in ("half", "int8")
    if {"half": "float16"}.get(option, option) not in each.refused
]


@pytest.mark.frameworks
@pytest.mark.parametrize(("name", "option"), LOWER)
def test_lower_precision_is_measured(name: str, option: str, exported: Callable[[str], tuple[Path, Exported]]) -> None:
    if (name, option) == ("torch", "int8"):
        pytest.importorskip("torchao")
    run, full = exported(name)
    done = deepenough.export(run, name, **{option: True})
    assert done.passed is True
    assert done.folder != full.folder
    assert 0 < done.checks[0].difference < 0.2
    assert done.cost is not None
    assert done.cost.images == validation_images(run)
    assert done.cost.lower <= done.cost.difference <= done.cost.upper
    assert done.cost.before - done.cost.after == pytest.approx(done.cost.difference)
    proof = json.loads((done.folder / "parity.json").read_text())
    assert proof["accuracy"]["after"] == done.cost.after

    places = {("torch", "half"): -1, ("openvino", option): -1, ("ncnn", option): 1}
    model = TARGETS[name].files[places.get((name, option), 0)]
    assert size(done.folder / model) < size(full.folder / model)


def size(path: Path) -> int:
    return sum(size(each) for each in path.iterdir()) if path.is_dir() else path.stat().st_size


def validation_images(run: Path) -> int:
    return int(sum(json.loads((run / "record.json").read_text())["data"]["counts"]["validation"]))


def test_what_is_not_the_same_is_renamed_and_fails(
    run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = exporting.parity.run_exports

    def wrong(*given: Any) -> Any:
        ((version, logits),) = honest(*given)
        return [(version, {batch: values[:, ::-1] for batch, values in logits.items()})]

    monkeypatch.setattr(exporting.parity, "run_exports", wrong)
    status, out, _ = command("export", run, "--to", "caffe")
    folder = run / "exports" / "caffe"
    assert status == 1
    assert "FAILED" in out
    assert (folder / "model.caffemodel.failed").is_file()
    assert not (folder / "model.caffemodel").exists()
    assert json.loads((folder / "parity.json").read_text())["passed"] is False


def test_an_engine_of_a_model_that_fails_is_deleted(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")

    def failing(_subject: object, _runtimes: object, folder: Path, *_: object) -> tuple[tuple[()], tuple[()], bool]:
        (folder / "model.plan").write_bytes(b"which predict.py built, and would run")
        return (), (), False

    monkeypatch.setattr(exporting, "_proven", failing)
    done = deepenough.export(run, "tensorrt")
    assert done.model.name == "model.onnx.failed"
    assert not (done.folder / "model.plan").exists()


def test_a_model_that_can_not_be_run_is_an_error(run: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting.parity, "RUNNER", "raise SystemExit('no such engine')")
    status, _, errors = command("export", run, "--to", "caffe")
    assert status == 1
    assert "OpenCV could not run" in errors
    assert "no such engine" in errors
    assert not (run / "exports" / "caffe").exists()
    assert list((run / "exports").iterdir()) == []


def test_a_network_has_random_weights_and_says_so(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "net"
    words = ("export", "residual", "--to", "caffe", "--depth", 9, "--input", "1x28x28", "--classes", 4, "--out", out)
    status, printed, _ = command(*words)
    assert status == 0
    assert "28 random images" in printed
    about = (out / "README.md").read_text()
    assert "not trained" in about
    assert "`(N, 1, 28, 28)`" in about
    status, printed, _ = command(*words, "--json")
    content = json.loads(printed)
    assert content["passed"] is True
    assert content["model"] == str(out / "model.caffemodel")


def test_images_of_ones_own(run: Path, shapes_in: Callable[..., Path], tmp_path: Path) -> None:
    data = shapes_in(tmp_path / "others", 8, first=500)
    done = deepenough.export(run / "model", "caffe", out=tmp_path / "out", data=data)
    assert done.passed
    assert done.source == f"images of {data}"
    model = deepenough.load(run)
    model.classes = ("tench", *model.classes[1:])
    (data / "circle").rename(data / "n01440764")
    assert deepenough.export(model, "caffe", out=tmp_path / "named", data=data).passed
    (data / "n01440764").rename(data / "circle")
    (data / "star").mkdir()
    shutil.copy(next(data.rglob("*.png")), data / "star" / "a.png")
    with pytest.raises(DeepenoughError, match="does not know 'star'"):
        deepenough.export(run, "caffe", out=tmp_path / "out", data=data)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("resnet51", "--to", "caffe"), "'resnet51' is not known; nearest are resnet50"),
        (("resnet50", "--to", "tensorflw"), "is not one of"),
        (("resnet50", "--to", "caffe", "--half"), "--half --to caffe: Caffe 1.0 has no half precision"),
        (("resnet50", "--to", "onnx", "--half", "--int8"), "give one of them"),
        (("resnet50", "--to", "caffe", "--depth", "9"), "resnet50 is one network"),
        (("no/such/run", "--to", "caffe"), "'no/such/run' is not known"),
    ],
)
def test_mistakes(given: tuple[str, ...], words: str, command: Command) -> None:
    status, _, errors = command("export", *given)
    assert status == 2
    assert words in errors
    assert "Traceback" not in errors


def test_a_file_of_weights(run: Path, command: Command, tmp_path: Path) -> None:
    """What was written for Caffe is a file of weights too: read back and written again it is the same."""
    first = deepenough.export(run, "caffe", out=tmp_path / "first").folder
    done = deepenough.export(first / "model.caffemodel", "caffe", out=tmp_path / "second", verify=False)
    assert (done.folder / "model.caffemodel").read_bytes() == (first / "model.caffemodel").read_bytes()
    assert (done.folder / "predict.py").read_text() == (first / "predict.py").read_text()
    status, _, errors = command("export", first / "model.caffemodel", "--to", "caffe", "--network", "vgg16")
    assert status == 2
    assert "is of the network residual-" in errors
    status, _, errors = command("export", run, "--to", "caffe", "--preprocess", "caffe-bgr")
    assert status == 2
    assert "--preprocess: this says what a file of weights is" in errors


def test_what_only_a_network_has_is_refused_for_a_run(run: Path, command: Command) -> None:
    status, _, errors = command("export", run, "--to", "caffe", "--input", "3x32x32")
    assert status == 2
    assert "--input" in errors
    assert "only a network by its name has a choice" in errors


def test_a_runtime_that_is_missing(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporting, "absent", lambda packages: list(packages))
    with pytest.raises(DeepenoughError, match=r"checked with OpenCV.*pip install 'deepenough\[caffe\]'"):
        deepenough.export(run, "caffe")
    done = deepenough.export(run, "caffe", verify=False, out=tmp_path / "out")
    assert done.passed is None
    assert (tmp_path / "out" / "model.caffemodel").is_file()


# What predict.py sees of a picture.

FRAMINGS = {
    "covering": Preprocessing((24, 24), mean=(0.5,) * 3, std=(0.2,) * 3),
    "cut": Preprocessing((24, 20), mean=(0.5,) * 3, std=(0.2,) * 3, shorter=30, interpolation="bicubic"),
    "grey": Preprocessing((28, 28), mean=(0.5,), std=(0.2,)),
}


def scripted(preprocess: Preprocessing, folder: Path) -> ModuleType:
    """The predict.py of a network with this preprocessing, imported."""
    stack = (Conv(3, 1), GlobalAvgPool(), Flatten())
    network = Network("tiny", (preprocess.channels, *preprocess.size), stack)
    state = {"conv.weight": np.ones((3, preprocess.channels, 1, 1), np.float32), "conv.bias": np.zeros(3, np.float32)}
    export = exporting.Export.of(network, state, preprocess, ("a", "b", "c"))
    side = preprocess.reading_side
    write_folder(export, TARGETS["caffe"], folder, trained=True, reading_side=side)
    spec = importlib.util.spec_from_file_location("predict_of_an_export", folder / "predict.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pictures() -> dict[str, bytes]:
    """Files of every kind that Pillow makes of a colourful picture."""
    random = np.random.default_rng(0)
    base = Image.fromarray(random.integers(0, 256, (9, 13, 3), dtype=np.uint8)).resize(
        (130, 90), Image.Resampling.BICUBIC
    )
    grey = base.convert("L")
    clear = base.convert("RGBA")
    clear.putalpha(grey)
    kinds: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "rgb": (base, "PNG", {}),
        "grey": (grey, "PNG", {}),
        "palette": (base.quantize(32), "PNG", {}),
        "grey palette": (grey.quantize(8), "PNG", {}),
        "clear palette": (base.quantize(32), "PNG", {"transparency": 3}),
        "alpha": (clear, "PNG", {}),
        "grey alpha": (clear.convert("LA"), "PNG", {}),
        "bits": (grey.convert("1"), "PNG", {}),
        "sixteen": (Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "PNG", {}),
        "float": (Image.fromarray(np.asarray(grey).astype(np.float32) / 255), "TIFF", {}),
        "cmyk": (base.convert("CMYK"), "JPEG", {"quality": 90}),
        "thin": (base.resize((1300, 9)), "PNG", {}),
        "large": (base.resize((1300, 900)), "JPEG", {"quality": 80}),
    }
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        kinds[f"turned {turn}"] = (base, "JPEG", {"exif": exif})
    files = {}
    for name, (picture, kind, options) in kinds.items():
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        files[name] = buffer.getvalue()
    return files


@pytest.mark.parametrize("framing", list(FRAMINGS))
def test_the_script_sees_the_same_pixels(framing: str, tmp_path: Path) -> None:
    module = scripted(FRAMINGS[framing], tmp_path / "export")
    for name, content in pictures().items():
        path = tmp_path / "picture"
        path.write_bytes(content)
        np.testing.assert_array_equal(module.pixels(path), framed(path, FRAMINGS[framing]), err_msg=name, strict=True)


def with_several_pictures(folder: Path) -> list[Path]:
    """Two pictures in each of the formats that hold more than one."""
    first, second = (Image.new("RGB", (64, 48), colour) for colour in ("red", "blue"))
    files = [folder / f"several.{ending}" for ending in ("gif", "webp", "png", "tiff")]
    for file in files:
        first.save(file, save_all=True, append_images=[second])
    return files


def test_the_script_sees_the_first_picture_of_a_jpeg_with_a_preview(tmp_path: Path) -> None:
    module = scripted(FRAMINGS["covering"], tmp_path / "export")
    file = tmp_path / "photo.mpo"
    first = Image.linear_gradient("L").convert("RGB")
    first.save(file, "MPO", save_all=True, append_images=[first.rotate(90)])
    np.testing.assert_array_equal(module.pixels(file), framed(file, FRAMINGS["covering"]), strict=True)


def test_the_script_goes_on_after_a_bad_file(run: Path, tmp_path: Path, photos: list[Path]) -> None:
    folder = deepenough.export(run, "caffe", verify=False).folder
    (tmp_path / "bad.jpg").write_text("no picture")
    tiny = tmp_path / "tiny.png"
    Image.new("RGB", (300, 2)).save(tiny)
    several = with_several_pictures(tmp_path)
    status, out, errors = script(folder, tmp_path / "bad.jpg", tiny, *several, photos[0])
    assert status == 1
    assert "bad.jpg: " in errors
    assert "turned.jpg: " in out
    refused = dict(line.split(": ", 1) for line in errors.splitlines())
    for file in (tiny, *several):
        with pytest.raises(ImageError) as caught:
            framed(file, load(run).preprocess)
        assert caught.value.kind == ("tiny" if file == tiny else "animated")
        assert refused[str(file)] == str(caught.value)
    assert "python predict.py IMAGE_OR_FOLDER" in script(folder)[2]
