"""Output on a terminal or into a pipe that can't show all letters: those are escaped, and nothing fails for them."""

from __future__ import annotations

import codecs
import io
import sys


def escape_what_cannot_be_shown() -> None:
    """Write what stdout and stderr can't encode as \\uXXXX, which also is valid in JSON, and raise no error."""
    codecs.register_error("deepenough-escape", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="deepenough-escape")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)), error.end
