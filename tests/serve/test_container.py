"""The example of an image has what the service needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deepenough.engines import GRAPH_ENGINES
from deepenough.engines.choose import PACKAGES

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "docs" / "serving" / "Dockerfile"

PROGRAM = """
import sys

sys.argv = ["deepenough", "serve"]
allowed, known = set(%r), set(%r)


class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in known and top not in allowed:
            raise ModuleNotFoundError(f"{top} is not in the image", name=top)


sys.meta_path.insert(0, Blocker())

import asyncio
from pathlib import Path

import deepenough.__main__
import deepenough.cli.serve
import deepenough.serve.server
from deepenough.cli.console import Console
from deepenough.serve.access import Access
from deepenough.serve.app import make_app

app = make_app({"photos": Path(%r)}, access=Access(()), engine="onnx")
photo = Path(%r).read_bytes()


async def ask(method, path, body=b"", query=b""):
    told, bodies = {}, []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await asyncio.Event().wait()

    async def send(message):
        told.update(message)
        bodies.append(message.get("body", b""))

    headers = [(b"host", b"localhost"), (b"content-type", b"application/octet-stream")]
    await app({"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
               "headers": headers, "client": ("127.0.0.1", 5)}, receive, send)
    assert told["status"] == 200, (path, told)
    return b"".join(bodies)


async def main():
    async with app.state.models.running():
        for path in ("/", "/docs", "/openapi.json", "/model", "/models", "/metrics", "/health/ready", "/v2"):
            await ask("GET", path)
        for path, query in (("/predict", b""), ("/depths", b""), ("/explain", b""), ("/explain", b"method=occlusion"),
                            ("/explain", b"method=integrated-gradients&view=heat")):
            await ask("POST", path, photo, query)
        await ask("POST", "/reload")
        described = await ask("GET", "/v2/models/photos")
        assert '"platform":"deepenough_onnx"' in described.decode().replace(" ", ""), described


asyncio.run(main())
print("answered")
"""


def installed() -> set[str]:
    """The packages that the image's pip lines name, in normal form."""
    words = re.findall(r"RUN pip install --constraint (.*?)\n(?!    )", DOCKERFILE.read_text(), re.DOTALL)
    return {
        canonicalize_name(word) for line in words for word in line.split()[1:] if re.fullmatch(r"[a-z][a-z0-9-]+", word)
    }


def closure(names: set[str]) -> set[str]:
    """Packages with all that they require, as far as it is installed here."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            needed = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        given = [Requirement(each) for each in needed]
        waiting += [canonicalize_name(r.name) for r in given if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def test_the_image_has_what_the_service_imports(finished: Path, shapes: Path, tmp_path: Path) -> None:
    run = tmp_path / "photos"
    shutil.copytree(finished / "model", run / "model")
    shutil.copy(finished / "record.json", run)
    packages = closure(installed())
    assert {"torch", "fastapi", "uvicorn", *PACKAGES[GRAPH_ENGINES[0]]} <= packages
    assert not {"scikit-learn", "scipy", "pyarrow", "tensorboard"} & packages
    known = packages_distributions()
    allowed = {top for top, names in known.items() if {canonicalize_name(name) for name in names} & packages}
    allowed |= {"deepenough"}
    photo = next(shapes.rglob("*.png"))
    program = PROGRAM % (sorted(allowed), sorted(known), str(run), str(photo))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200)
    assert done.stdout.split()[-1:] == ["answered"], done.stderr[-3000:]


def test_the_copied_files_are_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert copied
    for word in " ".join(copied).split():
        assert (ROOT / word).exists(), word


def test_the_options_of_the_examples_are_the_commands(finished: Path) -> None:
    yaml = pytest.importorskip("yaml")
    from deepenough.cli.serve import serve_command

    known = {option for parameter in serve_command.params for option in parameter.opts}
    deployment, service = yaml.safe_load_all((DOCKERFILE.parent / "kubernetes.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    entry = re.findall(r'"(--[a-z-]+)"', DOCKERFILE.read_text())
    assert entry
    assert {each for each in (*entry, *container["args"]) if each.startswith("--")} <= known
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths == {"/health/live", "/health/ready"}
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
