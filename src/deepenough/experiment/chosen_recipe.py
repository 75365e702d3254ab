"""The recipe of a run: the default for its images, with what the user overrides."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.images import Images
from deepenough.experiment.options import Options
from deepenough.training.recipe import Recipe, default_recipe, finetune_recipe


def chosen_recipe(asked: Options, images: Images, *, pretrained: bool) -> Recipe:
    """The recipe for training on these images, from scratch or from `pretrained` weights.

    It is one for all networks, by the smallest images that one of them takes.
    """
    default = finetune_recipe if pretrained else default_recipe
    smallest = min((images.preprocess, *images.others), key=lambda each: min(each.size))
    recipe = default(
        len(images.split.train),
        smallest.shape,
        images.mirror,
        strength=asked.augment,
        optimizer=asked.recipe.get("optimizer"),
    )
    return replace(recipe, augment=replace(recipe.augment, **asked.switches), **asked.recipe)
