"""The 1,000 classes of ImageNet, in the order of their WordNet ids, which is that of all weights known here.

The names are torchvision's short ones. The devkit of ILSVRC-2012 numbers the classes in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files


@cache
def _classes() -> tuple[tuple[str, str], ...]:
    text = files(__package__).joinpath("imagenet.txt").read_text(encoding="utf-8")
    rows = (line.partition("\t") for line in text.splitlines())
    return tuple((wordnet_id, name) for wordnet_id, _, name in rows)


def wordnet_ids() -> tuple[str, ...]:
    """The ids, as n01440764."""
    return tuple(wordnet_id for wordnet_id, _ in _classes())


def class_names() -> tuple[str, ...]:
    """A short name for each class, no two alike."""
    return tuple(name for _, name in _classes())


def names_for(ids: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """The names of classes that are given by WordNet ids, where they are among the `known`; other classes as they are.

    ImageNet's folders are named by ids, models by names.
    """
    names = dict(zip(wordnet_ids(), class_names(), strict=True))
    kept = set(known)
    return tuple(names[each] if each not in kept and names.get(each) in kept else each for each in ids)
