"""Models of any torch module, and fine-tuning a model on other images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from normalising import Normalising
from torch import nn

import deepenough
from deepenough import Callback, DeepenoughError, Model
from deepenough.attribution.methods import heat
from deepenough.nets.prefix import prefix
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.training.freezing import frozen_text

pytestmark = pytest.mark.seconds(15)

NAMES = ("circle", "cross", "square")


class Reweighted(nn.Module):
    """Its activation is none of ours, so that it is not read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.sin(self.conv(x)).mean((2, 3)))  # type: ignore[no-any-return]


def net(classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(12, 16, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes),
    )  # fmt: skip


def pictures() -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)


@pytest.mark.parametrize("make", [net, Reweighted], ids=["read", "as it is"])
def test_a_module_predicts_as_itself(make: Any, shapes: Path) -> None:
    preprocess = Preprocessing((16, 16), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    module = make().train()
    model = Model.from_module(module, NAMES, preprocess=preprocess)
    images = torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocess.mean, preprocess.std))
    with torch.no_grad():
        wanted = module.eval()((images - mean) / std).softmax(1)
    np.testing.assert_allclose(model.predict_proba(pictures()), wanted, rtol=1e-4, atol=1e-6)
    metrics, left_out = deepenough.evaluate(model, shapes, split="all")
    assert (metrics.top1.count, left_out) == (180, [])
    assert heat(model, pictures()[:1], [0], "occlusion").shape == (1, 16, 16)
    assert repr(model).startswith(f"Model({type(module).__name__}: ")
    assert "16 × 16" in model._repr_html_()


def test_a_module_that_is_not_read_says_why_where_a_description_is_needed(tmp_path: Path) -> None:
    model = Model.from_module(Reweighted(), NAMES, input=(3, 16, 16))
    assert "aten.sin" in model.unread
    for use in (lambda: model.save(tmp_path / "m"), lambda: model.network, lambda: model.fine_tune("digits")):
        with pytest.raises(DeepenoughError, match=r"no description of its network: .*(\n.*)*aten\.sin"):
            use()


def test_a_module_that_is_read_is_saved_and_loaded(tmp_path: Path) -> None:
    model = Model.from_module(net(), NAMES, input=(3, 16, 16))
    again = deepenough.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict_proba(pictures()), model.predict_proba(pictures()))
    assert model.unread == ""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"classes": NAMES}, r"give input=\(channels, height, width\)"),
        ({"classes": ("a", "b"), "input": (3, 16, 16)}, "gives 3 logits, and there are 2 different classes in 2"),
        ({"classes": ("a", "b", "a"), "input": (3, 16, 16)}, "2 different classes in 3"),
        ({"classes": NAMES, "input": 16}, r"input=16; expected \(channels, height, width\)"),
        ({"classes": NAMES, "input": (3, "a", 16)}, r"expected \(channels, height, width\)"),
        ({"classes": 3, "input": (3, 16, 16)}, "classes=3; expected a list of the names"),
        ({"classes": "abc", "input": (3, 16, 16)}, "classes='abc'; expected a list of the names"),
        ({"classes": set(NAMES), "input": (3, 16, 16)}, "expected a list of the names"),
        ({"classes": dict.fromkeys(NAMES, 1), "input": (3, 16, 16)}, "or their indices by name"),
        ({"classes": dict(enumerate(NAMES)).items(), "input": (3, 16, 16)}, "expected a list of the names"),
        ({"classes": NAMES, "input": (3, 16, 16), "preprocess": 3}, "preprocess=3; expected"),
        ({"classes": NAMES, "input": (1, 16, 16)}, "can't take images of 1 x 16 x 16"),
        ({"classes": NAMES, "input": (3, 16, 16), "preprocess": Preprocessing((8, 8))}, r"\(3, 8, 8\)"),
        ({"classes": NAMES, "input": (3, 16, 16), "preprocess": "torchvisionn"}, "torchvisionn"),
    ],
)
def test_what_is_missing_for_a_model_is_said(more: dict[str, Any], why: str) -> None:
    with pytest.raises(DeepenoughError, match=why):
        Model.from_module(net(), **more)


def test_classes_by_their_indices() -> None:
    index = {name: number for number, name in reversed(list(enumerate(NAMES)))}
    assert Model.from_module(net(), index, input=(3, 16, 16)).classes == tuple(NAMES)
    views = (dict.fromkeys(NAMES).keys(), dict(enumerate(NAMES)).values())
    assert {Model.from_module(net(), view, input=(3, 16, 16)).classes for view in views} == {tuple(NAMES)}


