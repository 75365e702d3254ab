"""Sentences on what was read from a file, where its own form left a choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from deepenough.errors import first_few
from deepenough.nets.network import Network
from deepenough.weights.checkpoint import is_average
from deepenough.weights.fit import Fit
from deepenough.weights.stems import SMALL_IMAGE, has_small_stem

MOST_NAMES = 3
"""The most names that a sentence lists."""


def fit_notes(fit: Fit, others: Sequence[Network], places: Sequence[str]) -> Iterator[str]:
    """Say of a fit what the user could not know.

    Args:
        fit: the one that was chosen.
        others: networks that the same tensors fit.
        places: where in the file other weights of a network lie.
    """
    network, taken = fit.network, fit.taken
    if places:
        average = ", the averaged weights" if is_average(fit.place) else ""
        yield f"read from {fit.place or 'its outermost tensors'}{average}; it also has weights in {listed(places)}"
    if others:
        fitting = ", ".join(f"{other.name} ({other.variant})" for other in others)
        yield (
            f"by its names it is {network.name} ({network.variant}); its tensors fit {fitting}, too: say so with "
            f"--network {others[0].name}"
        )
    if fit.ordered:
        yield f"its names are unknown; order and shapes of its tensors are those of {network.name}"
    if has_small_stem(network):
        yield (
            f"its 3x3 stem is taken to have no stride and no pooling behind it, for images of {SMALL_IMAGE}x"
            f"{SMALL_IMAGE} pixels; a preprocess.json beside it says another size"
        )
    if network.input[0] == 1:
        yield "it takes grey images"
    if taken.headless:
        yield "it has no head that is known here" if taken.aside else "it has no head"
    elif taken.head:
        yield f"its head is {taken.head}"
    if taken.aside:
        yield f"left out, as not of the network: {listed(taken.aside)}"


def rival_inputs(source: str, network: Network) -> Iterator[str]:
    """Say where a file's tensors leave open which images it wants, since another network has the same."""
    if source == "timm" and network.name.startswith("vit_"):
        yield (
            "its tensors are those of ViT and of DeiT; images of ViT's mean and standard deviation, 0.5, are taken. "
            "If it is a DeiT, it wants ImageNet's: say so with --preprocess torchvision"
        )


def listed(names: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    return first_few(list(names), MOST_NAMES)
