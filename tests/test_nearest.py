"""The names that an error proposes for one that is not known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError, nearest, unknown
from deepenough.nets import FAMILIES
from deepenough.nets.zoo import NETWORKS
from deepenough.weights.load import load_weights
from deepenough.weights.names import NAMED

NAMES = [*NETWORKS, *FAMILIES]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("MobileNetV2", ["mobilenet_v2"]),
        ("Mobile Net-V2", ["mobilenet_v2"]),
        ("VGG16", ["vgg16"]),
        ("transformer", []),
        ("shufflenet", []),
        ("", []),
    ],
)
def test_names_that_are_likely_meant(word: str, expected: list[str]) -> None:
    assert nearest(word, NAMES) == expected


@pytest.mark.parametrize(
    ("word", "family"),
    [
        ("MobileNet", "mobile"),
        ("Mobile-Net", "mobile"),
        ("DenseNet", "densenet"),
        ("VGG", "vgg"),
        ("ViT", "vit"),
        ("resnet5", "resnet50"),
        ("mobilnet", "mobile"),
        ("effnet", "efficientnet"),
        ("efficentnet", "efficientnet"),
        ("MobileNetV9", "mobile"),
    ],
)
def test_a_family_is_named_by_its_members_alone(word: str, family: str) -> None:
    found = nearest(word, NAMES)
    assert found
    assert all(name.startswith(family) for name in found)


@given(name=st.sampled_from([*NAMES, *NAMED]), data=st.data())
def test_a_name_in_another_case_is_named_first(name: str, data: st.DataObject) -> None:
    upper = data.draw(st.lists(st.booleans(), min_size=len(name), max_size=len(name)))
    word = "".join(letter.upper() if up else letter for letter, up in zip(name, upper, strict=True))
    assert nearest(word, NAMES if name in NAMES else NAMED)[0] == name


@given(name=st.sampled_from(NAMES), data=st.data())
def test_a_name_with_two_letters_swapped_is_named_first(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 2))
    word = name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    if word not in NAMES:
        assert nearest(word, NAMES)[0] == name


def test_a_choice_that_is_not_like_any_lists_them() -> None:
    assert str(unknown("--language", "german", ["en", "zh"])).endswith("known: en, zh")


@pytest.mark.parametrize(("word", "name"), [("MobileNet", "mobilenet_v2."), ("VGG16", "vgg16.")])
def test_weights_are_named_by_their_family(word: str, name: str) -> None:
    with pytest.raises(DeepenoughError, match=rf"nearest (is|are) {name}"):
        load_weights(word)


def test_among_names_that_are_as_like_the_one_with_the_same_beginning_is_first() -> None:
    assert nearest("resnet51", ["resnet18", "resnet50"]) == ["resnet50", "resnet18"]
