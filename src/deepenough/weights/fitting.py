"""Somebody's tensors into the networks of the zoo: strictly, nothing dropped in silence, missing or misshapen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from deepenough.errors import DeepenoughError, unknown
from deepenough.nets.zoo import NETWORKS
from deepenough.weights.by_order import are_alike, in_order
from deepenough.weights.checkpoint import SavedState
from deepenough.weights.described import fit_notes
from deepenough.weights.fit import Fit, Fitted
from deepenough.weights.heads import with_head
from deepenough.weights.likely import no_network
from deepenough.weights.match import (
    FileLayout,
    ambiguous,
    count_fitting,
    fold_biases,
    last_layer,
    misfit,
    problems,
    state_of,
)
from deepenough.weights.patterns import tensor_layers
from deepenough.weights.stems import POSITIONS, with_positions_of, with_stem
from deepenough.weights.torch_file import AnyTensors

DEEPEST_PREFIX = 12
"""Parts of a name before a network's own names that are looked for."""


def match_exactly(
    found: AnyTensors, layout: FileLayout, network: str | None, file: str, *, may_lack_head: bool = False
) -> Fitted:
    """The state of the only network that a file can hold, the one that is stated beside it."""
    if network not in (None, layout.network.name):
        raise DeepenoughError(f"{file} can't hold {network}; it holds {layout.network.name}")
    folded = fold_biases(found, layout)
    head = f"{last_layer(layout.network)}."
    body = {key: name for key, name in layout.names.items() if not key.startswith(head)}
    headless = may_lack_head and folded.keys().isdisjoint(set(layout.names.values()) - set(body.values()))
    if headless:
        layout = replace(layout, names=body)
    if wrong := problems(folded, layout):
        raise misfit(file, layout.network, wrong, asked=True)
    notes = ("it has no head",) if headless else ()
    return Fitted(layout.network, state_of(folded, layout), headless=headless, notes=notes)


def match(
    found: AnyTensors | Sequence[SavedState],
    layouts: Iterable[FileLayout],
    network: str | None,
    file: str,
    *,
    needs_head: bool = False,
) -> Fitted:
    """Find the network that a file's tensors fit, with the file's number of classes, and its state (float32).

    `file` says which file and format, for errors. Several that fit are an error unless `network` names one, or the
    file's names are evidently those of one publisher. With `needs_head` a network without its classifier does not fit.
    """
    dicts = [SavedState("", found)] if isinstance(found, Mapping) else list(found)
    everything = list(layouts)
    known = list(dict.fromkeys(layout.network.name for layout in everything))
    if network is not None and network not in known:
        if network not in NETWORKS:
            raise unknown("network", network, [*NETWORKS, *(name for name in known if name not in NETWORKS)])
        raise DeepenoughError(f"{file} can't hold {network}; such files hold {', '.join(known)}")
    asked = [layout for layout in everything if network in (None, layout.network.name)]
    named = _named_alike(asked, dicts)
    tried = [fit for layout in named for state_dict in dicts for fit in _by_name(layout, state_dict)]
    fits = [fit for fit in tried if not fit.wrong]
    if not fits and not any(_is_complete(fit) for fit in tried):  # whose names are known needs no guess
        fits = [fit for layout in asked for state_dict in dicts for fit in _by_order(layout, state_dict)]
    if needs_head:
        fits = [fit for fit in fits if not fit.taken.headless]
    if not fits:
        raise _misfit(dicts, tried, file, asked=network is not None)
    return _chosen(fits, file)


def _named_alike(layouts: Sequence[FileLayout], dicts: Sequence[SavedState]) -> Sequence[FileLayout]:
    """The layouts of whose names a file has half as many as of any, whatever stands before them: others can't fit."""
    endings = {ending for saved in dicts for name in saved.tensors for ending in _endings(name)}
    counts = [len(endings.intersection(layout.names.values())) for layout in layouts]
    return [layout for layout, count in zip(layouts, counts, strict=True) if 2 * count >= max(counts)]


def _endings(name: str) -> list[str]:
    """A name without its first parts: without none, one, two and so on."""
    parts = name.split(".")
    return [".".join(parts[start:]) for start in range(min(len(parts), DEEPEST_PREFIX))]


