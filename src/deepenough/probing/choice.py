"""The choice of pretrained weights: those that were asked for, or for photos good ones that can be had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepenough.data.decode import header
from deepenough.data.finding import ImageError
from deepenough.data.sources import Source
from deepenough.errors import DeepenoughError, first_few
from deepenough.experiment.options import AUTO, Options
from deepenough.probing.naming import named_apart
from deepenough.progress import Reporter
from deepenough.training.device import choose_device
from deepenough.weights import Weights, load_weights

SMALLEST_PHOTO = 64  # pixels: from there on images are photos, which ImageNet's features are made for
LOOKED_AT = 50
MOST_NAMES = 8  # of weights that can't be had, in a message


def choose_weights(
    asked: Options, source: Source, reporter: Reporter, kept_names: Mapping[str, str] | None = None
) -> tuple[Weights, ...]:
    """Load the weights that were asked for; for photos, or where auto was asked for, those of several networks that
    are here or can be fetched; or none.

    The user is told the choice and its reason. `kept_names` are those of the networks in a run that goes on, by the
    SHA-256 of their weights.
    """
    if asked.weights and not asked.is_auto:
        found = [_load(given, asked, reporter) for given in asked.weights]
        return named_apart(found, asked.weights, kept_names)
    if not asked.is_auto and (asked.scratch or asked.from_family or not are_photos(source)):
        return ()
    names = weights_to_consider(asked)
    found, missing = _had(names, reporter)
    if not found:
        nothing = f"none of the networks that were considered can be had ({_in_groups(missing)})"
        freeze = asked.recipe.get("freeze")
        if asked.is_auto:
            without = "leave out --freeze and give --scratch" if freeze else "--scratch"
            raise DeepenoughError(
                f"--weights {AUTO}: {nothing}; give a file of weights, or {without} to train without any"
            )
        if freeze:
            raise DeepenoughError(
                f"--freeze {freeze:g}: it keeps what pretrained layers know, and {nothing}; leave it out, or give a "
                "file of weights with --weights"
            )
        reporter.say(f"training from scratch, although these are photos: {nothing}")
        return ()
    why = "" if asked.is_auto else "these are photos, and a trained network needs fewer of them; "
    reporter.say(
        f"pretrained: {why}{', '.join(each.name for each in found)} "
        f"{'is' if len(found) == 1 else 'are'} considered (--weights for others, --scratch for none)"
    )
    for name, reason in missing.items():
        reporter.say(f"left out: {name}: {reason}")
    return named_apart(found, [each.name for each in found], kept_names)


def weights_to_consider(asked: Options) -> tuple[tuple[str, ...], ...]:
    """The networks that an automatic choice considers, each by the names of its weights, in the order of preference."""
    from deepenough.weights.among import AMONG, WITH_GPU

    if asked.among is not None:
        return AMONG[asked.among]
    gpu = choose_device(asked.device or "auto").type != "cpu"
    return AMONG["small"] + (WITH_GPU if gpu else ())


def _load(given: str, asked: Options, reporter: Reporter) -> Weights:
    return load_weights(given, network=asked.network, preprocess=asked.preprocess, needs_head=False, reporter=reporter)


def _in_groups(missing: Mapping[str, str]) -> str:
    """The names of weights, the first few of each reason why they are missing, and the reasons."""
    groups: dict[str, list[str]] = {}
    for name, reason in missing.items():
        groups.setdefault(reason, []).append(name)
    return "; ".join(f"{first_few(names, MOST_NAMES)}: {reason}" for reason, names in groups.items())


def _had(names: Sequence[Sequence[str]], reporter: Reporter) -> tuple[list[Weights], dict[str, str]]:
    """The weights of each network that are on this machine or can be fetched; the names of the others, and why not.

    Nothing is waited for long: where no server answers at once, or one download fails, only what is here is taken.
    """
    from deepenough.download import answers
    from deepenough.weights.fetch import cached
    from deepenough.weights.names import NAMED

    here = [next((name for name in several if cached(NAMED[name])), None) for several in names]
    online = all(here) or answers(NAMED[names[here.index(None)][0]].url)
    found, missing = [], dict[str, str]()
    for several, own in zip(names, here, strict=True):
        name = own or several[0]
        if own is None and not online:
            missing[name] = "not on this machine, and can't be fetched now"
            continue
        try:
            found.append(load_weights(name, reporter=reporter))
        except DeepenoughError as error:
            missing[name] = str(error)
            online = online and own is not None
    return found, missing


def are_photos(source: Source) -> bool:
    """Tell if the images are of photos' size: half of the first ones have a shorter side of 64 pixels and more."""
    sides = []
    for row in range(0, len(source), max(1, len(source) // LOOKED_AT)):
        try:
            sides.append(min(header(source.read(row))[:2]))
        except (ImageError, OSError):
            continue
        if source.sequential and len(sides) == 1:
            break
    return bool(sides) and sorted(sides)[len(sides) // 2] >= SMALLEST_PHOTO
