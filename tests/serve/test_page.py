"""The page in a real browser."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Page, expect, sync_playwright

from deepenough import load
from deepenough.serve.app import make_app
from deepenough.serve.command import listen

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here")

DROP = """async ([name, bytes, kind]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, { type: kind }));
  const told = { dataTransfer: data, bubbles: true, cancelable: true };
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", told));
}"""
PASTE = """async ([name, bytes, kind]) => {
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, { type: kind }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def url(finished: Path) -> Iterator[str]:
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(make_app(finished), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB", viewport={"width": 1100, "height": 900})
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on(
        "request", lambda asked: None if asked.url.startswith((url, "blob:", "data:")) else troubles.append(asked.url)
    )
    opened.goto(url)
    yield opened
    context.close()
    assert troubles == []


@pytest.fixture(scope="module")
def photo(shapes: Path) -> Path:
    return sorted((shapes / "square").iterdir())[7]


def given(path: Path) -> list[Any]:
    return [path.name, list(path.read_bytes()), "image/png"]


def test_an_image_is_dropped(page: Page, photo: Path, finished: Path) -> None:
    best = load(finished).predict(photo)[0]
    page.evaluate(DROP, given(photo))
    expect(page.locator("#label")).to_have_text(f"{best.label} {100 * best.confidence:.1f}%")
    expect(page.locator("#bars button")).to_have_count(len(best.classes))
    heat = page.locator("#heat")
    expect(heat).to_be_visible()
    assert heat.evaluate("image => image.naturalWidth") > 0
    assert heat.evaluate("image => image.style.opacity") == "0.7"
    strength = page.locator("#strength")
    strength.focus()
    strength.press("Home")
    assert heat.evaluate("image => image.style.opacity") == "0"
    strength.press("ArrowRight")
    assert heat.evaluate("image => image.style.opacity") == "0.01"
    before = heat.get_attribute("src")
    other = page.locator("#bars button").nth(1)
    other.press("Enter")
    expect(page.locator("#whose")).to_have_text(f"Heat for {best.classes[1]}")
    expect(other).to_have_attribute("aria-pressed", "true")
    assert heat.get_attribute("src") != before


def test_other_depths_answer_too(page: Page, photo: Path, finished: Path) -> None:
    record = json.loads((finished / "record.json").read_text())
    page.set_input_files("#file", photo)
    rows = page.locator("#said tr")
    expect(rows).to_have_count(len(record["candidates"]))
    expect(rows.first).to_contain_text("%")
    expect(rows.first).not_to_contain_text("…")
    expect(page.locator("#curve circle.chosen")).to_have_count(1)
    expect(page.locator("tr.chosen td").first).to_have_text(str(record["decision"]["depth"]))


def test_words_are_no_image(page: Page, photo: Path) -> None:
    page.evaluate(PASTE, ["words.txt", list(b"just words"), "text/plain"])
    expect(page.get_by_role("alert")).to_contain_text("no image that can be read")
    expect(page.locator("#answer")).to_be_hidden()
    page.evaluate(PASTE, given(photo))
    expect(page.locator("#answer")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_it_speaks_chinese(page: Page, photo: Path) -> None:
    page.evaluate(DROP, given(photo))
    page.get_by_role("button", name="中文").press("Enter")
    expect(page.locator("h1")).to_have_text("这张图片是什么？")
    expect(page.locator("#whose")).to_contain_text("热力图")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_have_text("What is in this image?")


def test_it_fits_a_phone(page: Page, photo: Path) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    page.evaluate(DROP, given(photo))
    expect(page.locator("#said tr").first).to_contain_text("%")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for button in page.locator("button:visible").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 40
