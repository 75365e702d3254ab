"""The routes as a page. FastAPI's own fetches its scripts from elsewhere, which a company's network may not allow."""

from __future__ import annotations

from typing import Any

from deepenough.report.html import fill


def docs_page(schema: dict[str, Any]) -> str:
    """HTML of an OpenAPI document."""
    routes = [(path, method, about) for path, methods in schema["paths"].items() for method, about in methods.items()]
    return fill("serve", "docs.html", {"schema": schema, "routes": routes})
