"""The routes. Pictures are decoded in threads, the network runs in one thread of its own, the event loop only waits."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deepenough.attribution import METHODS
from deepenough.data.decode import framed
from deepenough.data.finding import ImageError
from deepenough.model import Model
from deepenough.nets import depth, parameters
from deepenough.record import Record
from deepenough.report.html import asset
from deepenough.serve.batcher import Batcher
from deepenough.serve.depths import Sibling, opened
from deepenough.serve.docs import docs_page
from deepenough.serve.explanations import DepthAnswer, Pixels, explained, heat_over, prepare, said_by
from deepenough.serve.limits import Intake, Limits, Upload, check, told_of
from deepenough.serve.metrics import Meters
from deepenough.serve.refusals import Refusal, RefusedError, refusal, tell

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
STUCK = 60.0  # seconds without a sign of life from a model that has something to do

Found = TypeVar("Found")
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


class DepthAnswers(BaseModel):
    depths: list[DepthAnswer]


class Architecture(BaseModel):
    name: str
    depth: int
    accuracy: float
    chosen: bool
    finished: bool = Field(description="false: its training ended early, as pruned; of what was seen until then")


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
    folds: int = Field(
        description="above 1, the accuracies of `architectures` are out of so many folds, while what networks that "
        "were not chosen say at /depths is the word of their first fold's network; 1: one validation split, 0: no run"
    )
    architectures: list[Architecture] = Field(description="the run's networks of other depths that answer at /depths")
    methods: list[str]
    limits: dict[str, float]


class Service:
    """The model, its siblings, and what is between them and the routes."""

    def __init__(self, run: Path, limits: Limits, device: str) -> None:
        self.limits = limits
        self.meters = Meters()
        self.intake = Intake(limits)
        self.batcher: Batcher[bytes, Any] = Batcher(self.rows, limits.waiting, self.meters.batch.observe, limits.heavy)
        self.answering: asyncio.Task[None] | None = None
        # OpenMP's workers are awake for one thread only: if another had computed before, an image would take 2.5 times
        # as long. So the thread that will use the model loads it.
        self.model: Model
        self.record: Record | None
        self.siblings: list[Sibling]
        self.model, self.record, self.siblings = self.batcher.thread.submit(opened, run, device).result()
        self.decoding = ThreadPoolExecutor(os.cpu_count(), "decode")
        prepare()

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

    def decoded(self, content: bytes) -> Pixels | Exception:
        """As the network takes them, or why it does not."""
        try:
            return self.pixels(content)
        except (RefusedError, ImageError) as error:
            return error

    def pixels(self, content: bytes) -> Pixels:
        """As the network takes them. Raises RefusedError or ImageError."""
        check(content, self.limits)
        return framed(content, self.model.preprocess)

    async def aside(self, work: Callable[..., Found], *given: Any) -> Found:
        """What needs no model, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self.decoding, work, *given)

    async def heavier(self, content: bytes, work: Callable[..., Found]) -> Found:
        """What `work` makes of the pixels of a picture, when it is its turn."""
        pixels = await self.aside(self.pixels, content)
        return await self.batcher.alone(partial(work, pixels), self.limits.patience, self.limits.computing)

    def trouble(self) -> str | None:
        """Why nothing is answered any more, if that is so."""
        if self.answering is None or self.answering.done():
            return "predictions are not answered any more"
        seconds = self.batcher.stalled()
        return f"the model has given no sign of life for {seconds:.0f} s" if seconds > STUCK else None

    async def answer(self, file: Upload, top: int) -> dict[str, Any]:
        """As `Answer` has it."""
        with told_of(file):
            best = self.model.rank(await self.batcher.ask(file.content), top)
        return {"name": file.name, "label": best.label, "classes": best.classes, "probabilities": best.probabilities}

    def about(self) -> About:
        test = self.record.test.top1 if self.record and self.record.test else None
        return About(
            network=self.model.network.name,
            depth=depth(self.model.network),
            parameters=parameters(self.model.network),
            input=list(self.model.preprocess.shape),
            classes=list(self.model.classes),
            test=test.value if test else None,
            low=test.low if test else None,
            high=test.high if test else None,
            folds=self.record.decision_images.folds if self.record else 0,
            architectures=[
                Architecture(name=s.name, depth=s.depth, accuracy=s.accuracy, chosen=s.chosen, finished=s.finished)
                for s in self.siblings
            ],
            methods=list(METHODS),
            limits={"upload": self.limits.upload, "files": self.limits.files, "pixels": self.limits.pixels},
        )


