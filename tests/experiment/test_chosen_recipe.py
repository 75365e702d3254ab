"""The recipe of a run: the defaults of its images, and what the user asks for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from deepenough.data.images import Images
from deepenough.experiment.chosen_recipe import chosen_recipe
from deepenough.experiment.options import Options
from deepenough.preprocessing import Preprocessing
from deepenough.training.recipe import default_recipe, finetune_recipe


def images(side: int, *others: int, mirror: bool = True) -> Images:
    """Images of one size, read for networks that take others as well."""
    split = SimpleNamespace(train=np.arange(2_000))
    preprocess = {each: Preprocessing((each, each), mean=(0.5,) * 3, std=(0.2,) * 3) for each in (side, *others)}
    return cast(
        Images,
        SimpleNamespace(
            split=split, preprocess=preprocess[side], others=dict.fromkeys(preprocess.values()), mirror=mirror
        ),
    )


def asked(**options: Any) -> Options:
    return Options.of(data="digits", **options)


def test_it_is_the_default_for_the_images() -> None:
    shape = (3, 224, 224)
    assert chosen_recipe(asked(), images(224), pretrained=False) == default_recipe(2_000, shape, True)
    assert chosen_recipe(asked(), images(224), pretrained=True) == finetune_recipe(2_000, shape, True)
    assert not chosen_recipe(asked(), images(224, mirror=False), pretrained=True).augment.flip


def test_what_the_user_asks_for_counts() -> None:
    given = asked(initial_scale=1.0, epochs=3, optimizer="muon", augment="strong", rotation=7.0)
    expected = finetune_recipe(2_000, (3, 224, 224), True, strength="strong", optimizer="muon")
    expected = replace(expected, initial_scale=1.0, epochs=3, augment=replace(expected.augment, rotation=7.0))
    assert chosen_recipe(given, images(224), pretrained=True) == expected


@pytest.mark.parametrize("sides", [(224, 96), (96, 224), (96, 96)])
def test_of_several_networks_none_begins_with_smaller_images_where_those_of_one_are_small(sides: Any) -> None:
    assert chosen_recipe(asked(), images(*sides), pretrained=True).initial_scale == 1.0
    assert chosen_recipe(asked(), images(224, 256), pretrained=True).initial_scale == 0.7
