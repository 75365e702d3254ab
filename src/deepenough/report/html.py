"""HTML pages that are one file and need nothing else."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from deepenough.language import language_tag, lookup, lookup_plural, sentence_space, translation

_MIME_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


def fill_template(
    room: str,
    name: str,
    words: Mapping[str, Any],
    figures: Mapping[str, Any] | None = None,
    filters: Mapping[str, Callable[..., Any]] | None = None,
) -> str:
    """Fill a template, which may extend `base.html` of the reports, and add style, scripts and Plotly.

    Its messages, in `_()` and `{% trans %}`, are in the current language.

    Args:
        room: the package of deepenough that the template lies in.
        name: its file's name.
        words: everything it mentions; one that is missing is an error. Text is escaped.
        figures: Plotly JSON by name.
        filters: functions that the template applies, by name.
    """
    # Slow to import, and wanted by nothing else.
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FunctionLoader(lambda template: asset("report", template)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_gettext_callables(lookup, lookup_plural, newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {
        "translation": translation,
        "lookup": lookup,
        "join_sentences": lambda sentences: Markup(sentence_space()).join(filter(None, sentences)),
    }
    environment.filters |= {"whole_options": whole_options, **(filters or {})}
    common: dict[str, Any] = {
        "style": Markup(asset("report", "style.css")),
        "figures": figures,
        "language_tag": language_tag(),
    }
    if figures is not None:
        common |= {"script": Markup(asset("report", "page.js")), "figures_json": Markup(embedded(figures))}
    if figures:
        from plotly.offline import get_plotlyjs

        common["plotly"] = Markup(get_plotlyjs())
    return environment.from_string(asset(room, name)).render({**common, **words})


def whole_options(text: str) -> str:
    """Text whose options, such as `--family`, a browser does not break behind their hyphens."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"--[a-z][a-z-]*", r'<span class="whole">\g<0></span>', str(escape(text))))


def asset(room: str, name: str) -> str:
    """The text of a file that lies in the package `deepenough.<room>`."""
    return files(f"deepenough.{room}").joinpath(name).read_text(encoding="utf-8")


def embedded(content: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever names it holds."""
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def data_address(folder: Path, name: str) -> str | None:
    """A picture inside `folder` as a data address; None where there is none."""
    path = (folder / name).resolve()
    kind = _MIME_TYPES.get(path.suffix.lower())
    if kind is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
        return None
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