class Measured:
    """Counts and times every request, says what a browser may do with the answer, answers HEAD as GET without a body,
    and an error that nobody expected as the others."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app, self.meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        head = scope["method"] == "HEAD"
        asked = {**scope, "method": "GET"} if head else scope

        async def measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *HEADERS]
            elif head:
                message["body"] = b""
            await send(message)

        try:
            await self.app(asked, receive, measured)
        except Exception:
            if not status:  # Starlette's own answer would be sent outside of this, and so without the headers
                failed = RefusedError(500, "failed", "something went wrong here; whoever runs this finds it in the log")
                await refusal(failed)(scope, receive, measured)
            raise
        finally:
            route = getattr(asked.get("route"), "path", "none")
            self.meters.request(route, status or 500, time.perf_counter() - began)


def make_app(run: Path, limits: Limits | None = None, device: str = "cpu") -> FastAPI:
    """The service of a run, or of a model folder; the model is loaded once, now."""
    service = Service(run, limits or Limits(), device)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        answering = service.answering = asyncio.create_task(service.batcher.run())
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
        responses={code: {"model": Refusal} for code in ("4XX", "5XX", 422)},
    )
    app.state.service = service

    app.add_middleware(Measured, meters=service.meters)

    tell(app)

    @app.post("/predict", openapi_extra=BODY, response_model=Answers)
    async def predict(request: Request, top: int = Query(5, ge=1)) -> Response:
        """Classify one picture or several."""
        async with service.intake.files(request) as given:
            with service.batcher.entered(len(given)):
                found = await gathered([service.answer(file, top) for file in given])
        return Response(json.dumps({"predictions": found}, ensure_ascii=False), media_type="application/json")

    @app.post("/depths", openapi_extra=BODY)
    async def depths(request: Request) -> DepthAnswers:
        """What the run's networks of other depths would have said about one picture."""
        async with service.intake.files(request) as given:
            file = single(given)
            with told_of(file), service.batcher.entered_heavy():
                work = service.heavier(file.content, partial(said_by, service.siblings))
                return DepthAnswers(depths=await unless_gone(request, work))

    @app.post("/explain", openapi_extra=BODY, response_class=Response)
    async def explain(
        request: Request,
        method: Method = "gradcam",
        label: str | None = Query(None, alias="class", description="whose heat; the predicted one's by default"),
        view: Literal["picture", "heat"] = Query("picture", description="heat: to be laid over the picture"),
    ) -> Response:
        """Where in the picture the evidence for a class lies: a PNG."""
        if label is not None and label not in service.model.classes:
            told = f"class {label!r} is not one of this model's; GET /model lists them"
            raise RefusedError(404, "unknown-class", told)
        seen = {"picture": explained, "heat": heat_over}[view]

        async def drawn(content: bytes) -> bytes:
            drawing = await service.heavier(content, partial(seen, service.model, method, label, content))
            return await service.aside(drawing)

        async with service.intake.files(request) as given:
            file = single(given)
            with told_of(file), service.batcher.entered_heavy():
                content = await unless_gone(request, drawn(file.content))
        return Response(content, media_type="image/png")

    @app.get("/model")
    async def about() -> About:
        """What answers here."""
        return service.about()

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether it answers."""
        if told := service.trouble():
            raise RefusedError(503, "stuck", told)
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counts and times, as Prometheus reads them."""
        service.meters.set(
            service.batcher.pending, service.batcher.heavier, service.intake.uploads, service.intake.held
        )
        content, kind = service.meters.page()
        return Response(content, headers={"Content-Type": kind})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    for name, kind in (("page.html", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")):
        content = asset("serve", name)
        path = "/" if name == "page.html" else f"/{name}"
        app.add_api_route(
            path, partial(static, content, kind), include_in_schema=False, response_class=Response, name=name
        )
    return app


async def static(content: str, kind: str) -> Response:
    return Response(content, media_type=kind)


async def unless_gone(request: Request, work: Coroutine[Any, Any, Found]) -> Found:
    """What the work gives; it is cancelled when the client hangs up. The body has been read before."""
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
    while (await request.receive())["type"] != "http.disconnect":
        pass


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
        raise RefusedError(400, "too-many-files", f"{len(given)} files came; send one")
    return given[0]
