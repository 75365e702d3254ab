"""What is written for TensorFlow.js, run by TensorFlow.js itself: in Node on two back ends, and in a browser's page."""

from __future__ import annotations

import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_cases import CASES, REPRESENTATIVES, export_of, pixels_of, wanted_of
from PIL import Image

from deepenough.frameworks.export import Export
from deepenough.frameworks.folder import write_folder
from deepenough.frameworks.target import DIFFERENCE
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.tfjs import TfjsGraph
from deepenough.nets import Conv, Dense, GlobalAvgPool, Group, Network, Relu, Sum

pytestmark = pytest.mark.timeout(900)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
VERSION = "4.22.0"
PACKAGES = [f"@tensorflow/{name}@{VERSION}" for name in ("tfjs", "tfjs-backend-wasm")]
BACKENDS = ("cpu", "wasm")
COUNT = 3
"""How many images are run on each back end, which in Node takes a second for the largest network here."""

PROGRAM = """
import { readFileSync, writeFileSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import "@tensorflow/tfjs-backend-wasm";

let seen = [];
async function loadGraphModel(model) { // as ever, and keeps the logits that predict.mjs makes probabilities of
  const network = await tf.loadGraphModel(model);
  const predict = (images) => {
    const logits = network.predict(images);
    seen.push(Array.from(logits.dataSync()));
    return logits;
  };
  return { predict };
}
globalThis.tf = { ...tf, loadGraphModel };
const answers = [];
for (const { folder, width, height, files, backend } of JSON.parse(readFileSync(0))) {
  await tf.setBackend(backend);
  const { load, CLASSES } = await import(`${folder}/predict.mjs`);
  const classify = await load();
  seen = [];
  const best = [];
  const before = tf.memory().numTensors;
  for (const file of files) best.push(await classify({ width, height, data: readFileSync(file) }));
  const left = tf.memory().numTensors - before;
  answers.push({ backend: tf.getBackend(), logits: seen, best, left, classes: CLASSES });
}
writeFileSync(process.argv[2], JSON.stringify(answers));
"""


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which Node finds TensorFlow.js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm, which TensorFlow.js is run by, are not installed")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"private": true}')
    words = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", *PACKAGES]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not fetch {', '.join(PACKAGES)} in 300 s")
    if done.returncode:
        pytest.skip(f"npm can't install {', '.join(PACKAGES)}: {done.stderr.strip().splitlines()[-1]}")
    return folder / "node_modules"


def written(export: Export, folder: Path) -> Path:
    write_folder(export, TARGETS["tfjs"], folder, trained=True, reading_side=64)
    return folder


def job(folder: Path, pixels: np.ndarray, backend: str) -> dict[str, Any]:
    """The images as a canvas has them."""
    files = []
    for number, image in enumerate(pixels):
        files.append(folder / f"{number}.rgba")
        files[-1].write_bytes(Image.fromarray(image.squeeze()).convert("RGBA").tobytes())
    height, width = pixels.shape[1:3]
    given = {"folder": folder, "width": width, "height": height, "files": files, "backend": backend}
    return json.loads(json.dumps(given, default=str))  # type: ignore[no-any-return]


