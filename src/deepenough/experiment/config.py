"""Options of `fit` from a YAML file, as a run's `args.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError, unknown
from deepenough.experiment.options import fit_options

_FILES = frozenset({"weights", "network", "preprocess"})
_PRETRAINED = _FILES | {"among", "framing"}
_FROM_SCRATCH = frozenset({"scratch", "family", "width", "max_depth"})


def read_config(path: Path) -> dict[str, Any]:
    """The options in a file that are set there; null stands for one that is not."""
    import yaml

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if twice := _given_twice(node):
            raise DeepenoughError(f"--config {path}: {twice}; leave one of them")
        content = None if node is None else loader.construct_document(node)
    except OSError as error:
        raise DeepenoughError(f"--config {path}: it cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise DeepenoughError(f"--config {path}: not YAML{line}; expected lines such as `target: 0.95`") from None
    if not isinstance(content, dict):
        raise DeepenoughError(f"--config {path}: expected options, a line each, such as `target: 0.95`")
    known = fit_options()
    for name in content:
        if name not in known and name != "tensorboard":  # as records of before call `log`, which `Options.of` knows
            raise unknown(f"--config {path}: option", name, known)
    return {name: value for name, value in content.items() if value is not None}


def _given_twice(node: Any) -> str:
    """The first key that a mapping of a YAML document has twice, and the lines; empty where none has.

    YAML forbids it, and PyYAML would silently take the last.
    """
    from yaml import MappingNode, Node

    nodes: list[Any] = [node]
    seen: set[int] = set()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node, Node):
            continue
        seen.add(id(node))
        if not isinstance(node, MappingNode):
            nodes += node.value if isinstance(node.value, list) else []
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines:
                where = f"line {line}" if line == lines[name] else f"lines {lines[name]} and {line}"
                return f"{key.value!r} is given twice, in {where}"
            lines[name] = line
            nodes.append(value)
    return ""


def override(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a file with those that were `given` beside it, which win.

    One that asks for pretrained weights puts away what the file has of training from scratch and of other weights, and
    the other way round.
    """
    away: set[str] = set()
    if "among" in given:
        away |= _FROM_SCRATCH | _FILES
    if "weights" in given:
        away |= _FROM_SCRATCH | _FILES | {"among"}
    if _FROM_SCRATCH & given.keys():
        away |= _PRETRAINED
    return {**{name: value for name, value in config.items() if name not in away}, **given}
