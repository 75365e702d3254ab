"""A terminal or pipe that is not UTF-8 never ends a command: letters that it lacks are escaped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.plain_output import _escaped

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@given(st.text())
def test_what_is_escaped_is_what_json_escapes(text: str) -> None:
    letters = "".join(letter for letter in text if ord(letter) > 127)
    found, end = _escaped(UnicodeEncodeError("ascii", letters, 0, len(letters), "")) if letters else ("", 0)
    assert (json.loads(f'"{found}"'), end) == (letters, len(letters))


@pytest.mark.skipif(os.name != "posix", reason="locales of POSIX")
def test_names_of_all_languages_in_a_plain_locale(finished: Path, shapes: Path, tmp_path: Path) -> None:
    picture = tmp_path / "größe-日本-😀.png"
    picture.write_bytes(next(shapes.rglob("*.png")).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "deepenough", "predict", str(finished), str(picture), "--json"],
        env={**os.environ, **ASCII},
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0
    (line,) = done.stdout.decode("utf-8", "surrogateescape").splitlines()
    assert json.loads(line)["image"].startswith(str(tmp_path))
