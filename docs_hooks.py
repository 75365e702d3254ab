"""What MkDocs does to a page of the documentation before it reads it."""

from __future__ import annotations

import re
from typing import Any

NOTEBOOK = re.compile(r"(\]\([^)\s]*?)(?:\.zh)?\.ipynb([)#])")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links to notebooks, which lead somewhere on the repository's web page, lead to their pages on the site.

    The page in the reader's language is found by its name without a language.
    """
    return NOTEBOOK.sub(r"\1.md\2", markdown)
