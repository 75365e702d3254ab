"""A call of `fit`: what belongs to it beside images and options, and the lines of Python that repeat it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepenough.data.sources import is_word
from deepenough.distribution.ray_executor import RayCluster
from deepenough.errors import DeepenoughError
from deepenough.experiment.options import HELD, Options, fit_options
from deepenough.process_start import began
from deepenough.schema import options_of
from deepenough.training.loggers import GivenCallbacks

if TYPE_CHECKING:
    from torch import nn

_WIDTH = 100


@dataclass(frozen=True)
class Call:
    """A call of `fit`, but for its images and options.

    Args:
        command: the words of the command line, or the lines of Python.
        out: the folder of the run, where one was named.
        cluster: the Ray cluster that trains, if any.
        callbacks: the user's own, for every training.
        network: the torch module to start from, where Python holds one.
        began: seconds of `time.monotonic` at its beginning, from which a time limit counts; on the command line that is
            the start of the process, as far as processor time tells it, so that what waited before doesn't count.
    """

    command: str = ""
    out: Path | None = None
    cluster: RayCluster | None = None
    callbacks: GivenCallbacks = ()
    network: nn.Module | None = None
    began: float = field(default_factory=began)


def ray_cluster(ray: str | None, processes: int) -> RayCluster | None:
    """The cluster that `ray` and `processes` ask for; None without `ray`."""
    if not isinstance(processes, int) or processes < 1 or (ray is None and processes != 1):
        raise DeepenoughError(
            f"--processes {processes}: give 1 or more together with --ray; without Ray, torchrun starts several"
        )
    if ray is not None and not isinstance(ray, str):
        raise DeepenoughError(f'--ray {ray!r}: expected the address of a cluster, or "local"')
    return None if ray is None else RayCluster(ray, processes)


def as_folder(given: Any, name: str = "--out") -> Path | None:
    """The folder that a user names. Raises the error for what is no path."""
    try:
        return None if given is None else Path(given)
    except TypeError:
        raise DeepenoughError(f"{name} {given!r}: expected the path of a folder") from None


def python_lines(data: Any, asked: Options, **more: Any) -> str:
    """The lines of Python that call `fit` with the same options; `more` are other arguments that were given.

    >>> print(python_lines("photos", Options(data="photos", target=0.95)))
    import deepenough
    deepenough.fit('photos', target=0.95)
    """
    named = is_word(data)
    words = [repr(str(data)) if named and data is not None else "data" * (not named)]
    held = asked.network is not None and asked.network.startswith(HELD)
    for name, value in {**chosen_options(asked), **more}.items():
        words.append("network=network" if name == "network" and held else f"{name}={value!r}")
    words = [word for word in words if word]
    call = f"deepenough.fit({', '.join(words)})"
    if len(call) > _WIDTH:
        call = "deepenough.fit(\n" + "".join(f"    {word},\n" for word in words) + ")"
    remark = "" if named else f"data = ...  # {(asked.data or '').partition(':')[2]}\n"
    if held:
        remark += f"network = ...  # {(asked.network or '').removeprefix(HELD)}\n"
    return f"import deepenough\n{remark}{call}"


def chosen_options(asked: Options) -> dict[str, Any]:
    """The options that differ from their defaults, but `data`, by the names that `fit` has for them."""
    own = options_of(Options)
    values = {name: getattr(asked, name) for name in own}
    chosen = {name: value for name, value in values.items() if name != "data" and value != own[name].default}
    every = {**chosen, **asked.recipe, **asked.switches}
    return {name: every[name] for name in fit_options() if name in every}
