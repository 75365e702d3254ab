"""Programs in other languages beside an export: they see the pixels that `predict.py` sees."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepenough.data.decode import framed
from deepenough.frameworks.export import Export
from deepenough.frameworks.folder import write_folder
from deepenough.frameworks.source import cpp_literal, kotlin_literal, rendered, swift_literal
from deepenough.frameworks.target import absent
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import Conv, Flatten, GlobalAvgPool, Network
from deepenough.preprocessing import Preprocessing

PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
import { framed, CLASSES } from "./predict.mjs";
for (const { width, height, file } of JSON.parse(readFileSync(0))) {
  const data = readFileSync(file);
  writeFileSync(`${file}.framed`, framed({ width, height, data }));
}
console.log(JSON.stringify(CLASSES));
"""
COLOUR = Preprocessing((24, 20), mean=(0.5,) * 3, std=(0.2,) * 3)
FRAMINGS = {
    "covering": COLOUR,
    "cut": replace(COLOUR, shorter=31, interpolation="bicubic"),
    "covering with less": replace(COLOUR, shorter=22),
    "grey": Preprocessing((28, 28), mean=(0.5,), std=(0.2,)),
}
NAMES = ("naïve", 'two "words"', "line\nbreak")


@pytest.mark.parametrize("framing", list(FRAMINGS))
def test_javascript_sees_the_same_pixels(framing: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or absent(TARGETS["onnx"].packages):
        pytest.skip("Node or ONNX is not installed")
    wanted = FRAMINGS[framing]
    network = Network("tiny", (wanted.channels, *wanted.size), (Conv(3, 1), GlobalAvgPool(), Flatten()))
    state = {"conv.weight": np.ones((3, wanted.channels, 1, 1), np.float32), "conv.bias": np.zeros(3, np.float32)}
    write_folder(Export.of(network, state, wanted, NAMES), TARGETS["onnx"], tmp_path, trained=True, reading_side=10_000)
    (tmp_path / "program.mjs").write_text(PROGRAM)
    random = np.random.default_rng(0)
    jobs = []
    for width, height in ((130, 90), (41, 77), (20, 24), (9, 8), (64, 64), (640, 9)):
        picture = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        picture.save(tmp_path / f"{width}.png")
        file = tmp_path / f"{width}.rgba"
        file.write_bytes(picture.convert("RGBA").tobytes())
        jobs.append({"width": width, "height": height, "file": str(file)})
    done = subprocess.run(
        [node, str(tmp_path / "program.mjs")], input=json.dumps(jobs), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == list(NAMES)
    for job in jobs:
        seen = np.frombuffer(Path(f"{job['file']}.framed").read_bytes(), np.uint8)
        ours = framed(tmp_path / f"{job['width']}.png", wanted)
        # Pillow 13 begins with the columns of some upright pictures, and rounds between the two passes.
        assert np.abs(seen.reshape(ours.shape).astype(int) - ours).max() <= (job["height"] > job["width"])


@pytest.mark.parametrize("framing", list(FRAMINGS))
def test_swift_is_given_the_sizes(framing: str) -> None:
    """No compiler of Swift is here: that brackets close, and that the formula, in Python, gives our frame."""
    wanted = FRAMINGS[framing]
    network = Network("tiny", (wanted.channels, *wanted.size), (Conv(3, 1), GlobalAvgPool(), Flatten()))
    values = TARGETS["coreml"].predict_values(Export.of(network, {}, wanted, NAMES))
    height, width = wanted.size
    text = rendered(
        "predict.swift", target="coreml", title="Core ML", version="1", height=height, width=width, **values
    )
    code = "\n".join(line.partition("//")[0] for line in text.splitlines())
    assert all(code.count(opening) == code.count(closing) > 0 for opening, closing in ("()", "[]", "{}"))
    for sides in ((400, 100), (100, 400), (130, 90), wanted.size[::-1]):
        assert swift_box(text, *sides) == pytest.approx(wanted.box(*sides)), sides


SNIPPETS = ("predict.kt", "predict.swift")


@pytest.mark.parametrize("framing", list(FRAMINGS))
@pytest.mark.parametrize("file", SNIPPETS)
def test_what_is_for_phones_has_the_models_own_numbers(file: str, framing: str) -> None:
    """No compiler of Kotlin or Swift is here: that brackets close, and that every number is this model's."""
    wanted = FRAMINGS[framing]
    network = Network("tiny", (wanted.channels, *wanted.size), (Conv(3, 1), GlobalAvgPool(), Flatten()))
    target, export = TARGETS["litert"], Export.of(network, {}, wanted, NAMES)
    values = target.predict_values(export)
    (height, width), channels = wanted.size, wanted.channels
    shape = {"height": height, "width": width, "channels": channels}
    text = rendered(file, target="litert", title=target.title, version="1", **shape, **values)
    code = "\n".join(line.partition("//")[0] for line in text.splitlines())
    assert all(
        code.count(opening) == code.count(closing) > 0 for opening, closing in ("()", "[]", "{}") if opening in code
    )
    found = dict(re.findall(r"\b(height|width|channels|shorter)(?:side)?(?:: double)? = (\d+)", code.lower()))
    assert found == {key: str(value) for key, value in {**shape, "shorter": values["shorter"]}.items()}
    assert values["shorter"] == (31 if framing == "cut" else 0)
    assert f"{list(wanted.mean)}) / {list(wanted.std)}" in text
    assert ("channels in RGB" in text, "19595" in text) == (channels == 3, channels == 1)
    assert all(f"    {name},\n" in text for name in ('"naïve"', r'"two \"words\""', '"line break"'))
    assert "model.tflite" in text
    assert text.rstrip() + "\n" == text
    assert "neither compiled nor run" in text
    assert file in target.snippets
    assert any(f"`{file}`" in note and "no compiler" in note for note in values.get("notes", target.notes))


@pytest.mark.parametrize("framing", list(FRAMINGS))
def test_kotlin_scales_no_more_than_is_seen(framing: str) -> None:
    """The part of an image that is drawn, and its place, by the lines that compute them."""
    wanted = FRAMINGS[framing]
    network = Network("tiny", (wanted.channels, *wanted.size), (Conv(3, 1), GlobalAvgPool(), Flatten()))
    export, (high, wide) = Export.of(network, {}, wanted, NAMES), wanted.size
    values = {"version": "1", "height": high, "width": wide, "channels": wanted.channels}
    text = rendered("predict.kt", target="litert", title="LiteRT", **values, **TARGETS["litert"].predict_values(export))
    assert "createScaledBitmap" not in text
    for sides in ((400, 100), (100, 400), (130, 90), (9, 8), (150_000, 8), (8, 150_000), wanted.size[::-1]):
        part, place = kotlin_part(text, *sides)
        seen = wanted.box(*sides)
        for axis, (side, shown) in enumerate(zip(sides, (wide, high), strict=True)):
            start, end = part[axis], part[axis + 2]
            scale = (place[axis + 2] - place[axis]) / (end - start)
            assert 0 <= start < end <= side
            # The centre is cut out at whole pixels of the scaled image, whose sides are rounded.
            assert place[axis] <= 0 < shown <= place[axis + 2] + 1e-9, sides
            assert start - place[axis] / scale == pytest.approx(seen[axis], abs=1.1 / scale), sides
            assert end - start <= seen[axis + 2] - seen[axis] + 6 + 2 / scale, sides


def test_names_are_literals_of_kotlin_and_swift() -> None:
    assert kotlin_literal('a $b\\ "c"\n\x01') == r'"a \$b\\ \"c\" \u0001"'
    assert kotlin_literal("\U000e0067") == r'"\udb40\udc67"'  # it takes four digits only
    assert swift_literal("\U000e0067") == r'"\u{e0067}"'
    assert swift_literal('a $b\\ "c"\n\x01') == r'"a $b\\ \"c\" \u{1}"'


def swift_box(text: str, width: float, height: float) -> tuple[float, ...]:
    """The frame by the lines of the program that compute it, which Python reads as Swift does."""
    known = {"width": width, "height": height, "min": min, "max": max}
    for name in ("shorterSide", "covering", "scale", "share"):
        (formula,) = re.findall(rf"^ *let {name}(?:: Double)? = (.*?)(?: //.*)?$", text, re.MULTILINE)
        known[name] = eval(formula, {"__builtins__": {}}, known)
    across, down = known["share"]
    return (1 - across) / 2 * width, (1 - down) / 2 * height, (1 + across) / 2 * width, (1 + down) / 2 * height


def kotlin_part(text: str, width: int, height: int) -> tuple[list[int], list[float]]:
    """The part of an image that a program draws, and its place, by its lines, which Python reads as Kotlin does."""
    known: dict[str, Any] = {"image": SimpleNamespace(width=width, height=height), "width": width, "height": height}
    known |= {
        "max": max,
        "minOf": min,
        "floor": math.floor,
        "ceil": math.ceil,
        "rounded": lambda x: math.floor(x + 0.5),
    }
    lines = re.findall(r"^(?:const|   ) val (\w+) = ([^/\n]+(?:/ [^/\n]+)*?)(?: //.*)?$", text, re.MULTILINE)
    formulas = {name: re.sub(r"\((\w+ \* scale)\)\.roundToInt\(\)", r"rounded(\1)", line) for name, line in lines}
    names = ("HEIGHT", "WIDTH", "SHORTER", "covering", "scale", "wide", "high", "across", "down", "x", "y")
    edges = ("left", "top", "right", "bottom")
    for name in (*names, *edges):
        formula = formulas[name].replace(".toInt()", "")
        known[name] = eval(formula.replace(" / 2", " // 2"), {"__builtins__": {}}, known)
    (place,) = re.findall(r"RectF\((.*?),\n    \)", text, re.DOTALL)
    found = eval(f"[{place.replace('.toFloat()', '')}]", {"__builtins__": {}}, known)
    return [known[name] for name in edges], found


@pytest.mark.parametrize("name", [*NAMES, "??=1", "%s\x01", "\\u0041"])
def test_a_literal_of_cpp_is_the_name_on_one_line(name: str) -> None:
    literal = cpp_literal(name)
    assert literal.isascii()
    assert literal.isprintable()
    read = literal[1:-1].encode().decode("unicode_escape").encode("latin-1").decode()  # octal escapes mean the same
    assert read == " ".join(name.split())
