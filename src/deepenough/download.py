"""Published files from the network: fetched once, whole, checked against their known SHA-256, and kept."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from deepenough.errors import DeepenoughError
from deepenough.progress import Advance, Reporter

ATTEMPTS = 4
"""Attempts in a row that bring no new byte, after which a download is given up."""

FIRST_ATTEMPTS = 2
"""The same before the first byte: without a network the user should not wait long to hear of it."""

TIMEOUT = 30.0  # seconds, for connecting and for each read
ANSWER_TIMEOUT = 3.0  # seconds, where a server is only asked if it is there
READ_BYTES = 1 << 18
PAUSE = 0.5  # seconds before the second attempt; it doubles
_SLACK = 2.0  # what a server may send, in terms of the size that is known
FOREVER = (400, 401, 403, 404, 405, 410, 451)
"""HTTP statuses that another attempt does not change."""


class _BrokenError(Exception):
    """The connection ended, and another attempt may bring the rest."""


class _NoHostError(Exception):
    """The server's name can't be looked up: there is no network, and asking takes long."""


@dataclass(frozen=True)
class Published:
    """A file that is published at `url` with a checksum.

    `name` is what messages call it, `kind` what such files are called. `digest` is its SHA-256 in hexadecimal, whole or
    the first digits where only those are known. `megabytes` is about what the file has. `by_hand` says what to do
    without a network; by default, to download this file on another machine.
    """

    name: str
    url: str
    digest: str
    megabytes: float
    kind: str = "files"
    by_hand: str = ""

    @property
    def file(self) -> str:
        """The file's name, as the publisher gave it."""
        return self.url.rpartition("/")[2]

    def is_whole(self, path: Path) -> bool:
        """True if there is a file at `path` with the published content."""
        return path.is_file() and self.is_digest(self.digest_of(path))

    def digest_of(self, path: Path) -> str:
        """The SHA-256 of a file, in hexadecimal."""
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def is_digest(self, found: str) -> bool:
        """True if a file with this whole SHA-256 is the published one, as far as its digits are known."""
        return bool(self.digest) and found.lower().startswith(self.digest.lower())


def answers(url: str) -> bool:
    """Tell within a moment if the server of a file can be reached; behind a proxy only fetching tells."""
    address = urllib.parse.urlsplit(url)
    if address.scheme in urllib.request.getproxies():
        return True
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=ANSWER_TIMEOUT):
            return True
    except OSError:
        return False


