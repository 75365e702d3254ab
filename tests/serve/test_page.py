"""The page in a real browser."""

from __future__ import annotations

import io
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Page, Route, expect, sync_playwright

from deepenough import load
from deepenough.serve.app import make_app
from deepenough.serve.server import listen

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
pytestmark = [pytest.mark.skipif(BROWSER is None, reason="no Chromium here"), pytest.mark.seconds(20)]

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


def picture(photo: Path, size: tuple[int, int], kind: str = "PNG") -> list[Any]:
    """The photo in another size or format, to be dropped."""
    content = io.BytesIO()
    with Image.open(photo) as image:
        image.resize(size).save(content, kind)
    return [f"{size[0]}x{size[1]}.{kind.lower()}", list(content.getvalue()), f"image/{kind.lower()}"]


class Held:
    """Requests to a path wait here until they are let go."""

    def __init__(self, page: Page, path: str) -> None:
        self.page, self.routes = page, list[Route]()
        page.route(path, lambda route: self.routes.append(route))  # Playwright sets attributes of what it calls

    def come(self, count: int) -> None:
        """Wait until so many are here."""
        for _ in range(500):
            if len(self.routes) >= count:
                return
            self.page.wait_for_timeout(10)
        raise AssertionError(f"{len(self.routes)} of {count} requests came")

    def let(self, at: int) -> None:
        self.routes[at].continue_()


def refusing(page: Page, path: str, status: int = 503, **told: Any) -> None:
    page.route(path, lambda route: route.fulfill(status=status, json=told))


EXPLAIN, PREDICT, DEPTHS, MODEL = "**/explain?*", "**/predict?*", "**/depths", "**/model"


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
    expect(page.get_by_role("alert")).to_contain_text("not an image that can be read")
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


@pytest.mark.parametrize("size", [(8, 8), (10, 90), (300, 20), (60, 50), (640, 400)], ids=str)
def test_a_picture_is_large_enough_and_keeps_its_shape(page: Page, photo: Path, size: tuple[int, int]) -> None:
    page.evaluate(DROP, picture(photo, size))
    heat, shown = page.locator("#heat"), page.locator("#picture")
    expect(heat).to_be_visible()
    box = shown.bounding_box()
    assert box is not None
    assert heat.bounding_box() == box
    assert box["width"] / box["height"] == pytest.approx(size[0] / size[1], rel=0.02)
    assert box["width"] > 150 or box["height"] > 400
    smooth = shown.evaluate("image => getComputedStyle(image).imageRendering")
    assert (smooth == "pixelated") == (max(size) < 64)


def test_old_heat_goes_at_once(page: Page, photo: Path, finished: Path) -> None:
    best = load(finished).predict(photo)[0]
    heat, whose = page.locator("#heat"), page.locator("#whose")
    page.evaluate(DROP, given(photo))
    expect(heat).to_be_visible()
    held = Held(page, EXPLAIN)
    page.evaluate(DROP, given(photo))
    expect(heat).to_be_hidden()
    held.come(1)
    expect(heat).to_be_hidden()
    expect(whose).to_have_text(f"Computing the heat for {best.label}…")
    held.let(0)
    expect(heat).to_be_visible()
    page.locator("#bars button").nth(1).click()
    expect(heat).to_be_hidden()
    expect(whose).to_have_text(f"Computing the heat for {best.classes[1]}…")
    held.come(2)
    held.let(1)
    expect(heat).to_be_visible()
    page.locator("#method").select_option("integrated-gradients")
    expect(heat).to_be_hidden()
    held.come(3)
    held.let(2)
    expect(heat).to_be_visible()
    expect(whose).to_have_text(f"Heat for {best.classes[1]}")


def test_late_answers_for_an_older_image_are_not_shown(page: Page, shapes: Path, photo: Path, finished: Path) -> None:
    first = sorted((shapes / "circle").iterdir())[7]
    best = load(finished).predict(photo)[0]
    assert load(finished).predict(first)[0].label != best.label
    predicted, explained, compared = Held(page, PREDICT), Held(page, EXPLAIN), Held(page, DEPTHS)
    page.evaluate(DROP, given(first))
    predicted.come(1)
    page.evaluate(DROP, given(photo))
    predicted.come(2)
    predicted.let(1)
    explained.come(1)
    expect(page.locator("#label")).to_contain_text(best.label)
    predicted.let(0)
    explained.let(0)
    compared.come(1)
    compared.let(0)
    expect(page.locator("#heat")).to_be_visible()
    expect(page.locator("#said tr").first).to_contain_text("%")
    expect(page.locator("#said tr").first).not_to_contain_text("…")
    assert len(explained.routes) == len(compared.routes) == 1
    expect(page.locator("#label")).to_contain_text(best.label)
    expect(page.locator("#picture")).to_have_attribute("alt", photo.name)
    expect(page.get_by_role("alert")).to_be_hidden()


