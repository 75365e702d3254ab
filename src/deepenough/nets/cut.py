"""The places where a network can end, and the shorter network that ends there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from deepenough.errors import unknown
from deepenough.nets.activation import Activation
from deepenough.nets.combinators import Auxiliary, Branches, Concat, Group
from deepenough.nets.layer import Stack, joined_path, named
from deepenough.nets.layers import BatchNorm, Dense, Dropout, GlobalAvgPool, GlobalMaxPool, GroupNorm, MaxPool, Weighted
from deepenough.nets.network import Network
from deepenough.nets.shapes import output_shape, visits

POOLED, SCALE, HEAD = "pooled", "scale", "head"
HEAD_DROPOUT = 0.3
_CUT_AFTER = " cut after "


@dataclass(frozen=True)
class Cut:
    """A place where a network can end.

    `place` names it: the module path of the layer, block or module whose output is the last that is kept. `path` is
    that of the last kept layer: itself, or the activation (at a network's end: whatever layer) behind it. `stack` is
    what is kept.
    """

    place: str
    path: str
    stack: Stack


def cuts(network: Network) -> list[Cut]:
    """The places where `network` can end, shallow to deep: after each block of its outermost stack.

    A block is branches that are joined, a group that is one (`Group.is_block`), or a weighted layer with an activation
    behind it. An activation behind a block belongs to it. Other groups only name layers, so a stack goes through them.
    There is no place inside a block, after a pool that follows one (the head brings its own), or behind the last
    weighted layer, the classifier. A max pool between a weighted layer and its activation is kept. The last place is
    the whole network: where weighted layers without an activation stand between the last block and the classifier, all
    that stands before the classifier. A network that has no weighted layer but its classifier has no place.
    """
    stack = _named(tuple(layer for layer in network.stack if not isinstance(layer, Auxiliary)))
    walk = list(visits(network))
    weighted = [visit.path for visit in walk if isinstance(visit.layer, Weighted)]
    if not weighted:
        return []
    classifier = weighted[-1]
    found = [cut for cut in _places(stack, "", (), classifier) if cut.place != classifier]
    whole = _before(stack, "", classifier)
    beyond = walk[_visited(found[-1].stack) if found else 0 : _visited(whole)]
    if late := [visit.path for visit in beyond if isinstance(visit.layer, Weighted)]:
        found.append(Cut(late[-1], beyond[-1].path, whole))
    return found


def cut_at(network: Network, place: str, classes: int) -> Network:
    """`network` up to `place`, with a head for `classes` classes: mean and largest value of every channel, brought to
    one scale by a norm, and a dense layer.

    Layers keep the module paths that they have in `network`, so its weights fit.

    A place that is not in `cuts(network)` is an error with the nearest.
    """
    places = {each.place: each for each in cuts(network)}
    if place not in places:
        raise unknown(f"a cut of {network.name} after", place, places)
    kept = places[place].stack
    pooled = Concat(((GlobalAvgPool(),), (GlobalMaxPool(),)), ("mean", "largest"), name=POOLED)
    pools = (pooled,) if len(output_shape(replace(network, stack=kept))) > 1 else ()
    # Without the norm, features of hundreds (Caffe's, of images in 0..255) would need a learning rate of their own.
    taken = {name for name, _ in named(kept)}
    dropout = "dropout" if "dropout" not in taken else f"{HEAD}_dropout"
    head: Stack = (*pools, BatchNorm(name=SCALE), Dropout(HEAD_DROPOUT, name=dropout), Dense(classes, name=HEAD))
    return replace(
        network,
        name=f"{network.name}-{place}",
        stack=(*kept, *head),
        variant=f"{network.name}{_CUT_AFTER}{place}, with a head of pooled means and maxima",
    )


def name_of_whole(network: Network) -> str:
    """The name of the network that a cut was taken from, by the variant that `cut_at` states; of others their own."""
    whole, cut, _ = network.variant.partition(_CUT_AFTER)
    return whole if cut and network.name.startswith(f"{whole}-") else network.name


def _named(stack: Stack) -> Stack:
    """The same layers with the names that they go by, which then no longer depend on their neighbours."""
    return tuple(
        replace(layer, name=name, stack=_named(layer.stack)) if isinstance(layer, Group) else replace(layer, name=name)
        for name, layer in named(stack)
    )


def _places(stack: Stack, prefix: str, above: tuple[tuple[Group, Stack], ...], classifier: str) -> Iterator[Cut]:
    """Places in a stack; `above` holds the groups around it, each with the layers of its own stack before it."""
    for number, layer in enumerate(stack):
        path = joined_path(prefix, layer.name)
        if isinstance(layer, Group) and (not layer.is_block or classifier.startswith(f"{path}.")):
            yield from _places(layer.stack, path, (*above, (layer, stack[:number])), classifier)
        elif isinstance(layer, (Branches, Group, Weighted)):
            last = _activation(stack, number)
            if last is not None:
                end = joined_path(prefix, stack[last].name)
                yield Cut(path, end, _wrapped(stack[: last + 1], above))
            elif not isinstance(layer, Weighted):
                yield Cut(path, path, _wrapped(stack[: number + 1], above))


def _visited(stack: Stack) -> int:
    """The number of layers that a walk through a stack without auxiliary branches visits."""
    return sum((not isinstance(layer, Group)) + sum(_visited(inside) for _, inside in layer.stacks) for layer in stack)


def _before(stack: Stack, prefix: str, classifier: str) -> Stack:
    """All that a stack has before the classifier, less the pools and dropouts at its end, which the head brings."""
    for number, layer in enumerate(stack):
        path = joined_path(prefix, layer.name)
        if path != classifier and not classifier.startswith(f"{path}."):
            continue
        inside = _before(layer.stack, path, classifier) if isinstance(layer, Group) else ()
        if inside and isinstance(layer, Group):
            return (*stack[:number], replace(layer, stack=inside))
        while number and isinstance(stack[number - 1], (GlobalAvgPool, GlobalMaxPool, Dropout)):
            number -= 1
        return stack[:number]
    return stack


def _activation(stack: Stack, number: int) -> int | None:
    """The place of the activation behind a layer, with nothing but norms and max pools between, if there is one."""
    for place in range(number + 1, len(stack)):
        if not isinstance(stack[place], (BatchNorm, GroupNorm, MaxPool)):
            return place if isinstance(stack[place], Activation) else None
    return None


def _wrapped(stack: Stack, above: tuple[tuple[Group, Stack], ...]) -> Stack:
    for group, before in reversed(above):
        stack = (*before, replace(group, stack=stack))
    return stack
