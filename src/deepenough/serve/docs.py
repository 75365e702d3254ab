"""The routes as a page. FastAPI's own fetches its scripts from elsewhere, which a company's network may not allow."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined


def docs_page(schema: dict[str, Any]) -> str:
    """HTML of an OpenAPI document."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = files("deepenough.serve").joinpath("docs.html").read_text(encoding="utf-8")
    routes = [(path, method, about) for path, methods in schema["paths"].items() for method, about in methods.items()]
    return environment.from_string(template).render(schema=schema, routes=routes)