def test_each_answer_fails_alone(page: Page, photo: Path, finished: Path) -> None:
    best = load(finished).predict(photo)[0]
    refusing(page, EXPLAIN, detail="too much at once", code="busy")
    refusing(page, DEPTHS, detail="out of depth")
    page.evaluate(DROP, given(photo))
    expect(page.locator("#heat-error")).to_have_text("No heat: too much at once")
    expect(page.locator("#depths-error")).to_have_text("The other depths gave no answer: out of depth")
    expect(page.locator("#label")).to_contain_text(best.label)
    expect(page.locator("#label")).to_be_visible()
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.locator("#whose")).to_have_text("")
    page.unroute(EXPLAIN)
    page.unroute(DEPTHS)
    page.locator("#bars button").nth(1).click()
    expect(page.locator("#whose")).to_have_text(f"Heat for {best.classes[1]}")
    expect(page.locator("#heat-error")).to_be_hidden()
    refusing(page, EXPLAIN, detail="too much at once", code="busy")
    page.locator("#bars button").first.click()  # old heat and its caption go with the class that they were for
    expect(page.locator("#heat-error")).to_be_visible()
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.locator("#whose")).to_have_text("")
    page.unroute(EXPLAIN)
    page.evaluate(DROP, given(photo))
    expect(page.locator("#heat")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_image_may_come_before_the_model_is_known(page: Page, photo: Path) -> None:
    held = Held(page, MODEL)
    page.reload()
    page.evaluate(DROP, given(photo))
    expect(page.locator("#heat")).to_be_visible()
    expect(page.locator("#depths")).to_be_hidden()
    held.let(0)
    expect(page.locator("#said tr").first).to_contain_text("%")
    expect(page.get_by_role("alert")).to_be_hidden()


def test_an_image_that_only_the_server_can_read(page: Page, photo: Path, finished: Path) -> None:
    best = load(finished).predict(photo)[0]
    page.evaluate(DROP, picture(photo, (16, 16), "TIFF"))
    expect(page.locator("#label")).to_contain_text(best.label)
    expect(page.locator("#unseen")).to_contain_text("This browser can't show")
    expect(page.locator("#said tr").first).to_contain_text("%")
    expect(page.locator("#stage")).to_be_hidden()
    expect(page.locator("#heat")).to_be_hidden()
    expect(page.get_by_role("alert")).to_be_hidden()
    page.evaluate(DROP, given(photo))
    expect(page.locator("#heat")).to_be_visible()
    expect(page.locator("#unseen")).to_be_hidden()


def test_errors_are_chinese_too(page: Page, photo: Path) -> None:
    page.get_by_role("button", name="中文").click()
    assert page.title().startswith("deepenough：")
    alert = page.get_by_role("alert")
    for told, seen in (
        ({"detail": "this is no image", "code": "not-an-image"}, "无法识别为图片"),
        ({"detail": "the upload is too large", "code": "too-large"}, "上限为 20 MiB"),
        ({"detail": "something new", "code": "something-new"}, "something new"),
        ({"detail": "without a code"}, "without a code"),
        ({"detail": [{"loc": ["query", "top"], "msg": "too small"}]}, "请求有误"),
        ({}, "服务器无法回答（422"),
    ):
        refusing(page, PREDICT, 422, **told)
        page.evaluate(DROP, given(photo))
        expect(alert).to_contain_text(seen)
        page.unroute(PREDICT)
    refusing(page, PREDICT, 422, detail=[{"loc": ["query", "top"], "msg": "too small"}])
    page.evaluate(DROP, given(photo))
    page.get_by_role("button", name="English").click()
    expect(alert).to_have_text("top: too small")  # what is said already changes its language too


def test_folds_and_unfinished_depths_are_noted(page: Page, photo: Path) -> None:
    def told(route: Route) -> None:
        answer = route.fetch()
        about = answer.json() | {"folds": 4}
        about["architectures"][-1]["finished"] = False
        route.fulfill(response=answer, json=about)

    expect(page.locator("#about")).not_to_have_text("")
    expect(page.locator("#note")).not_to_contain_text("fold")
    page.route(MODEL, told)
    page.reload()
    page.evaluate(DROP, given(photo))
    expect(page.locator("#note")).to_contain_text("out of fold, over 4 folds")
    expect(page.locator("#said tr").last).to_contain_text("unfinished")
    expect(page.locator("#curve circle.unfinished")).to_have_count(1)