def in_node(node_modules: Path, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    program, answers = node_modules.parent / "program.mjs", node_modules.parent / "answers.json"
    program.write_text(PROGRAM)
    words = [shutil.which("node") or "node", str(program), str(answers)]
    done = subprocess.run(words, input=json.dumps(jobs), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(answers.read_text())  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def answered(node_modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], dict[str, Any]]:
    """What TensorFlow.js says of each network; one process runs them all."""

    @functools.cache
    def everything() -> dict[tuple[str, str], dict[str, Any]]:
        root, asked, jobs = tmp_path_factory.mktemp("tfjs"), [], []
        for name in REPRESENTATIVES:
            network = CASES[name]()
            folder = written(export_of(name, network), root / name)
            for backend in BACKENDS:
                asked.append((name, backend))
                jobs.append(job(folder, pixels_of(network, COUNT), backend))
        return dict(zip(asked, in_node(node_modules, jobs), strict=True))

    return lambda name, backend: everything()[name, backend]


@pytest.mark.frameworks
@pytest.mark.xdist_group("tfjs in node")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_javascript_predicts_the_same(answered: Callable[[str, str], dict[str, Any]], name: str, backend: str) -> None:
    network, answer = CASES[name](), answered(name, backend)
    wanted = wanted_of(name, network, pixels_of(network, COUNT))
    found = np.array(answer["logits"]).reshape(wanted.shape)
    assert answer["backend"] == backend
    assert np.abs(found - wanted).max() < DIFFERENCE * np.abs(wanted).max()
    assert answer["left"] == 0, "tensors that nobody has let go of"
    for row, best in zip(wanted, answer["best"], strict=True):
        shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        assert best[0]["name"] == answer["classes"][row.argmax()]
        assert [each["probability"] for each in best] == pytest.approx(sorted(shares, reverse=True), abs=1e-3)


@pytest.mark.frameworks
@pytest.mark.xdist_group("tfjs in node")
def test_half_precision_and_several_files_of_weights(node_modules: Path, tmp_path: Path) -> None:
    stack = (Conv(64, 3, 2), Relu(), Conv(512, 3, 2), Conv(512, 3), GlobalAvgPool(), Dense(10))
    network = Network("large", (3, 16, 12), stack)
    pixels = pixels_of(network, COUNT)
    sizes, found = {}, {}
    for precision, count in (("float32", 3), ("float16", 2)):
        export = replace(export_of("odd", network), precision=precision)
        folder = written(export, tmp_path / precision)
        shards = sorted((folder / "web_model").glob("*.bin"))
        assert [shard.name for shard in shards] == [f"group1-shard{n + 1}of{count}.bin" for n in range(count)]
        sizes[precision] = sum(shard.stat().st_size for shard in shards)
        (answer,) = in_node(node_modules, [job(folder, pixels, "cpu")])
        found[precision] = np.array(answer["logits"])
    wanted = wanted_of("odd", network, pixels)
    assert sizes["float16"] < 0.51 * sizes["float32"]
    assert np.abs(found["float32"] - wanted).max() < DIFFERENCE * np.abs(wanted).max()
    assert 0 < np.abs(found["float16"] - wanted).max() < 1e-2 * np.abs(wanted).max()


@pytest.mark.frameworks
@pytest.mark.xdist_group("tfjs in node")
def test_the_program_finds_the_package_by_itself(node_modules: Path, tmp_path: Path) -> None:
    folder = written(export_of("relu6", CASES["relu6"]()), tmp_path / "export")
    (folder / "node_modules").symlink_to(node_modules)
    (folder / "use.mjs").write_text(
        'import { load } from "./predict.mjs";\n'
        "const classify = await load();\n"
        "const image = { width: 20, height: 30, data: new Uint8ClampedArray(2400).fill(200) };\n"
        "console.log(JSON.stringify(await classify(image)));\n"
    )
    done = subprocess.run(["node", "use.mjs"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    best = json.loads(done.stdout.splitlines()[-1])
    assert sorted(each["name"] for each in best) == sorted(f"class {number}" for number in range(10))
    assert sum(each["probability"] for each in best) == pytest.approx(1)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server of a folder, as `python -m http.server` is one."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *given: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@contextmanager
def opened(address: str) -> Iterator[Any]:
    """A page in a browser; an error of a program in it is one here."""
    if BROWSER is None:
        pytest.skip("no Chromium is installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--enable-unsafe-swiftshader"])
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        yield page
        browser.close()
    assert not errors


@pytest.mark.frameworks
@pytest.mark.xdist_group("tfjs in node")
def test_the_page_of_the_documentation(node_modules: Path, served: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "howto" / "frameworks.md").read_text(encoding="utf-8")
    (page_text,) = re.findall(r"^```html\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    name = "gates"
    network = CASES[name]()
    written(export_of(name, network), tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "page.html").write_text(page_text)
    pixels = pixels_of(network, 1)
    Image.fromarray(pixels[0]).save(tmp_path / "photo.png")
    with opened(f"{served}/page.html") as page:
        page.wait_for_selector("img[alt]", timeout=60_000)
        answer = page.get_attribute("img", "alt")
    assert answer == f"class {wanted_of(name, network, pixels)[0].argmax()}"


@pytest.mark.frameworks
@pytest.mark.xdist_group("tfjs in node")
def test_the_page_classifies_a_picture(node_modules: Path, served: str, tmp_path: Path) -> None:
    name = "gates"
    network = CASES[name]()
    written(export_of(name, network), tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    pixels = pixels_of(network, 1)
    Image.fromarray(pixels[0]).save(tmp_path / "picture.png")
    with opened(f"{served}/predict.html") as page:
        page.set_input_files("input", tmp_path / "picture.png")
        page.wait_for_selector("li:nth-child(5)", timeout=60_000)
        lines, backend = page.locator("li").all_text_contents(), page.evaluate("tf.getBackend()")
    assert backend in ("webgl", "cpu")
    (row,) = wanted_of(name, network, pixels)
    shares = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
    assert len(lines) == 5
    for line, place in zip(lines, np.argsort(-shares), strict=False):
        class_name, _, share = line.rpartition(" ")
        assert class_name == f"class {place}"
        assert float(share.rstrip("%")) == pytest.approx(100 * shares[place], abs=0.11)


IN_WEBGL = ("odd", "pools", "gates", "tokens", "spread", "norms", "mish", "gelu")
"""Networks with each operator; compiling shaders without a GPU takes seconds for each."""
PREDICT = """async ([name, shape, pixels]) => {
  await tf.setBackend("webgl");
  const model = await tf.loadGraphModel(`${name}/web_model/model.json`);
  const logits = await model.predict(tf.tensor(pixels, shape, "int32")).data();
  return [tf.getBackend(), Array.from(logits)];
}"""


@pytest.mark.frameworks
@pytest.mark.xdist_group("tfjs in node")
def test_webgl_computes_the_same(node_modules: Path, served: str, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules)
    (tmp_path / "page.html").write_text('<script src="node_modules/@tensorflow/tfjs/dist/tf.min.js"></script>')
    with opened(f"{served}/page.html") as page:
        if not page.evaluate('tf.setBackend("webgl")'):
            pytest.skip("this browser has no WebGL")
        for name in IN_WEBGL:
            network = CASES[name]()
            written(export_of(name, network), tmp_path / name)
            pixels = pixels_of(network, 2)
            wanted = wanted_of(name, network, pixels)
            backend, logits = page.evaluate(PREDICT, [name, list(pixels.shape), pixels.ravel().tolist()])
            assert backend == "webgl"
            found = np.array(logits).reshape(wanted.shape)
            assert np.abs(found - wanted).max() < DIFFERENCE * np.abs(wanted).max(), name


def test_names_are_tensorflow_s(tmp_path: Path) -> None:
    """Groups are scopes; nodes are named once, and as TensorFlow allows."""
    inner = Group((Conv(4, name="bgr"), Relu(name="unit")), name="normalise")
    stack = (Conv(4, name="images"), inner, Sum(((Conv(4, name="_x"),), ()), name="_logits"), GlobalAvgPool(), Dense(3))
    graph = TfjsGraph(export_of("odd", Network("taken", (3, 9, 8), stack))).graph
    names = [node["name"] for node in graph.nodes]
    assert len(set(names)) == len(names)
    assert {"images", "logits", "normalise/bgr", "normalise_2/bgr", "layer._logits/main/_x"} <= set(names)
    known = set()
    for node in graph.nodes:
        assert {given.partition(":")[0] for given in node.get("input", [])} <= known
        known.add(node["name"])
