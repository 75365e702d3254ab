"""The C++ program beside an ONNX export, compiled with ONNX Runtime's headers and run with the library of its wheel."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepenough.data.decode import framed
from deepenough.frameworks.export import Export
from deepenough.frameworks.folder import write_folder
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import Conv, Flatten, GlobalAvgPool, Network
from deepenough.preprocessing import Preprocessing

pytestmark = [pytest.mark.frameworks, pytest.mark.xdist_group("onnx in C++"), pytest.mark.timeout(900)]
VARIABLE = "ONNXRUNTIME_INCLUDE"
HEADERS_PACKAGE = "com.github.asus4.onnxruntime@0.4.9"
"""A package on npm that has the C++ headers of ONNX Runtime (150 MB). Its wheels and its own packages have none."""
COLOUR = Preprocessing((24, 20), mean=(0.5,) * 3, std=(0.2,) * 3)
FRAMINGS = {
    "covering": COLOUR,
    "cut": replace(COLOUR, shorter=31, interpolation="bicubic"),
    "covering with less": replace(COLOUR, shorter=22, order="BGR"),
    "grey": Preprocessing((28, 28), mean=(0.5,), std=(0.2,)),
}
NAMES = ("naïve 😀", 'two "words" \\', "line\nbreak")
SIZES = ((130, 90), (41, 77), (20, 24), (9, 8), (64, 64), (640, 9))
FRAMED = r"""
#define main predict
#include "predict.cpp"
#undef main
int main(int count, char** words) { // picture and file of pixels, again and again
  for (int i = 1; i + 1 < count; i += 2) {
    const Picture made = framed(read(words[i]));
    std::ofstream file(words[i + 1], std::ios::binary);
    file.write(reinterpret_cast<const char*>(made.data.data()), made.data.size());
  }
}
"""


@pytest.fixture(scope="session")
def headers(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `onnxruntime_cxx_api.h`: the one that the environment names, or of the package on npm."""
    if given := os.environ.get(VARIABLE):
        return Path(given)
    assert pytestconfig.cache is not None
    kept = pytestconfig.cache.mkdir("onnxruntime-headers")
    if (kept / "onnxruntime_cxx_api.h").is_file():
        return kept
    npm, folder = shutil.which("npm"), tmp_path_factory.mktemp("headers")
    instead = f"name the folder of onnxruntime_cxx_api.h in {VARIABLE}"
    if npm is None:
        pytest.skip(f"ONNX Runtime's headers can't be fetched without npm; {instead}")
    words = [npm, "pack", "--silent", HEADERS_PACKAGE]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch ONNX Runtime's headers in 300 s; {instead}")
    if done.returncode:
        pytest.skip(f"npm can't fetch ONNX Runtime's headers ({done.stderr.strip()[-200:]}); {instead}")
    (archive,) = folder.glob("*.tgz")
    with tarfile.open(archive) as opened:
        members = [each for each in opened if "/ios-arm64/" in each.name and each.name.endswith(".h") and each.isfile()]
        for each in sorted(members, key=lambda member: member.name.endswith("cxx_api.h")):  # whose presence says: all
            content = opened.extractfile(each)
            assert content is not None
            (kept / Path(each.name).name).write_bytes(content.read())
    archive.unlink()
    return kept


