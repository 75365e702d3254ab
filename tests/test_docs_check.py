"""`docs_check.py` finds what a page of the documentation breaks, and where."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
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


@pytest.fixture(scope="module")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page in two languages, made with the documentation's own settings."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocs_static_i18n")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("small")
    root, docs = Path(__file__).parents[1], folder / "docs"
    shutil.copytree(root / "docs" / "vendor", docs / "vendor")
    for name in ("extra.css", "extra.js"):
        shutil.copy(root / "docs" / name, docs)
    (docs / "index.md").write_text("# Start\n\nHow deep a network needs to be.\n", encoding="utf-8")
    (docs / "index.zh.md").write_text("# 开始\n\n网络到底需要多深。\n", encoding="utf-8")
    shutil.copy(root / "docs_hooks.py", folder)
    settings = (root / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[0]
    (folder / "mkdocs.yml").write_text(f"{settings}\nnav: [index.md]\n", encoding="utf-8")
    silent = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet"], cwd=folder, env=silent, check=True)
    return folder / "build" / "site"


@needs_browser
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (None, None),
        ("search/search_index.js", "index.html from the folder: its search finds no 'network'"),
        ("vendor/iframe-worker.js", "zh/index.html from the folder: its search finds no '网络'"),
        ("extra.js", "index.html from the folder: it asks for https://elsewhere.invalid/"),
    ],
)
def test_the_search_works_from_a_folder_and_asks_nobody(
    docs_check: ModuleType, small_site: Path, tmp_path: Path, change: str | None, fault: str | None
) -> None:
    site = shutil.copytree(small_site, tmp_path / "site")
    browser = next(filter(None, map(shutil.which, BROWSERS)))
    if change == "extra.js":
        (site / change).write_text("fetch('https://elsewhere.invalid/').catch(() => {});", encoding="utf-8")
    elif change:
        (site / change).unlink()
    within = docs_check.FOUND_WITHIN if change in (None, "extra.js") else 2
    found = list(docs_check.search_faults(site, browser, within))
    assert (fault in found) if fault else found == []


def test_an_empty_site_and_a_machine_without_a_browser_are_said(
    docs_check: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert docs_check.main(tmp_path) == 2
    assert "no pages" in capsys.readouterr().out
    (tmp_path / "page.html").write_text(PAGE % ("", ""), encoding="utf-8")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert docs_check.main(tmp_path) == 0
    assert "were not looked at: that needs Chromium" in capsys.readouterr().out
