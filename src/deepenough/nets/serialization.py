"""Networks as JSON, both ways."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from functools import cache
from types import UnionType
from typing import Any, get_args, get_type_hints

from deepenough.errors import DeepenoughError, nearest, unknown
from deepenough.nets.layer import LAYER_KINDS, Layer, Stack
from deepenough.nets.network import Network

NETWORK_FORMAT = 1
"""Version of the JSON form. Files of a later one are refused."""

LONGEST_TEXT = 1 << 24
"""Characters of a network that are read; the largest of the zoo has 40,000."""

LARGEST_NUMBER = 2**31 - 1
"""Numbers in a network are no larger."""


def dumps(network: Network) -> str:
    """The network as JSON text, defaults left out: {"format": 1, "name": ..., "input": [C, H, W], "stack": [...]}."""
    document = {"format": NETWORK_FORMAT, "name": network.name, "input": list(network.input)}
    document |= {key: getattr(network, key) for key in ("source", "variant") if getattr(network, key)}
    return json.dumps(document | {"stack": [_encode(layer) for layer in network.stack]}, indent=1)


def loads(text: str | bytes) -> Network:
    """The network of JSON text that `dumps` wrote. Anything else is a `DeepenoughError` that says where it is wrong."""
    return network_of(parsed(text))


def parsed(text: str | bytes) -> Any:
    """Parse the JSON text of a network, within bounds."""
    if len(text) > LONGEST_TEXT:
        raise DeepenoughError(f"the network has {len(text):,} characters; at most {LONGEST_TEXT:,} are read")
    try:
        return json.loads(text)
    except ValueError as error:  # no JSON, no UTF-8, or a number of thousands of digits
        raise DeepenoughError(f"the network is not JSON: {error}") from error
    except RecursionError as error:
        raise DeepenoughError("the network is nested too deeply to be read") from error


def network_of(document: Any) -> Network:
    """The network that parsed JSON describes, as `dumps` writes it."""
    try:
        return _network(document)
    except RecursionError as error:
        raise DeepenoughError("the network is nested too deeply to be read") from error


def _network(document: Any) -> Network:
    if not isinstance(document, dict) or "format" not in document:
        raise DeepenoughError('this is not a network: a JSON object with "format", "name", "input" and "stack" is')
    if document["format"] != NETWORK_FORMAT:
        raise DeepenoughError(
            f"the network has format {document['format']!r}; this version reads {NETWORK_FORMAT}: update deepenough"
        )
    known = [entry.name for entry in fields(Network)]
    for key in document:
        if key not in ("format", *known):
            raise unknown("network field", key, known)
    for key in ("name", "input", "stack"):
        if key not in document:
            raise DeepenoughError(f'the network lacks "{key}"')
    for key in ("name", "source", "variant"):
        _check(document.get(key, ""), str, f"network: {key}")
    shape = document["input"]
    if not isinstance(shape, list) or not all(type(side) is int and abs(side) <= LARGEST_NUMBER for side in shape):
        raise DeepenoughError(f"network: input is {shape!r:.80}; it is [channels, height, width]")
    stack = _stack(document["stack"], "stack")
    # Network checks the length of the input itself.
    return Network(document["name"], tuple(shape), stack, document.get("source", ""), document.get("variant", ""))


def _encode(layer: Layer) -> dict[str, Any]:
    encoded: dict[str, Any] = {"kind": layer.kind}
    for entry in fields(layer):
        value = getattr(layer, entry.name)
        if entry.default is MISSING or value != entry.default:
            encoded[entry.name] = _plain(value)
    return encoded


def _plain(value: Any) -> Any:
    if isinstance(value, Layer):
        return _encode(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def _stack(given: Any, where: str) -> Stack:
    _check(given, list, where)
    return tuple(_layer(part, f"{where}[{place}]") for place, part in enumerate(given))


def _layer(given: Any, where: str) -> Layer:
    if not isinstance(given, dict) or not isinstance(given.get("kind"), str):
        raise DeepenoughError(f'{where}: a layer is a JSON object with a "kind"; it is {given!r:.80}')
    if given["kind"] not in LAYER_KINDS:
        raise unknown(f"{where}: layer kind", given["kind"], LAYER_KINDS)
    kind = LAYER_KINDS[given["kind"]]
    hints = _hints(given["kind"])
    entries = {entry.name: entry for entry in fields(kind)}
    values = {}
    for key, value in given.items():
        if key == "kind":
            continue
        if key not in entries:
            hint = ", ".join(nearest(key, entries) or entries)
            raise DeepenoughError(f"{where}: {kind.__name__} has no field {key!r}; it has {hint}")
        values[key] = _value(key, value, hints[key], f"{where}.{key}")
    missing = [name for name, entry in entries.items() if entry.default is MISSING and name not in values]
    if missing:
        raise DeepenoughError(f"{where}: {kind.__name__} lacks {', '.join(missing)}")
    return kind(**values)


@cache  # evaluating annotations took 85% of the time to read a ResNet-152
def _hints(kind: str) -> dict[str, Any]:
    return get_type_hints(LAYER_KINDS[kind])


def _value(key: str, value: Any, hint: Any, where: str) -> Any:
    match key:
        case "stack":
            return _stack(value, where)
        case "branches":
            _check(value, list, where)
            return tuple(_stack(branch, f"{where}[{place}]") for place, branch in enumerate(value))
        case "labels":
            _check(value, list, where)
            for label in value:
                _check(label, str, where)
            return tuple(value)
    _check(value, hint, where)
    return value


def _check(value: Any, hint: Any, where: str) -> None:
    """An int passes for a float, a bool for nothing but a bool."""
    allowed = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if type(value) in allowed or (type(value) is int and float in allowed):
        if type(value) is int and abs(value) > LARGEST_NUMBER:
            raise DeepenoughError(f"{where}: it is {value!r:.80}; at most {LARGEST_NUMBER:,} is read")
        return
    wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in allowed)
    raise DeepenoughError(f"{where}: it is {value!r:.80}; it has to be {wanted}")
