"""The routes of the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from starlette.requests import ClientDisconnect

from deepenough.attribution import METHODS
from deepenough.engines import TORCH
from deepenough.report.html import asset, fill_template
from deepenough.serve.access import Access, AccessMiddleware
from deepenough.serve.answers import About, Answers, DepthAnswer, DepthAnswers
from deepenough.serve.explanations import answers_by_depth, draw_explanation, draw_heat
from deepenough.serve.limits import Limits, Upload, errors_named_by
from deepenough.serve.middleware import RequestMiddleware
from deepenough.serve.refusals import Refusal, RefusedError, handle_errors
from deepenough.serve.service import Service

_BODY: Any = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

_Result = TypeVar("_Result")
Method = Literal["gradcam", "integrated-gradients", "occlusion"]
assert Method.__args__ == METHODS  # type: ignore[attr-defined]


def make_app(
    run: Path,
    limits: Limits | None = None,
    device: str = "cpu",
    access: Access | None = None,
    engine: str = TORCH,
) -> FastAPI:
    """Make the service of a run, or of a model folder; the model is loaded once, now. Without `access` all may ask."""
    service = Service(run, limits or Limits(), device, engine)
    app = FastAPI(
        title="deepenough",
        description=f"{service.model.network.name}: {', '.join(service.model.classes[:20])}",
        lifespan=lambda _: service.running(),
        docs_url=None,
        redoc_url=None,
        responses={code: {"model": Refusal} for code in ("4XX", "5XX", 422)},
    )
    app.state.service = service
    if access is not None:
        app.add_middleware(AccessMiddleware, access=access)
    app.add_middleware(RequestMiddleware, metrics=service.metrics)
    handle_errors(app)
    for router in (prediction_routes(service), explanation_routes(service), status_routes(service), page_routes(app)):
        app.include_router(router)
    return app


def prediction_routes(service: Service) -> APIRouter:
    """POST /predict and /depths."""
    router = APIRouter()

    async def by_depth(content: bytes) -> list[DepthAnswer]:
        pixels = await service.decoded(content)
        return await service.compute(pixels, partial(answers_by_depth, service.siblings))

    @router.post("/predict", openapi_extra=_BODY, response_model=Answers)
    async def predict(request: Request, top: int = Query(5, ge=1)) -> Response:
        """Classify one picture or several."""
        async with service.reader.files(request) as given:
            with service.batcher.entered(len(given)):
                found = await unless_gone(request, service.answers(given, top))
        return Response(json.dumps({"predictions": found}, ensure_ascii=False), media_type="application/json")

    @router.post("/depths", openapi_extra=_BODY)
    async def depths(request: Request) -> DepthAnswers:
        """Classify one picture with the run's networks of other depths."""
        async with service.reader.files(request) as given:
            file = single(given)
            with errors_named_by(file), service.batcher.entered_heavy():
                return DepthAnswers(depths=await unless_gone(request, by_depth(file.content)))

    return router


def explanation_routes(service: Service) -> APIRouter:
    """POST /explain."""
    router = APIRouter()

    @router.post("/explain", openapi_extra=_BODY, response_class=Response)
    async def explain(
        request: Request,
        method: Method = "gradcam",
        label: str | None = Query(None, alias="class", description="class to explain; the predicted one by default"),
        view: Literal["picture", "heat"] = Query("picture", description="heat: to be laid over the picture"),
    ) -> Response:
        """Draw the evidence for a class in one picture: a PNG."""
        if label is not None and label not in service.model.classes:
            detail = f"class {label!r} is not one of this model's; GET /model lists them"
            raise RefusedError(404, "unknown-class", detail)
        draw = {"picture": draw_explanation, "heat": draw_heat}[view]

        async def drawn(content: bytes) -> bytes:
            picture, pixels = await service.viewable(content)
            drawing = await service.compute(pixels, partial(draw, service.model, method, label, picture))
            return await service.in_thread(drawing)

        async with service.reader.files(request) as given:
            file = single(given)
            with errors_named_by(file), service.batcher.entered_heavy():
                content = await unless_gone(request, drawn(file.content))
        return Response(content, media_type="image/png")

    return router


def status_routes(service: Service) -> APIRouter:
    """GET /model, /health and /metrics."""
    router = APIRouter()

    @router.get("/model")
    async def about() -> About:
        """Describe the model."""
        return service.about()

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Tell if the service answers."""
        if trouble := service.trouble():
            raise RefusedError(503, "stuck", trouble)
        return {"status": "ok"}

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """Tell if the process runs."""
        return {"status": "ok"}

    @router.get("/health/ready")
    async def ready() -> dict[str, str]:
        """Tell if a request would be answered now."""
        return await health()

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Give counts and times, as Prometheus reads them."""
        batcher, reader = service.batcher, service.reader
        service.metrics.set(batcher.pending, batcher.heavier, reader.uploads, reader.held)
        content, kind = service.metrics.page()
        return Response(content, headers={"Content-Type": kind})

    return router


def page_routes(app: FastAPI) -> APIRouter:
    """GET / with its files, and /docs.

    FastAPI's own page of routes loads its scripts from elsewhere, which a company's network may not allow.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(fill_template("serve", "docs.html", {"schema": app.openapi()}))

    for name, kind in (("page.html", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")):
        path = "/" if name == "page.html" else f"/{name}"
        file = partial(static, asset("serve", name), kind)
        router.add_api_route(path, file, response_class=Response, name=name)
    return router


async def static(content: str, kind: str) -> Response:
    """Answer with a file of the page."""
    return Response(content, media_type=kind)


async def unless_gone(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run work, and cancel it when the client hangs up. The body has been read before."""
    job, gone = asyncio.create_task(work), asyncio.create_task(hung_up(request))
    try:
        await asyncio.wait((job, gone), return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise ClientDisconnect
        return job.result()
    finally:
        job.cancel()
        gone.cancel()


async def hung_up(request: Request) -> None:
    """Wait until the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def single(given: list[Upload]) -> Upload:
    """The only file. Raises RefusedError."""
    if len(given) != 1:
        raise RefusedError(400, "too-many-files", f"{len(given)} files were sent; send one")
    return given[0]
