"""Named weights from the network: fetched once, whole, checked against their SHA-256, and kept."""

from __future__ import annotations

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
from pathlib import Path

from filelock import FileLock, Timeout

from deepenough.errors import DeepenoughError
from deepenough.files import sha256
from deepenough.progress import Advance, Reporter
from deepenough.user_folders import cache_root
from deepenough.weights.names import Named

ATTEMPTS = 4
"""Attempts in a row that bring no new byte, after which a download is given up."""

FIRST_ATTEMPTS = 2
"""The same before the first byte: without a network the user should not wait long to hear of it."""

TIMEOUT = 30.0  # seconds, for connecting and for each read
ANSWER_TIMEOUT = 3.0  # seconds, where a server is only asked if it is there
READ_BYTES = 1 << 18
PAUSE = 0.5  # seconds before the second attempt; it doubles
FOREVER = (400, 401, 403, 404, 405, 410, 451)
"""HTTP statuses that another attempt does not change."""


class _BrokenError(Exception):
    """The connection ended, and another attempt may bring the rest."""


class _NoHostError(Exception):
    """The server's name can't be looked up: there is no network, and asking takes long."""


def weights_folder() -> Path:
    """Return the folder of weights: `weights` in the environment's DEEPENOUGH_CACHE, or in the user's cache folder."""
    return cache_root() / "weights"


def cached(named: Named) -> Path | None:
    """The file where it lies, if it is there; its content is checked when it is used."""
    path = weights_folder() / named.file
    return path if path.is_file() else None


def answers(named: Named) -> bool:
    """Tell within a moment if the server of a file can be reached; behind a proxy only fetching tells."""
    address = urllib.parse.urlsplit(named.url)
    if address.scheme in urllib.request.getproxies():
        return True
    try:
        with socket.create_connection((address.hostname or "", address.port or 443), timeout=ANSWER_TIMEOUT):
            return True
    except OSError:
        return False


def fetch(named: Named, reporter: Reporter | None = None) -> Path:
    """The whole, checked file of `named`, fetched if it is not there yet.

    A file that was put there by hand counts. A download that broke off goes on where it ended. A kept file that is
    damaged is fetched anew, and replaced only by a good one. Without a network the error says what to put where.
    """
    reporter = reporter or Reporter()
    path = weights_folder() / named.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_good(path, named):
            return path
        with _alone(path, reporter):
            if not _is_good(path, named):  # another process may have been first
                if path.exists():
                    reporter.say(f"{path} is damaged or another file (its SHA-256 is wrong); fetching it anew")
                part = path.with_name(f"{path.name}.part")
                _fetch_checked(named, part, path, reporter)
                part.replace(path)
    except OSError as error:  # of the disk: the network's are caught where they arise
        raise DeepenoughError(
            f"weights can't be kept in {path.parent} ({error.strerror or error}); give a folder with "
            f"{named.megabytes:.0f} MB to spare in the environment's DEEPENOUGH_CACHE"
        ) from None
    return path


def _is_good(path: Path, named: Named) -> bool:
    return path.is_file() and named.is_hash(sha256(path))


def _fetch_checked(named: Named, part: Path, path: Path, reporter: Reporter) -> None:
    """Complete `part`, and check it. One that was begun earlier and turns out wrong is fetched once more, whole."""
    begun = part.exists()
    with reporter.task(f"fetching {named.name}") as advance:
        _download(named, part, path, advance)
        found = sha256(part)
        if not named.is_hash(found) and begun:
            part.unlink()
            _download(named, part, path, advance)
            found = sha256(part)
    if not named.is_hash(found):
        size = part.stat().st_size
        part.unlink()
        digits = "" if len(named.sha256) == 64 else f" (first {len(named.sha256)} digits)"
        raise DeepenoughError(
            f"{named.url} gave a file that is not {named.name}: SHA-256 expected {named.sha256}{digits}, found {found} "
            f"({size:,} bytes). It was removed; a proxy or a login page may have answered. Try again, "
            f"{_by_hand(named, path)}"
        )


def _by_hand(named: Named, path: Path) -> str:
    return f"or download {named.url} on another machine and put it to {path}"


def _download(named: Named, part: Path, path: Path, advance: Advance) -> None:
    """Append to `part` until it is whole."""
    fruitless, attempts = 0, FIRST_ATTEMPTS
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            _continue(named, part, before, advance)
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
                f"{named.name} can't be fetched from {named.url} ({reason}). Try again, {_by_hand(named, path)}: "
                "it is checked and taken from there"
            )
        time.sleep(PAUSE * 2 ** max(0, fruitless - 1))


def _continue(named: Named, part: Path, start: int, advance: Advance) -> None:
    """One request for the bytes from `start` on. Raises `_BrokenError`, `_NoHostError` or `HTTPError`."""
    headers = {"User-Agent": "deepenough", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(named.url, headers=headers)
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
        done = start
        with part.open("ab" if start else "wb") as file:
            while True:
                with _as_broken():
                    block = answer.read(READ_BYTES)
                if not block:
                    break
                file.write(block)
                done += len(block)
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
def _alone(path: Path, reporter: Reporter) -> Iterator[None]:
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
