"""Docstrings say what a thing is or does: a statement, not the half of a question."""

from __future__ import annotations

import re
from pathlib import Path

import deepenough

QUESTION = re.compile(r'"""((?:What|How|Where|When|Which|Why|Who)\b[^"]*)')


def test_no_docstring_begins_like_a_question() -> None:
    """A whole question, with its question mark, may be one: the command's own."""
    package = Path(deepenough.__file__).parent
    found = [
        f"{path.relative_to(package)}: {text.splitlines()[0]}"
        for pattern in ("*.py", "*.jinja")
        for path in sorted(package.rglob(pattern))
        for text in QUESTION.findall(path.read_text(encoding="utf-8"))
        if not text.splitlines()[0].endswith("?")
    ]
    assert found == []
