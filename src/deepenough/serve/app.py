"""The routes of the service."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from deepenough.attribution import METHODS
from deepenough.engines import TORCH
from deepenough.report.html import asset, fill_template
from deepenough.serve.access import Access, AccessMiddleware, check_local
from deepenough.serve.answers import About, Answers, DepthAnswer, DepthAnswers, ModelList, Reloaded
from deepenough.serve.explanations import answers_by_depth, draw_explanation, draw_heat
from deepenough.serve.hang_up import unless_gone
from deepenough.serve.limits import Limits, Upload, errors_named_by
from deepenough.serve.middleware import RequestMiddleware
from deepenough.serve.models import Models
from deepenough.serve.open_inference.routes import inference_routes
from deepenough.serve.refusal_pace import RefusalPace
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

MODEL: Any = Query(None, description="name of a model that GET /models lists; the first by default")
Method = Literal["gradcam", "integrated-gradients", "occlusion"]
assert Method.__args__ == METHODS  # type: ignore[attr-defined]


def make_app(
    runs: Path | Mapping[str, Path],
    limits: Limits | None = None,
    device: str = "cpu",
    access: Access | None = None,
    engine: str = TORCH,
) -> FastAPI:
    """Make the service of a run, or of a model folder, or of several by name; the models are loaded now.

    Without `access` all may ask, and models are read anew for this machine alone.
    """
    named = {runs.resolve().name: runs} if isinstance(runs, Path) else runs
    models = Models(named, limits or Limits(), device, engine)
    first = models.get().model
    app = FastAPI(
        title="deepenough",
        description=f"{first.network.name}: {', '.join(first.classes[:20])}",
        lifespan=lambda _: models.running(),
        docs_url=None,
        redoc_url=None,
        responses={code: {"model": Refusal} for code in ("4XX", "5XX", 422)},
    )
    app.state.models = models
    if access is not None:
        app.add_middleware(AccessMiddleware, access=access)
    pace = RefusalPace()
    app.add_middleware(RequestMiddleware, metrics=models.metrics, pace=pace)
    handle_errors(app, pace)
    protected = access is not None and access.token is not None
    for router in (
        prediction_routes(models),
        explanation_routes(models),
        model_routes(models, protected),
        status_routes(models),
        inference_routes(models),
        page_routes(app),
    ):
        app.include_router(router)
    return app


def prediction_routes(models: Models) -> APIRouter:
    """POST /predict and /depths."""
    router = APIRouter()

    async def by_depth(service: Service, content: bytes) -> list[DepthAnswer]:
        pixels = await service.decoded(content)
        return await service.compute(pixels, partial(answers_by_depth, service.siblings))

    @router.post("/predict", openapi_extra=_BODY, response_model=Answers)
    async def predict(request: Request, top: int = Query(5, ge=1), model: str | None = MODEL) -> Response:
        """Classify one picture or several."""
        with models.using(model) as service:
            room = service.batcher.room
            room.check()
            async with models.reader.files(request) as given, room.entered(len(given)):
                found = await unless_gone(request, service.answers(given, top))
        return Response(json.dumps({"predictions": found}, ensure_ascii=False), media_type="application/json")

    @router.post("/depths", openapi_extra=_BODY)
    async def depths(request: Request, model: str | None = MODEL) -> DepthAnswers:
        """Classify one picture with the run's networks of other depths."""
        with models.using(model) as service:
            room = service.batcher.heavy_room
            room.check()
            async with models.reader.files(request) as given:
                file = single(given)
                with errors_named_by(file):
                    async with room.entered():
                        return DepthAnswers(depths=await unless_gone(request, by_depth(service, file.content)))

    return router


def explanation_routes(models: Models) -> APIRouter:
    """POST /explain."""
    router = APIRouter()

    @router.post("/explain", openapi_extra=_BODY, response_class=Response)
    async def explain(
        request: Request,
        method: Method = "gradcam",
        label: str | None = Query(None, alias="class", description="class to explain; the predicted one by default"),
        view: Literal["picture", "heat"] = Query("picture", description="heat: to be laid over the picture"),
        model: str | None = MODEL,
    ) -> Response:
        """Draw the evidence for a class in one picture: a PNG."""
        draw = {"picture": draw_explanation, "heat": draw_heat}[view]

        async def drawn(service: Service, content: bytes) -> bytes:
            picture, pixels = await service.viewable(content)
            drawing = await service.compute(pixels, partial(draw, service.model, method, label, picture))
            return await service.in_thread(drawing)

        with models.using(model) as service:
            room = service.batcher.heavy_room
            room.check()
            if label is not None and label not in service.model.classes:
                detail = f"class {label!r} is not one of this model's; GET /model lists them"
                raise RefusedError(404, "unknown-class", detail)
            async with models.reader.files(request) as given:
                file = single(given)
                with errors_named_by(file):
                    async with room.entered():
                        content = await unless_gone(request, drawn(service, file.content))
        return Response(content, media_type="image/png")

    return router


def model_routes(models: Models, protected: bool) -> APIRouter:
    """GET /model and /models, and POST /reload; unless a token has been asked for, only this machine may reload."""
    router = APIRouter()

    @router.get("/model")
    async def about(model: str | None = MODEL) -> About:
        """Describe a model."""
        return models.get(model).about()

    @router.get("/models")
    async def listed() -> ModelList:
        """List the models."""
        return ModelList(default=models.default, models=list(models.runs))

    @router.post("/reload")
    async def reload(request: Request) -> Reloaded:
        """Read the models anew; the old ones answer until the new ones are ready."""
        if not protected:
            check_local(request)
        failed = await models.reload()
        models.tell_others()
        if failed:
            detail = "; ".join(f"model {name!r} goes on as it was: {reason}" for name, reason in failed.items())
            raise RefusedError(409, "broken-model", detail)
        return Reloaded(reloaded=list(models.runs))

    return router


def status_routes(models: Models) -> APIRouter:
    """GET /health and /metrics."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Tell if the service answers."""
        if trouble := models.trouble():
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
        models.count()
        content, kind = models.metrics.page()
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


def single(given: list[Upload]) -> Upload:
    """The only file. Raises RefusedError."""
    if len(given) != 1:
        raise RefusedError(400, "too-many-files", f"{len(given)} files were sent; send one")
    return given[0]
