"""Numbers with units mean the same on the command line, in Python and in a file, and what is no number is named."""

from __future__ import annotations

import re
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.cli.fit import fit_command
from deepenough.cli.predict import predict_command
from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options, fit_options
from deepenough.units import UNITS

WRITTEN = [
    ("target", "0.95", 0.95),
    ("target", "95%", 0.95),
    ("target", " 97.5 % ", 0.975),
    ("margin", "1%", 0.01),
    ("budget", "65%", 0.65),
    ("budget", "2.5", 2.5),
    ("budget", ".5", 0.5),
    ("budget", "1e-1", 0.1),
    ("target", ".9", 0.9),
    ("initial_scale", "70%", 0.7),
    ("time_limit", "90", 90),
    ("time_limit", "90s", 90),
    ("time_limit", "20m", 1_200),
    ("time_limit", "1.5h", 5_400),
    ("time_limit", "1.5 H", 5_400),
    ("cache_limit", "4GB", 4e9),
    ("cache_limit", "4GiB", 4 * 2**30),
    ("cache_limit", "500 MB", 5e8),
    ("cache_limit", "1.5T", 1.5e12),
    ("lr", "1e-3", 0.001),
    ("epochs", "7", 7),
    ("seed", str(2**63 - 1), 2**63 - 1),
    ("erase", "25%", 0.25),
]


def value_in(asked: Options, name: str) -> Any:
    held = {**asked.switches, **asked.recipe}
    return held[name] if name in held else getattr(asked, name)


def parsed(name: str, text: str) -> Any:
    """The value that the command line comes to."""
    return fit_command.make_context("fit", [fit_options()[name].spelled, text]).params[name]


@pytest.mark.parametrize(("text", "value"), [("60%", 0.6), ("0.6", 0.6), ("1e-3", 0.001), ("100 %", 1.0)])
def test_a_probability_may_be_a_percentage(text: str, value: float) -> None:
    words = ["run", "a.png", "--reject-below", text]
    assert predict_command.make_context("predict", words).params["reject_below"] == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("some%", "--reject-below 'some%': expected a probability, such as 0.25 or 25%"),
        ("120%", "--reject-below 1.2: expected 0 to 1"),
    ],
)
def test_what_is_no_probability_is_refused(text: str, expected: str) -> None:
    with pytest.raises(DeepenoughError, match=expected):
        predict_command.make_context("predict", ["run", "a.png", "--reject-below", text])


@pytest.mark.parametrize(("name", "text", "value"), WRITTEN)
def test_text_means_the_same_in_python_and_on_the_command_line(name: str, text: str, value: float) -> None:
    assert value_in(Options.of(**{name: text}), name) == value == parsed(name, text)
    assert value_in(Options.of(**{name: value}), name) == value


@given(st.integers(1, 9_999))
def test_a_percentage_is_the_share_that_is_written_with_a_point(hundredths: int) -> None:
    assert UNITS["SHARE"].parse(f"{hundredths / 100:g}%") == float(f"0.{hundredths:04}")


@pytest.mark.parametrize(
    ("name", "wrong", "expected"),
    [
        ("target", "0,95", "--target '0,95': expected a share, such as 0.95 or 95%; write a point for the comma: 0.95"),
        ("target", ",5", "write a point for the comma: 0.5"),
        ("margin", "1,5%", "write a point for the comma: 1.5%"),
        ("time_limit", "1,5h", "write a point for the comma: 1.5h"),
        ("lr", "0,1", "--lr '0,1': expected a number; write a point for the comma: 0.1"),
        ("time_limit", "20 minutes", "expected a length of time, such as 90s, 20m or 1.5h"),
        ("cache_limit", "4 parsec", "expected an amount of memory, such as 500MB or 20GB"),
        ("epochs", "ten", "--epochs 'ten': expected a whole number"),
        ("epochs", "3.5", "--epochs 3.5: expected a whole number"),
        ("budget", "65 parts", "--budget '65 parts': expected a number or a share, such as 2, 0.7 or 70%"),
        ("target", "95", "for 95% write 0.95 or 95%"),
        ("target", "950%", "expected a share between 0 and 1"),
        ("width", "1,5", "--width '1,5': expected a number; write a point for the comma: 1.5"),
    ],
)
def test_text_that_is_no_such_number_is_an_error_with_the_way_out(name: str, wrong: str, expected: str) -> None:
    with pytest.raises(DeepenoughError, match=re.escape(expected)):
        Options.of(**{name: wrong})
    with pytest.raises((DeepenoughError, click.ClickException), match=re.escape(expected)):
        parsed(name, wrong)


@pytest.mark.parametrize("wrong", [[0.9], {"a": 1}, object(), True, np.array([0.3, 0.4]), b"0.9", (), 1j])
@pytest.mark.parametrize("name", ["target", "time_limit", "epochs", "lr"])
def test_a_value_of_another_type_is_an_error_of_the_packages_own(name: str, wrong: object) -> None:
    with pytest.raises(DeepenoughError, match=f"{fit_options()[name].spelled} .*: expected "):
        Options.of(**{name: wrong})


@pytest.mark.parametrize("name", [name for name, each in fit_options().items() if name != "data"])
@pytest.mark.parametrize("wrong", [object(), [object()], {"a": object()}, np.zeros((2, 2))])
def test_every_option_refuses_what_it_cannot_hold(name: str, wrong: object) -> None:
    with pytest.raises(DeepenoughError, match=fit_options()[name].spelled):
        Options.of(**{name: wrong})


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("epochs", np.int64(4), 4),
        ("epochs", 4.0, 4),
        ("target", np.float32(0.5), 0.5),
        ("scratch", np.True_, True),
        ("flip", 1, True),
        ("width", np.float64(2), (2.0,)),
        ("width", [1, 2.5], (1.0, 2.5)),
        ("family", "plain", ("plain",)),
    ],
)
def test_numbers_of_other_libraries_become_plain_ones(name: str, given: object, value: object) -> None:
    found = value_in(Options.of(**{name: given}), name)
    assert found == value
    assert type(found) is type(value)
