"""Quantities as people write them."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options
from deepenough.units import UNITS, count_text, latency_text, size_text

numbers = st.decimals(0, 10**6, places=3, allow_nan=False)
FACTORS = {
    "TIME": {"": 1, "s": 1, "m": 60, "h": 3600},
    "SIZE": {"": 1, "B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "M": 1000**2},
    "LATENCY": {"s": 1, "ms": Decimal("0.001"), "us": Decimal("0.000001"), "µs": Decimal("0.000001")},
    "COUNT": {"": 1, "k": 1000, "K": 1000, "M": 10**6, "G": 10**9, "B": 10**9},
}


@given(st.sampled_from(sorted(FACTORS)), st.data(), numbers, st.sampled_from(["", " "]))
def test_a_number_and_its_unit_are_multiplied(unit: str, data: st.DataObject, number: Decimal, space: str) -> None:
    ending = data.draw(st.sampled_from(sorted(FACTORS[unit])))
    assert UNITS[unit].parse(f"{number:f}{space}{ending}") == float(number * FACTORS[unit][ending])


def quantity(unit: str, text: str) -> float | None:
    """The number that `text` is in `unit`, as `Fraction` reads numbers; None for text that is no quantity of it."""
    lower = text.strip().lower()
    number = lower.rstrip("abcdefghijklmnopqrstuvwxyzµ%")
    factor = UNITS[unit].factors.get(lower[len(number) :])
    if factor is None or number.lstrip()[:1] not in {*"0123456789."}:
        return None
    try:
        return float(Fraction(number) * Fraction(factor))
    except (ValueError, OverflowError):
        return None


@given(st.sampled_from(sorted(UNITS)), st.text(alphabet="0123456789.,-+eEkKmMgGbBsSµ% parsec", max_size=8))
@example("COST", "0.")
@example("COST", ".5e-1 %")
@example("SIZE", "1e3 kB")
@example("SIZE", "1e999")
@example("COUNT", "1e999999k")
@example("COUNT", "0e1234")
@example("COST", "1e-1234")
@example("COST", "1e309%")
@example("LATENCY", "1e310ms")
@example("TIME", "1e0005")
@example("TIME", "9" * 500)
@example("TIME", "5e")
@example("TIME", "٣")
def test_everything_else_is_refused_with_an_example(unit: str, text: str) -> None:
    """A number as Python writes it, not negative, with an ending of the unit; nothing ends in a traceback."""
    known = quantity(unit, text)
    if known is None:
        with pytest.raises(DeepenoughError, match=r"expected .*, such as"):
            UNITS[unit].parse(text)
    else:
        assert UNITS[unit].parse(text) == pytest.approx(known)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"max_latency": "5 parsecs"}, "--max-latency '5 parsecs': expected a latency with its unit, such as 5ms"),
        ({"max_latency": "5"}, "--max-latency '5': expected a latency with its unit"),
        ({"max_latency": "0ms"}, "--max-latency 0: expected more than 0"),
        ({"max_latency": 0}, "--max-latency 0: expected more than 0"),
        ({"max_latency": float("nan")}, "--max-latency nan: expected more than 0"),
        ({"max_parameters": "two"}, "--max-parameters 'two': expected a count, such as 500k or 2M"),
        ({"max_parameters": 2.5}, "--max-parameters 2.5: expected a whole number"),
        ({"max_parameters": "0"}, "--max-parameters 0: expected at least 1"),
        ({"max_size": "4 furlongs"}, "--max-size '4 furlongs': expected an amount of memory"),
        ({"max_size": "0"}, "--max-size 0: expected more than 0"),
        ({"runtime": "onxx"}, "nearest is onnx"),
        ({"runtime_batch": 2}, "--runtime-batch 2: latency is not measured; give --runtime"),
        ({"runtime_threads": 2, "max_parameters": 9}, "--runtime-threads 2: latency is not measured"),
    ],
)
def test_options_say_what_is_wrong_with_a_quantity(wrong: dict[str, object], expected: str) -> None:
    with pytest.raises(DeepenoughError, match=expected):
        Options.of(**wrong)


def test_options_take_text_and_numbers() -> None:
    text = Options.of(max_latency="5ms", max_parameters="2.3M", max_size="4MB", time_limit="20m", cache_limit="2GiB")
    same = Options.of(max_latency=0.005, max_parameters=2_300_000, max_size=4e6, time_limit=1200, cache_limit=2 * 2**30)
    assert text == same
    assert isinstance(text.max_parameters, int)


@given(st.integers(1, 10**12))
def test_counts_and_sizes_are_said_exactly(number: int) -> None:
    for text, unit in ((count_text(number), "COUNT"), (size_text(number), "SIZE")):
        assert UNITS[unit].parse(text.replace(",", "").removesuffix("bytes")) == number


def test_three_figures_of_a_latency() -> None:
    assert [latency_text(value) for value in (0.0000123, 0.00123, 0.0123, 1.23)] == [
        "0.012 ms", "1.23 ms", "12.3 ms", "1230 ms",
    ]  # fmt: skip