def _by_name(layout: FileLayout, saved: SavedState) -> Iterator[Fit]:
    """The ways in which tensors of a state dict may fit a layout, for every prefix that their names may have."""
    names = saved.tensors
    for prefix in _prefixes(layout, names):
        inside = {name.removeprefix(prefix): names[name] for name in names if name.startswith(prefix)}
        outside = {name: names[name] for name in names if not name.startswith(prefix)}
        place = ".".join(filter(None, (saved.place, prefix.rstrip("."))))
        yield from _with_head(layout, inside, outside, place)


def _by_order(layout: FileLayout, saved: SavedState) -> Iterator[Fit]:
    """The same where names are others, and the tensors come in the layout's order."""
    for inside, outside in in_order(layout, saved.tensors):
        evident = layout.evident and are_alike(inside, saved.tensors)
        for fit in _with_head(replace(layout, evident=evident), inside, outside, saved.place):
            if not fit.wrong:
                yield replace(fit, ordered=not evident)


def _with_head(layout: FileLayout, inside: AnyTensors, outside: AnyTensors, place: str) -> Iterator[Fit]:
    """The ways to take the file's head, up to the first that fits."""
    first = inside.get(layout.names[f"{tensor_layers(layout.network)[0].path}.weight"])
    if first is not None:
        layout = replace(layout, network=with_stem(layout.network, tuple(first.shape)))
    positions = inside.get(layout.names.get(POSITIONS, ""))
    if positions is not None and not layout.sized:
        layout = replace(layout, network=with_positions_of(layout.network, tuple(positions.shape)))
    for taken in with_head(layout, inside, outside):
        fit = Fit(taken, fold_biases(taken.tensors, taken.layout), place)
        yield fit
        if not fit.wrong:
            return


def _prefixes(layout: FileLayout, found: AnyTensors) -> list[str]:
    """List the prefixes that half of the layout's names have, or the most frequent one, for what is said."""
    wanted = set(layout.names.values())
    counts: Counter[str] = Counter()
    for name in found:
        for rest in _endings(name):
            if rest in wanted:
                counts[name.removesuffix(rest)] += 1
    many = [prefix for prefix, count in counts.most_common() if 2 * count >= len(wanted)]
    return many or [prefix for prefix, _ in counts.most_common(1)] or [""]


def _is_complete(fit: Fit) -> bool:
    return count_fitting(fit.tensors, fit.taken.layout) == len(fit.taken.layout.names)


def _chosen(fits: Sequence[Fit], file: str) -> Fitted:
    """The best fit, with what is to be said of it; several networks in one place, of which none is evident, are an
    error."""
    best = max(fits, key=lambda fit: fit.merit)
    rivals = [fit for fit in fits if (fit.place, fit.merit) == (best.place, best.merit)]
    evident = [fit for fit in rivals if fit.taken.layout.evident] or rivals
    if len({fit.network.stack for fit in evident}) > 1:
        raise ambiguous(file, [fit.network for fit in evident])
    best = evident[0]
    layout = best.taken.layout
    others = [fit.network for fit in rivals if fit.network.stack != best.network.stack]
    places = dict.fromkeys(fit.place for fit in fits if fit.place != best.place)
    notes = tuple(fit_notes(best, others, list(places)))
    return Fitted(layout.network, state_of(best.tensors, layout), layout.source, best.taken.headless, notes)


def _misfit(dicts: Sequence[SavedState], tried: Sequence[Fit], file: str, *, asked: bool) -> DeepenoughError:
    """The error for tensors that fit nothing: what is wrong with the nearest network, where one is near."""
    found = max((each.tensors for each in dicts), key=len)
    counts = [count_fitting(fit.tensors, fit.taken.layout) for fit in tried]
    near = min(range(len(tried)), key=lambda n: (-counts[n], tried[n].taken.headless, len(tried[n].wrong)))
    nearest = tried[near]
    if 2 * counts[near] >= min(len(found), len(nearest.taken.layout.names)):
        return misfit(file, nearest.network, nearest.wrong, asked=asked)
    return no_network(file, found, nearest.network.name if asked else None)
