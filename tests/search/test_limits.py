"""SizeLimits of size, against the definition; and the bytes of weights, against the file."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from deepenough.errors import DeepenoughError
from deepenough.nets import FAMILIES, NETWORKS, weight_bytes
from deepenough.nets.build import build
from deepenough.nets.exported_size import half_bytes, int8_bytes
from deepenough.search.architectures import Architecture, search_space
from deepenough.search.latency import Latency
from deepenough.search.limits import SizeLimits, StoredAs, check_any_left, limits_text

SPACE = tuple(
    replace(each, latency=Latency.of([0.001 * number]))
    for number, each in enumerate(search_space(["residual", "plain"], [0.5, 1.0], (1, 28, 28), 10, max_depth=20), 1)
)
limits = st.builds(
    SizeLimits,
    latency=st.none() | st.floats(1e-4, 0.02),
    parameters=st.none() | st.integers(1, 10**6),
    size=st.none() | st.floats(1, 4e6),
    size_as=st.sampled_from(list(map(str, StoredAs))),
)


def stored_bytes(each: Architecture, stored: str) -> int:
    return {"float32": weight_bytes, "half": half_bytes, "int8": int8_bytes}[stored](each.network)


@given(limits)
def test_what_is_over_a_limit_is_said(given: SizeLimits) -> None:
    for each in SPACE:
        assert each.latency is not None
        over = {
            "ms": given.latency is not None and each.latency.median > given.latency,
            "parameters": given.parameters is not None and each.parameters > given.parameters,
            "weights": given.size is not None and stored_bytes(each, given.size_as) > given.size,
        }
        said = given.exceeded(each)
        assert {word for word in over if word in said} == {word for word in over if over[word]}
        assert (given.excess(each) > 1) == any(over.values())


@given(limits)
def test_the_error_names_the_nearest(given: SizeLimits) -> None:
    kept = [each for each in SPACE if not given.exceeded(each)]
    if kept:
        check_any_left(given, SPACE, kept)
        return
    with pytest.raises(DeepenoughError) as caught:
        check_any_left(given, SPACE, kept)
    nearest = min(SPACE, key=lambda each: max(
        each.parameters / (given.parameters or float("inf")),
        stored_bytes(each, given.size_as) / (given.size or float("inf")),
        each.latency.median / (given.latency or float("inf")) if each.latency else 0.0,
    ))  # fmt: skip
    assert f"within {given}; the nearest is {nearest.name} with " in str(caught.value)


def test_how_many_are_within_the_limits() -> None:
    alike = [each for each in SPACE if each.family == "residual" and each.width == 1]
    kept = [each for each in alike if each.depth < 19]
    most = max(each.parameters for each in kept)
    assert limits_text(SizeLimits(parameters=most), kept, alike[len(kept) :]) == (
        f"3 of 4 depths are within {most:,} parameters; left out: residual-19 ({alike[-1].parameters:,} parameters)"
    )
    assert limits_text(SizeLimits(latency=0.02, size=4e6), SPACE, []) == (
        f"{len(SPACE)} of {len(SPACE)} networks are within 20 ms and 4 MB of weights"
    )


@pytest.mark.parametrize(("stored", "said"), [("float32", ""), ("half", " as half"), ("int8", " as int8")])
def test_a_limit_says_how_weights_are_stored(stored: str, said: str) -> None:
    small, large = (extreme(SPACE, key=lambda each: each.parameters) for extreme in (min, max))
    limits = SizeLimits(size=stored_bytes(large, stored) - 1, size_as=stored)
    assert limits.exceeded(small) == ""
    assert limits.exceeded(large) == f"{stored_bytes(large, stored):,} bytes of weights{said}"
    assert str(SizeLimits(size=4e6, size_as=stored)) == f"4 MB of weights{said}"
    assert stored_bytes(large, "int8") < stored_bytes(large, "half") < stored_bytes(large, "float32")


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v2", "residual", "inception"])
def test_the_bytes_are_those_of_the_file(name: str) -> None:
    """Besides its table of contents, which has a line a tensor, and the counters of norms, which have 8 bytes."""
    network = NETWORKS[name]() if name in NETWORKS else FAMILIES[name].network(input=(3, 32, 32), classes=10, depth=11)
    state = build(network).state_dict()
    counters = sum(8 for key in state if key.endswith("num_batches_tracked"))
    file = save(state)
    header = 8 + int.from_bytes(file[:8], "little")
    assert weight_bytes(network) == len(file) - header - counters
