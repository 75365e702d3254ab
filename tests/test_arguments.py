"""Arguments of public functions that are of a wrong type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepenough
from deepenough.arguments import check_arguments


@check_arguments
def ask(
    name: str | Path, count: int = 1, share: float | None = None, *, shape: tuple[int, int] = (1, 1), yes: bool = True,
    more: Any = None, names: list[str] | None = None,
) -> str:  # fmt: skip
    """Ask."""
    return f"{name} {count} {share} {shape} {yes} {more}"


@pytest.mark.parametrize(
    "given",
    [
        {"count": np.int64(3)}, {"share": 1}, {"share": np.float32(0.5)}, {"shape": [2, np.int32(3)]}, {"share": None},
        {"yes": np.bool_(False)}, {"more": object()},
        {"names": ["a"]},
    ],
)  # fmt: skip
def test_what_can_be_used_is_taken(given: dict[str, Any]) -> None:
    assert ask(Path("here"), **given).startswith("here ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": 3}, "name=3: expected text or a path"),
        ({"count": "2"}, "count='2': expected a whole number"),
        ({"count": 2.5}, "count=2.5: expected a whole number"),
        ({"count": True}, "count=True: expected a whole number"),
        ({"share": "95%"}, "share='95%': expected a number or None"),
        ({"shape": "3x4"}, "shape='3x4': expected (a whole number, a whole number)"),
        ({"shape": (1, 2, 3)}, "shape=(1, 2, 3): expected (a whole number, a whole number)"),
        ({"yes": "no"}, "yes='no': expected True or False"),
        ({"names": "a"}, "names='a': expected a list or None"),
    ],
)
def test_anything_else_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(deepenough.DeepenoughError) as caught:
        ask(**{"name": "x"} | given)
    assert str(caught.value) == message


def test_names_and_documentation_are_the_functions_own() -> None:
    with pytest.raises(TypeError, match="nmae"):
        ask("x", nmae=3)  # type: ignore[call-arg]
    assert ask.__doc__ == "Ask."


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"int8": "yes"}, "int8='yes': expected True or False"),
        ({"shape": "3x32x32"}, "shape='3x32x32'"),
        ({"depth": "7"}, "depth='7': expected a whole number"),
        ({"out": 3}, "out=3: expected text or a path or None"),
    ],
)
def test_an_export_that_is_called_wrongly_writes_nothing(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(deepenough.DeepenoughError) as caught:
        deepenough.export("alexnet", "onnx", **{"out": tmp_path / "out"} | given)
    assert str(caught.value).startswith(message)
    assert not list(tmp_path.iterdir())
