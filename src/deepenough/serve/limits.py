"""The limits of a request: bytes, files, pixels, formats, seconds. Nothing is fetched, and nothing is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from deepenough.data.decoder_remarks import collected
from deepenough.data.finding import ImageError
from deepenough.data.image_file import open_content
from deepenough.serve.refusals import FullError, RefusedError

_Body = TypeVar("_Body")
PIECE = 16 * 2**10  # bytes that an upload makes at least in each `idle` seconds
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # clients are told what is wrong with their bodies


@dataclass(frozen=True)
class Limits:
    """Of one request: bytes of its body, files, pixels of a picture, seconds until its body is here, and seconds that
    it may take for `PIECE` bytes of it.

    Of all together: `waiting` pictures to predict, `heavy` explanations, `uploads` that are under way, and as many
    bytes as `bodies` of the largest have, from their arrival to their answer. A picture that finds `waiting` before it
    gets `admission` seconds to be let in. An explanation is refused when it gets no turn in `patience` seconds, and
    given up after `computing`.

    A picture that is more than a little work is decoded in `decoding` seconds and `memory` bytes, or refused;
    `decodings` of them are on their way, at most a quarter of these for one request.
    """

    upload: int = 20 * 2**20
    files: int = 32
    pixels: int = 50_000_000
    seconds: float = 30.0
    idle: float = 5.0
    waiting: int = 256
    admission: float = 0.5
    heavy: int = 8
    uploads: int = 512
    bodies: int = 12
    patience: float = 30.0
    computing: float = 120.0
    decoding: float = 10.0
    memory: int = 2**30
    decodings: int = 32

    @property
    def decodings_each(self) -> int:
        """Large pictures of one request that are on their way; its others wait for these."""
        return max(self.decodings // 4, 1)


@dataclass(frozen=True)
class Upload:
    """One file as it came."""

    name: str
    content: bytes


class InMemoryParser(MultiPartParser):
    """Starlette's parser without its temporary files; the body is bounded before it comes here.

    Texts are taken byte by byte, as Latin-1, whatever `charset` the request names: some of Python's encodings fail, and
    others make texts that can't be encoded again.
    """

    spool_max_size = 2**40

    @property
    def _charset(self) -> str:
        return "latin-1"

    @_charset.setter
    def _charset(self, named: str) -> None: ...


class Received:
    """Bytes of one request that have arrived."""

    size = 0


class UploadReader:
    """Takes in the bodies of requests: `uploads` are under way, `held` are their bytes until they are answered."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.uploads = self.held = 0

    @asynccontextmanager
    async def files(self, request: Request) -> AsyncIterator[list[Upload]]:
        """The files of a multipart body, or the whole body as one. Raises RefusedError."""

        async def read(chunks: AsyncGenerator[bytes, None]) -> list[Upload]:
            if is_form(request.headers):
                return await _parsed(request.headers, chunks, self.limits.files)
            return [Upload("", await _joined(chunks))]

        async with self._read(request, read) as files:
            if not files or not all(file.content for file in files):
                detail = "no image was sent; send files as multipart/form-data, or the bytes of one image"
                raise RefusedError(400, "no-image", detail)
            yield files

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body as it came. Raises RefusedError."""
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.strip().lower() != "identity":
            raise RefusedError(
                415, "bad-request", f"bodies in the encoding {encoding[:20]!r} are not read; send it as it is"
            )
        async with self._read(request, _joined) as content:
            yield content

    @asynccontextmanager
    async def _read(
        self, request: Request, read: Callable[[AsyncGenerator[bytes, None]], Awaitable[_Body]]
    ) -> AsyncIterator[_Body]:
        """Give the context the result of `read` on a body, whose bytes count as held while it lasts."""
        body = Received()
        try:
            yield await self._take_in(request, body, read)
        finally:
            self.held -= body.size

    async def _take_in(
        self, request: Request, body: Received, read: Callable[[AsyncGenerator[bytes, None]], Awaitable[_Body]]
    ) -> _Body:
        limits, now = self.limits, asyncio.get_running_loop().time
        if self.uploads >= limits.uploads:
            raise FullError(f"{self.uploads} uploads are already under way")
        self.uploads += 1
        until = now() + limits.seconds
        try:
            async with (
                asyncio.timeout(min(limits.idle, limits.seconds)) as timer,
                aclosing(self._chunks(request, body, timer, until)) as chunks,
            ):
                return await read(chunks)
        except TimeoutError:
            slow = f"less than {PIECE // 2**10} KiB came in {limits.idle:g} s"
            long = f"it took more than {limits.seconds:g} s"
            detail = f"the upload is too slow: {long if now() >= until else slow}; send smaller files"
            # What is left of a body would come on this connection for as long as its client likes.
            raise RefusedError(408, "too-slow", detail, {"Connection": "close"}) from None
        finally:
            self.uploads -= 1

    async def _chunks(
        self, request: Request, body: Received, timer: asyncio.Timeout, until: float
    ) -> AsyncGenerator[bytes, None]:
        limits, now = self.limits, asyncio.get_running_loop().time
        most, room = limits.upload, limits.upload * limits.bodies
        size = f"{most // 2**20} MiB" if most >= 2**20 else f"{most:,} bytes"
        too_large = RefusedError(413, "too-large", f"the upload is larger than {size}; send smaller or fewer files")
        said = request.headers.get("content-length", "")
        if said.isdigit() and int(said) > most:
            raise too_large
        judged = 0
        async with aclosing(request.stream()) as stream:
            async for chunk in stream:
                body.size += len(chunk)
                self.held += len(chunk)
                if body.size > most:
                    raise too_large
                if self.held > room:
                    raise FullError(
                        f"uploads of {self.held:,} bytes are being processed, and there is room for {room:,}"
                    )
                if body.size - judged >= PIECE:
                    judged = body.size
                    timer.reschedule(min(now() + limits.idle, until))
                yield chunk


def is_form(headers: Headers) -> bool:
    """Tell if a body is multipart/form-data. Media types are written in any case, with parameters or without."""
    kind, _, _ = headers.get("content-type", "").partition(";")
    return kind.strip().lower() == "multipart/form-data"


async def _joined(chunks: AsyncGenerator[bytes, None]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def _parsed(headers: Headers, chunks: AsyncGenerator[bytes, None], most: int) -> list[Upload]:
    parser = InMemoryParser(headers, chunks, max_files=most, max_fields=most)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many"):
            raise RefusedError(
                413, "too-many-files", f"too many files or fields were sent; send at most {most} files"
            ) from None
        raise RefusedError(400, "bad-request", error.message.rstrip(".")) from None
    return [Upload(_name(f), await f.read()) for _, f in form.multi_items() if isinstance(f, UploadFile)]


def _name(file: UploadFile) -> str:
    """The name of a file, which is UTF-8 in a form (RFC 7578); bytes that are none are replaced."""
    return (file.filename or "").encode("latin-1", "replace").decode("utf-8", "replace")


class Header(NamedTuple):
    """The header of a picture: its format and mode, in Pillow's words, and its size in pixels."""

    kind: str | None
    mode: str
    width: int
    height: int


