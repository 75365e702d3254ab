"""Anyone's network: the torch module, or the function that makes it, that `fit` or `probe` is given."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepenough.data.decode import header
from deepenough.data.finding import ImageError
from deepenough.data.sources import Source
from deepenough.errors import DeepenoughError, first_line, unknown
from deepenough.experiment.options import HELD, Options
from deepenough.files import SUMS, sha256
from deepenough.model import WEIGHTS, check_model, read_description, save_model
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.weights import Weights
from deepenough.weights.inputs import described_input, timm_configuration

if TYPE_CHECKING:
    from torch import nn

FOLDER = "network"
"""In a run's folder: the network that it was given, as a model folder, so that the run goes on without its code."""

SOURCE = "torch module"

LARGEST_OWN, USUAL = 64, 224
"""Pixels: images up to the first go into a module at their own size; others at the second, which most were made for."""


def module_of(options: dict[str, Any]) -> nn.Module | None:
    """Take a module that Python holds out of the options, and leave its description; None where there is none."""
    given = options.get("network")
    if given is None or isinstance(given, str):
        return None
    from deepenough.weights.graphs.torch_module import check_module

    module = check_module(given, "network")
    options["network"] = f"{HELD}{type(module).__name__}"
    return module


def given_network(
    asked: Options, source: Source, folder: Path, module: nn.Module | None, reporter: Reporter
) -> Weights:
    """Read the torch module that was asked for, and keep it in `folder`, that of the run."""
    from deepenough.weights.graphs.torch_module import check_preparation, read_module

    assert asked.network is not None
    if module is None:
        module = imported_module(asked.network)
    config = timm_configuration(module)
    size = (asked.size, asked.size) if asked.size else config.size if config else _side(source)
    found = read_module(module, (_channels(module), *size))
    net, stated = found.network, found.input or config
    if stated is None and asked.preprocess is None:
        stated = Preprocessing.untrained(net.input)
        reporter.say(
            f"{net.name}: it doesn't say how its images are normalised; {stated} is taken, --preprocess says otherwise"
        )
    wanted = described_input(Path(net.name), asked.preprocess, net, stated)
    check_preparation(f"--network {asked.network}", found.input, wanted)
    for note in found.notes:
        reporter.say(f"{net.name}: {note}")
    save_model(folder / FOLDER, net, found.state, wanted, [str(number) for number in range(net.classes)])
    return kept_network(folder)


def kept_network(run: Path) -> Weights:
    """The network that a run was given, from its folder."""
    from safetensors.torch import load_file

    folder = run / FOLDER
    check_model(folder)
    net, wanted, _ = read_description(folder)
    return Weights(net.name, SOURCE, net, load_file(folder / WEIGHTS), wanted, sha256(folder / SUMS))


def imported_module(given: str) -> nn.Module:
    """The torch module of `module:function`, imported from the current folder or the installed packages."""
    from deepenough.weights.graphs.torch_module import check_module

    place, _, name = given.partition(":")
    words = f"--network {given}"
    if given.startswith(HELD):
        raise DeepenoughError(f"{words}: this network was one that Python held; give it as deepenough.fit(network=...)")
    if not place or not name:
        raise DeepenoughError(f"{words}: expected module:function, as in nets:make for the function make of nets.py")
    sys.path.insert(0, str(Path.cwd()))
    try:
        imported = import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise DeepenoughError(f"{words}: {place} imports {error.name}, which is not installed") from None
        raise DeepenoughError(
            f"{words}: there is no module {error.name} in {Path.cwd()}, nor among the installed packages"
        ) from None
    except (Exception, SystemExit) as error:  # whatever the user's code raises; a script may end the process
        raise DeepenoughError(f"{words}: importing {place} failed: {_said(error)}") from None
    finally:
        sys.path.remove(str(Path.cwd()))
    if not hasattr(imported, name):
        raise unknown(f"{words}: in {place}, the name", name, [each for each in vars(imported) if each[0] != "_"])
    found = getattr(imported, name)
    if not callable(found) or _is_module(found):
        return check_module(found, f"{words}: it")
    try:
        found = found()
    except (Exception, SystemExit) as error:  # whatever the user's code raises
        raise DeepenoughError(f"{words}: called without arguments, it failed: {_said(error)}") from None
    return check_module(found, f"{words}: what it returns")


def _is_module(found: Any) -> bool:
    from torch import nn

    return isinstance(found, nn.Module)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {first_line(error)}"


def _channels(module: nn.Module) -> int:
    """The channels of the images that a module takes, by its first convolution."""
    from torch import nn

    first = next((each for each in module.modules() if isinstance(each, nn.Conv2d)), None)
    return first.in_channels if first is not None else 3


def _side(source: Source) -> tuple[int, int]:
    """Height and width of the images that a module is read for, where nothing says so."""
    try:
        sides = max(header(source.read(0))[:2])
    except (ImageError, OSError):
        sides = USUAL
    return (sides, sides) if sides <= LARGEST_OWN else (USUAL, USUAL)
