"""Pages against axe-core, in a real browser: the report, the page of the service and one of the lab."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from made_lab_record import lab_record

from deepenough.lab.page import render_experiment
from deepenough.language import speaking
from deepenough.report import write_report
from deepenough.serve.app import make_app
from deepenough.serve.server import listen

axe = pytest.importorskip("axe_playwright_python.sync_playwright")
playwright = pytest.importorskip("playwright.sync_api")

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [pytest.mark.skipif(BROWSER is None, reason="no Chromium here"), pytest.mark.seconds(30)]
LANGUAGES = {"en": "en-GB", "zh": "zh-CN"}
WIDTHS = 1100, 390


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def service(finished: Path) -> Iterator[str]:
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(make_app(finished), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture
def violations(browser: Any) -> Callable[[str, str], list[str]]:
    """The rules that a page breaks, wide and on a phone, in the light and in the dark, each with what breaks it."""

    def of(url: str, language: str) -> list[str]:
        found = []
        for width, colours in zip(WIDTHS, ("light", "dark"), strict=True):
            context = browser.new_context(
                locale=LANGUAGES[language], color_scheme=colours, viewport={"width": width, "height": 900}
            )
            page = context.new_page()
            page.goto(url, wait_until="networkidle")
            for rule in axe.Axe().run(page).response["violations"]:
                found += [f"{rule['id']} at {width}: {node['html'][:200]}" for node in rule["nodes"]]
            context.close()
        return found

    return of


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_report(violations: Callable[..., list[str]], finished: Path, tmp_path: Path, language: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    assert violations(write_report(run, language).as_uri(), language) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_the_service(violations: Callable[..., list[str]], service: str, language: str) -> None:
    assert violations(service, language) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_of_the_lab(violations: Callable[..., list[str]], tmp_path: Path, language: str) -> None:
    page = tmp_path / "page.html"
    with speaking(language):
        page.write_text(render_experiment(lab_record()), encoding="utf-8")
    assert violations(page.as_uri(), language) == []


def test_a_fault_is_found(violations: Callable[..., list[str]], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<!doctype html><html lang=en><title>x</title><main><h1>x</h1><img src=x.png></main>", encoding="utf-8"
    )
    assert any(each.startswith("image-alt") for each in violations(page.as_uri(), "en"))