def test_what_a_module_does_to_its_images_is_done_once() -> None:
    module = Normalising(net()).eval()
    own = Preprocessing((16, 16), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    with torch.no_grad():
        wanted = module(torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() / 255).softmax(1)
    for more in ({"input": (3, 16, 16)}, {"preprocess": own}):
        model = Model.from_module(module, NAMES, **more)
        np.testing.assert_allclose(model.predict_proba(pictures()), wanted, rtol=1e-4, atol=1e-6)
    with pytest.raises(DeepenoughError, match=r"it normalises its images itself, by mean \(0\.5, 0\.5, 0\.5\)"):
        Model.from_module(module, NAMES, preprocess=Preprocessing((16, 16)))


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(DeepenoughError, match=r"expected a torch\.nn\.Module"):
        Model.from_module("net", NAMES, input=(3, 16, 16))  # type: ignore[arg-type]


class Told(Reporter):
    """Keeps the lines that a user is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_new_classes_get_a_new_head_and_the_old_model_stays(shapes: Path) -> None:
    model = Model.from_module(net(7), list("abcdefg"), input=(3, 16, 16))
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    told = Told()
    tuned = model.fine_tune(shapes, epochs=2, progress=told)
    assert tuned.classes == NAMES
    assert tuned.preprocess == model.preprocess
    assert tuned.network == model.network.with_classes(3)
    assert any("a new head for 3" in line for line in told.lines)
    assert tuned.held_out is not None
    assert any(f"{tuned.held_out.top1.value:.1%} of {tuned.held_out.top1.count}" in line for line in told.lines)
    assert tuned.held_out.top1.low > 1 / 3  # a probe of random features knows more than nothing
    for name, tensor in model.module.state_dict().items():
        assert torch.equal(tensor, before[name])
    again = model.fine_tune(shapes, epochs=2, progress=False)
    for name, tensor in again.module.state_dict().items():  # a function of the seed
        assert torch.equal(tensor, tuned.module.state_dict()[name])


def test_the_new_head_begins_as_a_probe(shapes: Path) -> None:
    """A rate near 0 leaves what the training began with."""
    model = Model.from_module(net(7), list("abcdefg"), input=(3, 16, 16))
    tuned = model.fine_tune(shapes, epochs=1, lr=1e-12, warmup=0.0, progress=False)
    assert tuned.held_out is not None
    assert tuned.held_out.top1.low > 1 / 3
    old, new = model.module.state_dict(), tuned.module.state_dict()
    for name, tensor in old.items():
        if not name.startswith("dense"):
            torch.testing.assert_close(new[name], tensor)


def test_the_first_layers_can_be_left_as_they_are(shapes: Path) -> None:
    model = Model.from_module(net(7), list("abcdefg"), input=(3, 16, 16))
    told = Told()
    tuned = model.fine_tune(shapes, epochs=1, lr=0.01, freeze=0.7, progress=told)
    assert f"{tuned.network.name}: {frozen_text(tuned.network, 0.7)}" in told.lines
    old, new = model.module.state_dict(), tuned.module.state_dict()
    kept = {name.partition(".")[0] for name in prefix(tuned.network, 0.7).paths}
    assert kept
    same = {name for name, tensor in new.items() if name in old and torch.equal(tensor, old[name])}
    assert {name for name in new if name.partition(".")[0] in kept} <= same
    assert any(name not in same for name in new if not name.startswith("dense"))


def test_known_classes_keep_their_head_and_order(shapes: Path) -> None:
    names = ["square", "other", "circle", "cross"]
    model = Model.from_module(net(4), names, input=(3, 16, 16))
    first = model.fine_tune(shapes, epochs=6, lr=0.01, progress=False)
    assert first.classes == tuple(names)
    assert first.held_out is not None
    assert first.held_out.per_class[1].count == 0
    direct = deepenough.evaluate(first, shapes, split="all")[0]
    second = first.fine_tune(shapes, epochs=6, lr=0.01, progress=False)
    assert deepenough.evaluate(second, shapes, split="all")[0].loss < direct.loss


def test_options_of_the_search_are_none_of_fine_tuning(shapes: Path) -> None:
    model = Model.from_module(net(), NAMES, input=(3, 16, 16))
    with pytest.raises(DeepenoughError, match=r"fine_tune\(\): max_depth is none of its options; they are .*epochs"):
        model.fine_tune(shapes, max_depth=5)
    with pytest.raises(DeepenoughError, match="epochs"):
        model.fine_tune(shapes, epochs="many")


@pytest.mark.parametrize("given", [None, ""])
def test_images_that_are_not_given_are_not_taken_from_elsewhere(given: Any) -> None:
    """Only `fit` and `plan` have images of their own, scikit-learn's digits."""
    model = Model.from_module(net(10), list("0123456789"), input=(3, 16, 16))
    for use in (lambda: model.fine_tune(given, epochs=1, progress=False), lambda: deepenough.evaluate(model, given)):
        with pytest.raises(DeepenoughError, match=r"data.* give a (path|folder)"):
            use()


def test_classes_that_are_numbers_are_named_by_them() -> None:
    model = Model.from_module(net(), np.arange(3), input=(3, 16, 16))  # type: ignore[arg-type]
    assert model.classes == ("0", "1", "2")
    assert "3: 0, 1, 2" in model._repr_html_()


@pytest.mark.parametrize("wrong", [3, [3], Callback, list])
def test_callbacks_of_fine_tuning_are_checked_first(wrong: Any) -> None:
    model = Model.from_module(net(), NAMES, input=(3, 16, 16))
    with pytest.raises(DeepenoughError, match=r"callbacks: .*expected a list of `deepenough\.Callback`, or a function"):
        model.fine_tune("nowhere", callbacks=wrong)


def test_a_function_gives_the_callbacks_of_fine_tuning(shapes: Path) -> None:
    heard: list[str] = []

    def given(training: str) -> Callback:
        heard.append(training)
        return Callback()

    model = Model.from_module(net(), NAMES, input=(3, 16, 16))
    model.fine_tune(shapes, epochs=1, limit=60, progress=False, callbacks=given)
    assert heard == [model.network.name]


@pytest.mark.parametrize("top", [True, 0, 1.5, "2"])
def test_as_many_classes_as_a_whole_number_says(top: Any) -> None:
    with pytest.raises(DeepenoughError, match=r"top=.*: expected a whole number of at least 1"):
        Model.from_module(net(), NAMES, input=(3, 16, 16)).predict(pictures(), top=top)
