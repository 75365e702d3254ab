"""The routes. Pictures are decoded in threads, the network runs in one thread of its own, the event loop only waits."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from PIL import Image
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepenough import record as r
from deepenough.attribution import heat, overlay
from deepenough.data.decode import upright
from deepenough.data.finding import ImageError
from deepenough.explain import METHODS, explain
from deepenough.model import Model
from deepenough.nets import depth, parameters
from deepenough.serve.batcher import Batcher, FullError
from deepenough.serve.depths import Sibling, opened
from deepenough.serve.docs import docs_page
from deepenough.serve.limits import Limits, RefusedError, Upload, check, told_of, uploads
from deepenough.serve.meters import Meters

BODY: Any = {
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
HEADERS = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
SIDE = 640  # longest side (pixels) of a heat map that is laid over a picture
HEAVY = 16  # pictures that a question takes the room of, which needs many passes through networks
RETRY = "1"  # seconds after which a client that met a full queue may come again

Method = Literal["gradcam", "integrated-gradients", "occlusion"]
assert Method.__args__ == METHODS  # type: ignore[attr-defined]


class Answer(BaseModel):
    """The classes of one picture, most probable first."""

    name: str = Field(description="the file's name as it came; empty for raw bytes")
    label: str
    classes: list[str]
    probabilities: list[float]


class Answers(BaseModel):
    predictions: list[Answer]


class DepthAnswer(BaseModel):
    """What a network of another depth says."""

    name: str
    depth: int
    chosen: bool
    label: str
    probability: float


class DepthAnswers(BaseModel):
    depths: list[DepthAnswer]


class Rung(BaseModel):
    name: str
    depth: int
    accuracy: float
    chosen: bool


class About(BaseModel):
    """The model that answers here."""

    network: str
    depth: int
    parameters: int
    input: list[int] = Field(description="channels, height and width")
    classes: list[str]
    test: float | None = Field(description="accuracy on the run's test images, 0..1")
    low: float | None = Field(description="lower end of its 95% interval")
    high: float | None
    rungs: list[Rung] = Field(description="the run's networks of other depths that answer at /depths")
    methods: list[str]
    limits: dict[str, float]


class Service:
    """The model, its siblings, and what is between them and the routes."""

    def __init__(self, run: Path, limits: Limits, device: str) -> None:
        self.limits = limits
        self.meters = Meters()
        self.batcher: Batcher[bytes, Any] = Batcher(self.rows, limits.waiting, self.meters.batch.observe)
        # OpenMP's workers are awake for one thread only: if another had computed before, an image would take 2.5 times
        # as long. So the thread that will use the model loads it.
        self.model: Model
        self.record: r.Record | None
        self.siblings: list[Sibling]
        self.model, self.record, self.siblings = self.batcher.thread.submit(opened, run, device).result()
        self.decoding = ThreadPoolExecutor(os.cpu_count(), "decode")

    def rows(self, contents: Sequence[bytes]) -> list[Any]:
        """Probabilities (classes,) of each picture, or why it can't be used."""
        several = len(contents) > 1
        found: list[Any] = list((self.decoding.map if several else map)(self.decoded, contents))
        readable = [number for number, pixels in enumerate(found) if isinstance(pixels, np.ndarray)]
        if readable:
            rows = self.model.probabilities(np.stack([found[number] for number in readable]))
            for number, row in zip(readable, rows, strict=True):
                found[number] = row
        return found

    def decoded(self, content: bytes) -> npt.NDArray[np.uint8] | Exception:
        """As the network takes them."""
        try:
            check(content, self.limits)
            return self.model.preprocess.pixels(content)
        except (RefusedError, ImageError) as error:
            return error

    def checked(self, content: bytes, work: Callable[..., Any], *given: Any) -> Any:
        """Something else that is to be done with a picture."""
        check(content, self.limits)
        return work(self.model, content, *given)

    async def answer(self, file: Upload, top: int) -> dict[str, Any]:
        """As `Answer` has it."""
        with told_of(file):
            best = self.model.rank(await self.batcher.ask(file.content), top)
        return {"name": file.name, "label": best.label, "classes": best.classes, "probabilities": best.probabilities}

    def about(self) -> About:
        test = self.record.test.top1 if self.record and self.record.test else None
        height, width = self.model.preprocess.size
        return About(
            network=self.model.network.name,
            depth=depth(self.model.network),
            parameters=parameters(self.model.network),
            input=[self.model.preprocess.channels, height, width],
            classes=list(self.model.classes),
            test=test.value if test else None,
            low=test.low if test else None,
            high=test.high if test else None,
            rungs=[Rung(name=s.name, depth=s.depth, accuracy=s.accuracy, chosen=s.chosen) for s in self.siblings],
            methods=list(METHODS),
            limits={"upload": self.limits.upload, "files": self.limits.files, "pixels": self.limits.pixels},
        )


