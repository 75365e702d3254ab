"""The routes as a page. FastAPI's own fetches its scripts from elsewhere, which a company's network may not allow."""

from __future__ import annotations

from typing import Any

from deepenough.report.html import fill_template


def docs_page(schema: dict[str, Any]) -> str:
    """Describe an OpenAPI document in HTML."""
    routes = [(path, method, about) for path, methods in schema["paths"].items() for method, about in methods.items()]
    return fill_template("serve", "docs.html", {"schema": schema, "routes": routes})