def download(wanted: Published, path: Path, reporter: Reporter | None = None) -> Path:
    """Have the whole, checked file `wanted` at `path`, fetched if it is not there yet.

    A file that was put there by hand counts. A download that broke off goes on where it ended. A kept file that is
    damaged is fetched anew, and replaced only by a good one. Without a network the error says what to put where.
    """
    reporter = reporter or Reporter()
    with kept_in(path.parent, wanted.kind, wanted.megabytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        if wanted.is_whole(path):
            return path
        with alone(path, reporter):
            if not wanted.is_whole(path):  # another process may have been first
                if path.exists():
                    reporter.say(f"{path} is damaged or another file (its SHA-256 is wrong); fetching it anew")
                part = path.with_name(f"{path.name}.part")
                _fetch_checked(wanted, part, path, reporter)
                part.replace(path)
    return path


@contextmanager
def kept_in(folder: Path, kind: str, megabytes: float) -> Iterator[None]:
    """The disk's errors as one that says where there is too little room or no permission."""
    try:
        yield
    except OSError as error:  # of the disk: the network's are caught where they arise
        raise DeepenoughError(
            f"{kind} can't be kept in {folder} ({error.strerror or error}); give a folder with "
            f"{megabytes:.0f} MB to spare in the environment's DEEPENOUGH_CACHE"
        ) from None


def _fetch_checked(wanted: Published, part: Path, path: Path, reporter: Reporter) -> None:
    """Complete `part`, and check it. One that was begun earlier and turns out wrong is fetched once more, whole."""
    begun = part.exists()
    with reporter.task(f"fetching {wanted.name}") as advance:
        _download(wanted, part, path, advance)
        found = wanted.digest_of(part)
        if not wanted.is_digest(found) and begun:
            part.unlink()
            _download(wanted, part, path, advance)
            found = wanted.digest_of(part)
    if not wanted.is_digest(found):
        size = part.stat().st_size
        part.unlink()
        digits = "" if len(wanted.digest) == len(found) else f" (first {len(wanted.digest)} digits)"
        raise DeepenoughError(
            f"{wanted.url} gave a file that is not {wanted.name}: SHA-256 expected {wanted.digest}{digits}, "
            f"found {found} ({size:,} bytes). It was removed; a proxy or a login page may have answered. Try again, "
            f"{_by_hand(wanted, path)}"
        )


def _by_hand(wanted: Published, path: Path) -> str:
    return wanted.by_hand or (
        f"or download {wanted.url} on another machine and put it to {path}: it is checked and taken from there"
    )


def _download(wanted: Published, part: Path, path: Path, advance: Advance) -> None:
    """Append to `part` until it is whole."""
    fruitless, attempts = 0, FIRST_ATTEMPTS
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(wanted, part, before, advance)
            return
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            error.close()
            if error.code == 416:  # what is there is all of the file, or more: the hash tells, or it begins again
                if before and _length(error.headers.get("Content-Range")) == before:
                    return
                part.unlink(missing_ok=True)
                reason = "the server has less than was fetched before"
            elif error.code in FOREVER:
                fruitless = attempts
        except _BrokenError as error:
            reason = str(error)
        except _NoHostError as error:
            reason, fruitless = str(error), attempts
        after = part.stat().st_size if part.exists() else 0
        if after > before:
            fruitless, attempts = 0, ATTEMPTS
        else:
            fruitless += 1
        if fruitless >= attempts:
            raise DeepenoughError(
                f"{wanted.name} can't be fetched from {wanted.url} ({reason}). Try again, {_by_hand(wanted, path)}"
            )
        time.sleep(PAUSE * 2 ** max(0, fruitless - 1))


def _continue(wanted: Published, part: Path, start: int, advance: Advance) -> None:
    """One request for the bytes from `start` on. Raises `_BrokenError`, `_NoHostError` or `HTTPError`."""
    headers = {"User-Agent": "deepenough", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(wanted.url, headers=headers)
    with _as_broken():
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    with answer:
        if start and not (answer.status == 206 and _start(answer.headers.get("Content-Range")) == start):
            if answer.status == 206:
                part.unlink()
                raise _BrokenError("the server sent another part than was asked for")
            start = 0  # it sends the whole file, whatever was asked for
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else None
        done, most = start, wanted.megabytes * _SLACK * 1e6 + (1 << 20)
        with part.open("ab" if start else "wb") as file:
            while True:
                with _as_broken():
                    block = answer.read(READ_BYTES)
                if not block:
                    break
                done += len(block)
                if done > most:
                    part.unlink()
                    raise DeepenoughError(
                        f"{wanted.url} sends more than twice the {wanted.megabytes:.0f} MB of {wanted.name}, so it is "
                        "another file; it was removed"
                    )
                file.write(block)
                advance(done, max(total or 0, done), f"{done / 1e6:.0f} of {(total or done) / 1e6:.0f} MB")
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise _BrokenError(f"the connection ended after {done:,} of {total:,} bytes")


@contextmanager
def _as_broken() -> Iterator[None]:
    """The network's errors as `_BrokenError`. Some are OSErrors, as the disk's are: they must not be mixed up."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        if isinstance(error.reason, socket.gaierror):
            raise _NoHostError(str(error.reason)) from None
        raise _BrokenError(str(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(str(error) or type(error).__name__) from None


def _start(content_range: str | None) -> int | None:
    """The first byte of an answer's Content-Range."""
    found = re.match(r"bytes (\d+)-", content_range or "")
    return int(found[1]) if found else None


def _length(content_range: str | None) -> int | None:
    """The whole file's length in a Content-Range."""
    found = re.search(r"/(\d+)$", content_range or "")
    return int(found[1]) if found else None


@contextmanager
def alone(path: Path, reporter: Reporter) -> Iterator[None]:
    """Only one process (or thread) at a time has this, for one path; the system ends it when its process ends."""
    lock = FileLock(path.with_name(f".{path.name}.lock"), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        reporter.say(f"another process is fetching {path.name}; waiting for it")
        lock.acquire(poll_interval=0.1)
    try:
        yield
    finally:
        lock.release()
