"""`docs_check.py` finds what a page of the documentation breaks, and where."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("axe_playwright_python.sync_playwright")

BROWSERS = "chromium", "chromium-browser", "google-chrome", "chrome"
needs_browser = pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no Chromium here")
PAGE = """<!doctype html><html lang=en><meta name=viewport content="width=device-width"><title>Page</title>
<style>%s</style><main><h1>Page</h1>%s</main></html>"""
WIDE = "<p id=wide style='width: 600px'>wide</p>"


@pytest.fixture(scope="module")
def docs_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_check", Path(__file__).parents[1] / "docs_check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_browser
@pytest.mark.parametrize(
    ("style", "body", "expected"),
    [
        ("", "<p>text</p>", []),
        ("", f"<div tabindex=0 style='overflow-x: auto'>{WIDE}</div>", []),
        ("", "<img id=picture src=x.png>", ["image-alt", "#picture", "1280 px, light", "390 px, light"]),
        ("", WIDE, ["wider than the page: html is", "wider than the page: main > p#wide", "390 px, light"]),
        (
            "p {color: #222} @media (prefers-color-scheme: dark) {:root {background: #111}}",
            "<p>text</p>",
            ["color-contrast", ": p", "1280 px, dark"],
        ),
    ],
)
def test_each_fault_is_named_with_its_page_and_place(
    docs_check: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    style: str,
    body: str,
    expected: list[str],
) -> None:
    (tmp_path / "zh").mkdir()
    (tmp_path / "good.html").write_text(PAGE % ("", "<p>text</p>"), encoding="utf-8")
    (tmp_path / "zh" / "other.html").write_text(PAGE % (style, body), encoding="utf-8")
    assert docs_check.main(tmp_path) == bool(expected)
    *faults, summary = capsys.readouterr().out.splitlines()
    assert all(line.startswith("zh/other.html at ") for line in faults)
    assert all(any(words in line for line in faults) for words in expected)
    assert bool(faults) == bool(expected)
    assert f"{len(faults)} faults on 2 pages" in summary


def test_an_empty_site_and_a_machine_without_a_browser_are_said(
    docs_check: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert docs_check.main(tmp_path) == 2
    assert "no pages" in capsys.readouterr().out
    (tmp_path / "page.html").write_text(PAGE % ("", ""), encoding="utf-8")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert docs_check.main(tmp_path) == 0
    assert "were not looked at: that needs Chromium" in capsys.readouterr().out
