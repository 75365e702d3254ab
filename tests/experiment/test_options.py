"""Options come back from JSON as they went, and say what is wrong with them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options

share = st.floats(0.001, 0.999)
options = st.builds(
    Options.of,
    data=st.none() | st.text(),
    target=st.none() | share,
    family=st.lists(st.sampled_from(["residual", "plain", "inception"]), min_size=1, unique=True).map(tuple),
    width=st.lists(st.floats(0.1, 4), min_size=1).map(tuple),
    margin=share,
    minimize=st.sampled_from(["depth", "parameters", "macs", "latency"]),
    max_latency=st.none() | st.floats(1e-5, 1),
    max_parameters=st.none() | st.integers(1, 10**9),
    max_size=st.none() | st.floats(1, 1e9),
    runtime=st.sampled_from(["onnx", "torch", "litert", "openvino"]),
    runtime_batch=st.integers(1, 9),
    metric=st.sampled_from(["top1", "balanced"]),
    budget=st.none() | st.floats(0.1, 10),
    folds=st.none() | st.integers(1, 10),
    time_limit=st.none() | st.floats(1, 1e6),
    seed=st.integers(0, 2**31),
    switches=st.dictionaries(st.sampled_from(["rotation", "shift"]), st.floats(0, 0.9)),
    log=st.lists(st.sampled_from(["tensorboard", "mlflow", "wandb"]), unique=True).map(tuple),
    epochs=st.none() | st.integers(1, 99),
    distill=st.booleans(),
    class_weights=st.none() | st.booleans(),
    flip=st.none() | st.booleans(),
)


@given(options)
def test_options_come_back_from_json(asked: Options) -> None:
    assert Options.from_json(json.loads(json.dumps(asked.to_json()))) == asked


def test_an_unknown_option_names_the_nearest() -> None:
    with pytest.raises(DeepenoughError, match=r"option 'margn' is not known; nearest .*margin"):
        Options.from_json({"margn": 0.1})


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"target": 95}, "for 95% write 0.95"),
        ({"margin": 2}, "for 2% write 0.02"),
        ({"target": 1.0}, "write for example 0.99 or 99%, since no number of images can show 100%"),
        ({"target": "100%"}, "write for example 0.99 or 99%"),
        ({"metric": "top2"}, "nearest is top1"),
        ({"minimize": "deph"}, "nearest is depth"),
        ({"weights": "x", "scratch": True}, "--scratch does not"),
        ({"weights": "x", "family": ("plain",)}, "--family, --width or --max-depth does not"),
        ({"network": "resnet50"}, "it says what --weights are"),
        ({"preprocess": "timm"}, "it says what --weights are"),
        ({"distill_weight": 0.5}, "--distill-weight 0.5: it says how --distill trains; give that, too"),
        ({"distill": True, "distill_weight": 1.5}, "--distill-weight 1.5"),
        ({"distill": True, "distill_temperature": 0}, "--distill-temperature 0"),
        ({"target": float("nan")}, "--target nan"),
        ({"width": (float("nan"),)}, "--width nan"),
        ({"lr": float("nan")}, "--lr nan"),
        ({"switches": 3}, r"switches=3: expected a dict of options"),
        ({"switches": "ab"}, r"switches='ab': expected a dict of options"),
        ({"max_size": "4MB", "max_size_as": "int9"}, "--max-size-as 'int9' is not known; nearest is int8"),
        ({"max_size": "4MB", "max_size_as": 8}, "--max-size-as 8 is not known; known: float32, half, int8"),
        ({"max_size_as": "int8"}, "it says how the weights of --max-size are stored; give that, too"),
        ({"time_limit": 0}, "--time-limit 0: expected more than 0"),
    ],
)
def test_what_makes_no_sense_is_an_error(wrong: dict[str, object], expected: str) -> None:
    with pytest.raises(DeepenoughError, match=expected):
        Options.of(**wrong)


def test_the_budget_follows_the_question() -> None:
    assert (Options().search_budget, Options(target=0.9).search_budget, Options(budget=3).search_budget) == (0.7, 2, 3)
