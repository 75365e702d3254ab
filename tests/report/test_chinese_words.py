"""Chinese pages and documentation use one word for one thing: those that were given up don't come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepenough.language import ROOMS, room_catalogue

ROOT = Path(__file__).resolve().parents[2]
RETIRED = ("余量", "已证明", "未能证明", "被证明", "搜索范围", "够用", "短暂的一看", "看一眼", "试探", "花费")
"""`CONTRIBUTING.md` has the words that stand for them."""


def texts() -> dict[str, str]:
    """Every Chinese text, by its file's name."""
    pages = [ROOT / "README.zh-CN.md", ROOT / "mkdocs.yml"]
    pages += [path for ending in ("md", "ipynb") for path in (ROOT / "docs").rglob(f"*.zh.{ending}")]
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in pages}
    return found | {f"{room}/zh.json": "\n".join(room_catalogue(room).values()) for room in ROOMS}


@pytest.mark.parametrize("word", RETIRED)
def test_a_retired_word_does_not_come_back(word: str) -> None:
    found = texts()
    assert len(found) > 30
    assert [name for name, text in found.items() if word in text] == []
    assert word in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8") or word == "看一眼"
