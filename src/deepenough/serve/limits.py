"""What a request may bring: bytes, files, pixels, formats, seconds. Nothing is fetched, and nothing is written."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fastapi import HTTPException, Request
from PIL import Image
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from deepenough.data.finding import ImageError

Image.init()
KNOWN = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
FORMATS = tuple(name for name in KNOWN if name in Image.OPEN)
"""Pillow reads more; these are read by libraries alone, and not by programs that it would start."""


@dataclass(frozen=True)
class Limits:
    """Of one request: bytes of its body, files, pixels of a picture, and seconds until its body is here. `waiting` is
    how many pictures may be on their way in all."""

    upload: int = 20 * 2**20
    files: int = 32
    pixels: int = 50_000_000
    seconds: float = 30.0
    waiting: int = 256


@dataclass(frozen=True)
class Upload:
    """One file as it came."""

    name: str
    content: bytes


class RefusedError(Exception):
    """A picture that is not even looked at, with the status that says so."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class InMemory(MultiPartParser):
    """Starlette's parser without its temporary files; the body is bounded before it comes here."""

    spool_max_size = 2**40


async def uploads(request: Request, limits: Limits) -> list[Upload]:
    """The files of a multipart body, or the whole body as one. Raises HTTPException."""
    try:
        async with asyncio.timeout(limits.seconds):
            body = await _body(request, limits.upload)
    except TimeoutError:
        raise HTTPException(408, f"the upload took more than {limits.seconds:.0f} s; send smaller files") from None
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        files = [Upload("", body)]
    else:
        files = await _files(request, body, limits.files)
    if not files or not all(file.content for file in files):
        raise HTTPException(400, "no image came: send files as multipart/form-data, or the bytes of one image")
    return files


async def _body(request: Request, most: int) -> bytes:
    too_large = HTTPException(413, f"the upload is larger than {most // 2**20} MiB; send smaller or fewer files")
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise too_large
    return bytes(body)


async def _files(request: Request, body: bytes, most: int) -> list[Upload]:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = InMemory(request.headers, stream(), max_files=most, max_fields=most)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        many = error.message.startswith("Too many")
        raise HTTPException(413 if many else 400, f"{error.message.rstrip('.')}; at most {most} files") from None
    return [Upload(f.filename or "", await f.read()) for _, f in form.multi_items() if isinstance(f, UploadFile)]


def check(content: bytes, limits: Limits) -> None:
    """Raise RefusedError unless this is a picture of a known format and size, by its header alone."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise RefusedError(413, f"more pixels than {limits.pixels:,}") from None
    except Exception:  # Pillow's parsers raise many kinds
        raise RefusedError(415, "this is no image that can be read; JPEG, PNG, WebP, GIF, BMP and TIFF can") from None
    if width * height > limits.pixels:
        raise RefusedError(413, f"{width} x {height} is more than {limits.pixels:,} pixels")


@contextmanager
def told_of(file: Upload) -> Iterator[None]:
    """Tell the client which file can't be used, and why."""
    name = f"{file.name}: " if file.name else ""
    try:
        yield
    except RefusedError as error:
        raise HTTPException(error.status, f"{name}{error}") from None
    except ImageError as error:  # damaged, animated or tiny
        raise HTTPException(422, f"{name}{error}") from None