class Measured:
    """Counts and times every request, and says what a browser may do with the answer."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app, self.meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        try:
            await self.app(scope, receive, measured)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.meters.request(route, status, time.perf_counter() - began)


def make_app(run: Path, limits: Limits | None = None, device: str = "cpu") -> FastAPI:
    """The service of a run, or of a model folder; the model is loaded once, now."""
    service = Service(run, limits or Limits(), device)
    allowed = service.limits
    heavy = min(HEAVY, allowed.waiting)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        answering = asyncio.create_task(service.batcher.run())
        yield
        answering.cancel()
        with suppress(asyncio.CancelledError):
            await answering
        service.batcher.close()
        service.decoding.shutdown(cancel_futures=True)

    app = FastAPI(
        title="deepenough",
        description=f"{service.model.network.name}: {', '.join(service.model.classes[:20])}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service

    app.add_middleware(Measured, meters=service.meters)

    @app.exception_handler(FullError)
    async def full(_: Request, __: Exception) -> Response:
        detail = f"{allowed.waiting} pictures are waiting already; come again in {RETRY} s"
        return JSONResponse({"detail": detail}, 503, {"Retry-After": RETRY})

    @app.post("/predict", openapi_extra=BODY, response_model=Answers)
    async def predict(request: Request, top: int = Query(5, ge=1)) -> Response:
        """Classify one picture or several."""
        with service.batcher.entered(1):
            given = await uploads(request, allowed)
            with service.batcher.entered(len(given) - 1):
                found = await gathered([service.answer(file, top) for file in given])
        return Response(json.dumps({"predictions": found}, ensure_ascii=False), media_type="application/json")

    @app.post("/depths", openapi_extra=BODY)
    async def depths(request: Request) -> DepthAnswers:
        """What the run's networks of other depths would have said about one picture."""
        with service.batcher.entered(heavy):
            file = single(await uploads(request, allowed))
            with told_of(file):
                work = partial(service.checked, file.content, said_by, service.siblings)
                return DepthAnswers(depths=await service.batcher.alone(work))

    @app.post("/explain", openapi_extra=BODY, response_class=Response)
    async def explained(
        request: Request,
        method: Method = "gradcam",
        label: str | None = Query(None, alias="class", description="whose heat; the predicted one's by default"),
        view: Literal["picture", "heat"] = Query("picture", description="heat: to be laid over the picture"),
    ) -> Response:
        """Where in the picture the evidence for a class lies: a PNG."""
        if label is not None and label not in service.model.classes:
            raise HTTPException(404, f"class {label!r} is not one of this model's; GET /model lists them")
        draw = {"picture": drawn, "heat": heat_over}[view]
        with service.batcher.entered(heavy):
            file = single(await uploads(request, allowed))
            with told_of(file):
                content = await service.batcher.alone(partial(service.checked, file.content, draw, method, label))
        return Response(content, media_type="image/png")

    @app.get("/model")
    async def about() -> About:
        """What answers here."""
        return service.about()

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether it answers."""
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts and times, as Prometheus reads them."""
        service.meters.pending.set(service.batcher.pending)
        content, kind = service.meters.page()
        return Response(content, headers={"Content-Type": kind})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    for name, kind in (("page.html", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")):
        content = files("deepenough.serve").joinpath(name).read_text(encoding="utf-8")
        path = "/" if name == "page.html" else f"/{name}"
        app.add_api_route(
            path, partial(static, content, kind), include_in_schema=False, response_class=Response, name=name
        )
    return app


async def static(content: str, kind: str) -> Response:
    return Response(content, media_type=kind)


async def gathered(asked: list[Any]) -> list[Any]:
    """All answers, or the first error once all have come to an end."""
    if len(asked) == 1:
        return [await asked[0]]
    found = await asyncio.gather(*asked, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found


def single(given: list[Upload]) -> Upload:
    if len(given) != 1:
        raise HTTPException(400, f"{len(given)} files came; send one")
    return given[0]


def said_by(model: Model, content: bytes, siblings: Sequence[Sibling]) -> list[DepthAnswer]:
    """What each of the networks says about a picture."""
    pixels = model.preprocess.pixels(content)[None]
    said = []
    for sibling in siblings:
        best = sibling.model.rank(sibling.model.probabilities(pixels)[0], 1)
        said.append(
            DepthAnswer(
                name=sibling.name,
                depth=sibling.depth,
                chosen=sibling.chosen,
                label=best.label,
                probability=best.confidence,
            )
        )
    return said


def heat_over(model: Model, content: bytes, method: str, label: str | None) -> bytes:
    """A PNG to be laid over the picture: clear where nothing speaks for the class."""
    pixels = model.preprocess.pixels(content)
    target = int(model.logits(pixels[None])[0].argmax()) if label is None else model.classes.index(label)
    found = heat(model, pixels[None], [target], method)[0]
    picture = upright(content, SIDE)
    picture.thumbnail((SIDE, SIDE))
    return png(overlay(found, picture.size, model.preprocess.framing.box(*picture.size)))


def drawn(model: Model, content: bytes, method: str, label: str | None) -> bytes:
    """A PNG of the picture, the heat and the classes."""
    (found,) = explain(model, content, method=method, truth=label)
    return png(found.picture())


def png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()
