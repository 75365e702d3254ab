"""The programs of `docs/howto/frameworks.md`, run as they stand there in the folder of an export."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_cases import skip_where_absent

import deepenough
from deepenough.weights.read import read_weights

pytestmark = pytest.mark.xdist_group("export howto")
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "frameworks.md"
SECTIONS = dict(
    re.findall(r"^## ([^:\n]+).*?\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
)


def program(section: str, number: int, language: str = "python") -> str:
    return re.findall(rf"^```{language}\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)[number]


def started(folder: Path, words: list[str], given: str = "") -> str:
    """What a program prints that is started in a folder."""
    scripts = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    done = subprocess.run(
        words, cwd=folder, input=given, capture_output=True, text=True, check=False, env=os.environ | {"PATH": scripts}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_program(folder: Path, section: str, number: int = 0, given: str = "") -> str:
    (folder / "program.py").write_text(program(section, number), encoding="utf-8")
    return started(folder, [sys.executable, "program.py"], given)


@pytest.fixture
def exported(finished: Path, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, list[int]]:
    """The folder of an export with images and labels, and our answers for these images."""
    target = request.param
    skip_where_absent(target)
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    folder = deepenough.export(run, target).folder
    model = deepenough.load(run)
    channels, *size = model.network.input
    images = np.random.default_rng(0).integers(0, 256, (9, *size, channels), dtype=np.uint8)
    answers = [model.classes.index(each.classes[0]) for each in model.predict(images)]
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", (np.array(answers) + 1) % len(model.classes))
    return folder, answers


def for_target(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exported", [name], indirect=True)


def check_comes_back(folder: Path, before: str, after: str) -> None:
    """What was trained there is read again, of the same network, with other weights."""
    old, new = read_weights(folder / before), read_weights(folder / after)
    assert new.network == old.network
    moved = [key for key, tensor in new.state.items() if not np.array_equal(tensor, old.state[key])]
    assert any(key.startswith("classifier.") for key in moved)
    assert any("conv" in key for key in moved)


@pytest.mark.frameworks
@for_target("keras")
def test_keras_goes_on_training(exported: tuple[Path, list[int]]) -> None:
    folder, _ = exported
    assert "loss" in run_program(folder, "Keras")
    check_comes_back(folder, "model.keras", "fine-tuned.keras")


@pytest.mark.frameworks
@for_target("paddle")
def test_paddle_dynamically_and_statically(exported: tuple[Path, list[int]]) -> None:
    folder, answers = exported
    assert numbers(run_program(folder, "PaddlePaddle", 1).partition("\n")[2]) == answers
    assert "loss" in run_program(folder, "PaddlePaddle")
    check_comes_back(folder, "weights.pdparams", "fine-tuned.pdparams")
    assert (folder / "fine-tuned.pdiparams").is_file()


@pytest.mark.frameworks
@for_target("tensorflow")
def test_a_saved_model_in_its_own_tools(exported: tuple[Path, list[int]]) -> None:
    folder, answers = exported
    show, run = (shlex.split(line) for line in program("TensorFlow", 0, "sh").splitlines())
    shown = started(folder, show)
    assert "inputs['images']" in shown
    assert "outputs['logits']" in shown
    started(folder, [*(word.replace("$PWD", str(folder)) for word in run), "--outdir", "out"])
    assert np.load(folder / "out" / "logits.npy").argmax(1).tolist() == answers


@pytest.mark.frameworks
@for_target("litert")
def test_a_phones_interpreter(exported: tuple[Path, list[int]]) -> None:
    folder, answers = exported
    assert numbers(run_program(folder, "LiteRT")) == answers[:3]


@pytest.mark.frameworks
@for_target("ncnn")
def test_ncnn_answers_and_shows_what_is_inside(exported: tuple[Path, list[int]]) -> None:
    folder, answers = exported
    assert numbers(run_program(folder, "ncnn")) == answers[:3]
    *_, last = inside = run_program(folder, "ncnn", 1).splitlines()
    written = (folder / "model.param").read_text(encoding="utf-8").splitlines()[2:]
    assert len(inside) >= len(written) > 5
    assert any(line.startswith("Convolution ") for line in inside)
    classes = len(json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["classes"])
    assert last.endswith(f"logits ({classes},)")


@pytest.mark.frameworks
@for_target("coreml")
def test_core_ml_packages_become_smaller(exported: tuple[Path, list[int]]) -> None:
    """The lines for macOS are not run: they have to name what is there."""
    import coremltools

    folder, _ = exported
    run_program(folder, "Core ML")
    small, whole = (weights_of(folder / f"model{kind}.mlpackage") for kind in ("-int8", ""))
    assert small < 0.6 * whole
    description = coremltools.utils.load_spec(str(folder / "model.mlpackage")).description
    on_mac = program("Core ML", 1)
    assert [each.name for each in description.input] == ["images"]
    assert description.predictedFeatureName == "classLabel"
    assert 'predict({"images": ' in on_mac
    assert on_mac.rstrip().endswith('["classLabel"])')
    assert "func classify(_ image: CGImage, " in (folder / "predict.swift").read_text(encoding="utf-8")
    assert "model file: URL" in (folder / "predict.swift").read_text(encoding="utf-8")
    assert "classify(image, model: file)" in program("Core ML", 0, "swift")


def weights_of(package: Path) -> int:
    return sum(path.stat().st_size for path in package.rglob("weight.bin"))


@pytest.mark.frameworks
@for_target("torch")
def test_a_module_in_a_debugger(exported: tuple[Path, list[int]]) -> None:
    folder, _ = exported
    seen = run_program(folder, "PyTorch", given="p images.shape\nb Normalise.forward\nc\nn\np x.dtype\nc\n")
    assert "(Pdb) torch.Size([1, 3," in seen
    assert "(Pdb) torch.float32" in seen
    assert "classifier (9, " in run_program(folder, "PyTorch", 1)
    check_comes_back(folder, "weights.safetensors", "fine-tuned.safetensors")


@pytest.mark.frameworks
@for_target("caffe")
def test_caffe_finds_what_the_command_names(exported: tuple[Path, list[int]]) -> None:
    """The files themselves are parsed in test_metadata.py."""
    folder, _ = exported
    words = shlex.split(program("Caffe", 0, "sh"))
    assert all((folder / word).is_file() for word in words if word.endswith((".prototxt", ".caffemodel")))


def test_the_programs_are_the_same_in_chinese() -> None:
    blocks = [
        re.findall(r"^```.*?^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        for page in (PAGE, PAGE.with_name("frameworks.zh.md"))
    ]
    assert blocks[0] == blocks[1]


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\b\d+\b", text)]