def check_picture(content: bytes, limits: Limits) -> Header:
    """Raise RefusedError or ImageError unless this is a picture of a known format and size, by its header alone."""
    try:
        with collected(), open_content(content) as image:  # remarks are no errors, and the log has a form of its own
            header = Header(image.format, image.mode, *image.size)
    except ImageError as error:
        if error.kind in ("animated", "bomb"):
            raise
        told = f": {error.detail}" if error.kind == "unsupported" else "; send JPEG, PNG, WebP, GIF, BMP or TIFF"
        raise RefusedError(415, "not-an-image", f"this is not an image that can be read{told}") from None
    if header.width * header.height > limits.pixels:
        size = f"{header.width} x {header.height}"
        raise RefusedError(413, "too-many-pixels", f"{size} is more than {limits.pixels:,} pixels")
    return header


@contextmanager
def errors_named_by(file: Upload) -> Iterator[None]:
    """Begin the errors of a file with its name."""
    name = f"{file.name}: " if file.name else ""
    try:
        yield
    except FullError:
        raise
    except RefusedError as error:
        raise RefusedError(error.status_code, error.code, f"{name}{error.detail}") from None
    except ImageError as error:  # damaged, animated or tiny
        raise RefusedError(422, error.kind, f"{name}{error}") from None