@pytest.fixture(scope="session")
def compiler(headers: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words that compile a source and link it with the library of ONNX Runtime's wheel, as the program says."""
    found = shutil.which("c++")
    if found is None or not (origin := getattr(importlib.util.find_spec("onnxruntime"), "origin", None)):
        pytest.skip("no C++ compiler is installed, or no ONNX Runtime")
    library = next(iter(Path(origin).parent.glob("capi/libonnxruntime.so.*")), None)
    if library is None:
        pytest.skip("the wheel of ONNX Runtime has no library to link with")
    folder = tmp_path_factory.mktemp("lib")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # as a release has it
        (folder / name).symlink_to(library)
    words = ["-I", str(headers), "-L", str(folder), "-lonnxruntime", f"-Wl,-rpath,{folder}"]
    return [found, "-std=c++17", "-Wall", *words]


def tiny(wanted: Preprocessing) -> Export:
    """A network whose logits are mixed means of the channels."""
    network = Network("tiny", (wanted.channels, *wanted.size), (Conv(3, 1), GlobalAvgPool(), Flatten()))
    weight = np.random.default_rng(1).normal(size=(3, wanted.channels, 1, 1)).astype(np.float32)
    return Export.of(network, {"conv.weight": weight, "conv.bias": np.float32([0.1, 0.2, 0.3])}, wanted, NAMES)


def pictures(folder: Path) -> list[Path]:
    random = np.random.default_rng(0)
    files = []
    for width, height in SIZES:
        picture = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        files += [folder / f"{width}.ppm", folder / f"{width}.pgm"]
        picture.save(files[-2])
        picture.convert("L").save(files[-1])
    return files


def compiled(compiler: list[str], folder: Path, source: str) -> Path:
    first, *options = compiler
    program = folder / Path(source).stem
    words = [first, source, *options, "-o", str(program)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    assert "predict.cpp" not in done.stderr, done.stderr  # no warnings of ours
    return program


@pytest.mark.parametrize("framing", list(FRAMINGS))
def test_it_sees_the_same_pixels_and_says_the_same(framing: str, compiler: list[str], tmp_path: Path) -> None:
    import onnxruntime

    wanted, export = FRAMINGS[framing], tiny(FRAMINGS[framing])
    write_folder(export, TARGETS["onnx"], tmp_path, trained=True, reading_side=10_000)
    files = pictures(tmp_path)
    (tmp_path / "framed.cpp").write_text(FRAMED)
    jobs = [word for file in files for word in (str(file), f"{file}.framed")]
    subprocess.run([compiled(compiler, tmp_path, "framed.cpp"), *jobs], check=True)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    shares = {}
    for file in files:
        ours = framed(file, wanted)
        seen = np.frombuffer(Path(f"{file}.framed").read_bytes(), np.uint8).reshape(ours.shape)
        # Pillow 13 begins with the columns of some upright pictures, and rounds between the two passes.
        assert np.abs(seen.astype(int) - ours).max() <= (file.stem == "41" or file.stem == "20")
        (logits,) = session.run(["logits"], {"images": seen.transpose(2, 0, 1)[None].copy()})
        shares[str(file)] = np.exp(logits[0]) / np.exp(logits[0]).sum()
    words = [compiled(compiler, tmp_path, "predict.cpp"), tmp_path / "model.onnx", *files, tmp_path / "none.ppm"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == f"{tmp_path / 'none.ppm'}: can't be opened"
    names = [" ".join(name.split()) for name in NAMES]
    for file, line in zip(files, done.stdout.splitlines(), strict=True):
        order = np.argsort(-shares[str(file)], kind="stable")
        expected = "  ".join(f"{names[place]} {shares[str(file)][place]:.1%}" for place in order)
        assert line.strip() == f"{file}: {expected}"


def test_mistakes_are_said(compiler: list[str], tmp_path: Path) -> None:
    write_folder(tiny(COLOUR), TARGETS["onnx"], tmp_path, trained=True, reading_side=10_000)
    program = compiled(compiler, tmp_path, "predict.cpp")
    given = {
        "short.ppm": (b"P6 9 9 255\nabc", "ends too soon"),
        "deep.ppm": (b"P6 9 9 65535\n", "not of 8 bits"),
        "text.ppm": (b"P3 9 9 255\n", "no binary PPM (P6) or PGM (P5) file"),
        "huge.ppm": (b"P6 999999 9 255\n", "damaged header"),
        "commented.ppm": (b"P6 # 5 5\n#\n2 1\n255\nabcdef", ""),
    }
    for name, (content, message) in given.items():
        (tmp_path / name).write_bytes(content)
        done = subprocess.run([program, "model.onnx", name], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == bool(message)
        assert done.stderr.strip() == (f"{name}: {message}" if message else "")
        assert done.stdout.startswith("" if message else f"{name}: ")
    done = subprocess.run([program, "none.onnx", "a.ppm"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("none.onnx: ")
    assert "usage" in subprocess.run([program], capture_output=True, text=True, check=False).stderr
