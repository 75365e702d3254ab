"""Arguments of public functions that are of a wrong type."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch

import deepenough
from deepenough.arguments import check_arguments


@check_arguments
def ask(
    name: str | Path, count: int = 1, share: float | None = None, *, shape: tuple[int, int] = (1, 1), yes: bool = True,
    more: Any = None, names: list[str] | None = None,
) -> str:  # fmt: skip
    """Ask."""
    return repr([name, count, share, shape, yes, more, names])


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({"name": PurePosixPath("x")}, f"[{Path('x')!r}, 1, None, (1, 1), True, None, None]"),
        ({"count": np.int64(3)}, "['x', 3, None, (1, 1), True, None, None]"),
        ({"share": 1}, "['x', 1, 1, (1, 1), True, None, None]"),
        ({"share": np.float32(0.5)}, "['x', 1, 0.5, (1, 1), True, None, None]"),
        ({"shape": torch.Size([2, 3])}, "['x', 1, None, (2, 3), True, None, None]"),
        ({"shape": (2, np.int32(3))}, "['x', 1, None, (2, 3), True, None, None]"),
        ({"yes": np.bool_(False)}, "['x', 1, None, (1, 1), False, None, None]"),
        ({"more": np.int64(3)}, "['x', 1, None, (1, 1), True, np.int64(3), None]"),
        ({"names": ["a"]}, "['x', 1, None, (1, 1), True, None, ['a']]"),
    ],
)
def test_what_can_be_used_is_taken_as_pythons_own(given: dict[str, Any], seen: str) -> None:
    assert ask(**{"name": "x"} | given) == seen


def test_an_export_takes_numpys_numbers(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "shape": (3, np.int64(32), np.int32(32)), "classes": np.uint8(4), "depth": np.int64(7),
        "width": np.float32(0.25), "verify": np.bool_(False),
    }  # fmt: skip
    assert deepenough.export("residual", "torch", out=tmp_path / "out", **options).model.is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": 3}, "name=3: expected text or a path"),
        ({"count": "2"}, "count='2': expected a whole number"),
        ({"count": 2.5}, "count=2.5: expected a whole number"),
        ({"count": True}, "count=True: expected a whole number"),
        ({"count": np.array([2, 3])}, "count=array([2, 3]): expected a whole number"),
        ({"name": np.zeros((9, 9))}, "name=<ndarray>: expected text or a path"),
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
    with pytest.raises(TypeError, match=r"ask\(\) got an unexpected keyword argument 'nmae'"):
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
