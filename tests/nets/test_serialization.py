"""Descriptions of networks from outside: whatever is wrong is one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from deepenough import nets
from deepenough.errors import DeepenoughError
from deepenough.nets import serialization


def document(**changes: Any) -> str:
    return json.dumps({"format": 1, "name": "n", "input": [3, 8, 8], "stack": [{"kind": "Dense", "out": 2}]} | changes)


def nested(depth: int) -> str:
    layer = '{"kind": "Sum", "branches": [[' * depth + "]]}" * depth
    return f'{{"format": 1, "name": "n", "input": [3, 8, 8], "stack": [{layer}]}}'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        (nested(20_000), "nested too deeply"),
        (nested(300), "nested too deeply|lacks|branch"),
        ('{"format": ' + "9" * 6_000 + "}", "not JSON"),
        (document(input=[3, 10**4000, 8]), r"input is .*\[channels, height, width\]"),
        (document(stack=[{"kind": "Dense", "out": 2**40}]), "it is 1099511627776; at most 2,147,483,647 is read"),
        (b"\xff\xfe\xff", "not JSON"),
        (" " * (serialization.LONGEST_TEXT + 1), "characters; at most"),
    ],
)
def test_hostile_text(text: str | bytes, words: str) -> None:
    with pytest.raises(DeepenoughError, match=words) as error:
        nets.loads(text)
    assert len(str(error.value)) < 500
