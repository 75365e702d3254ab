"""What MkDocs does to a page of the documentation before it reads it, and to what it makes of it."""

from __future__ import annotations

import logging
import re
from typing import Any

NOTEBOOK = re.compile(r"(\]\([^)\s]*?)(?:\.zh)?\.ipynb([)#])")
CODE = re.compile(r"<code>[^<]+</code>")
OPTION = re.compile(r"(?<![\w-])--?\w[\w-]*")


def on_startup(**_: Any) -> None:
    """Let jieba, which the search finds Chinese words by, load its words without a report."""
    logging.getLogger("jieba").setLevel(logging.WARNING)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to notebooks, which lead somewhere on the repository's web page, lead to their pages on the site.

    The page in the reader's language is found by its name without a language.
    """
    return NOTEBOOK.sub(r"\1.md\2", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Keep an option such as `--data` on one line: browsers break lines behind its hyphens."""
    return CODE.sub(lambda code: OPTION.sub(r'<span class="option">\g<0></span>', code[0]), html)
