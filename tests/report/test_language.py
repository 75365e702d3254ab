"""The report in Chinese: a catalogue that is whole, the same numbers, no English but what is marked as such."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from jinja2 import Environment
from seen_page import Seen, english_left

import deepenough
from deepenough.language import (
    ROOMS,
    Language,
    catalogue,
    current_language,
    gettext,
    language_of_locale,
    lookup_plural,
    room_catalogue,
    speaking,
)
from deepenough.record import Record
from deepenough.record.schema import CandidateState
from deepenough.report import write_report
from deepenough.report.restated import answer_text, comparison
from deepenough.search.question import Measure, Role

Make = Callable[..., Record]
Save = Callable[[Record], Path]
Looked = Callable[[Record], Record]
PACKAGE = Path(deepenough.__file__).parent
PLACES = re.compile(r"%\(\w+\)s|%%")


def messages() -> set[str]:
    """Every message of the rooms' templates and of their Python."""
    return {message for room in ROOMS for message in messages_of(room)}


def messages_of(room: str) -> set[str]:
    """Every message of a room's templates and of its Python."""
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    found = set()
    for path in (path for ending in ("html", "jinja") for path in (PACKAGE / room).rglob(f"*.{ending}")):
        for _, _, message in environment.extract_translations(path.read_text(encoding="utf-8")):  # type: ignore[attr-defined]
            # Of one and several: Chinese has one form, that of several.
            found.add([each for each in message if each][-1] if isinstance(message, tuple) else message)
    for path in (PACKAGE / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "said"):
                if isinstance(node.args[0], ast.Constant):
                    found.add(node.args[0].value)
                else:
                    assert node.func.id == "said", f"{path.name}:{node.lineno}: a message is plain text"
    return found


def constants() -> set[str]:
    """Every plain text in the package's Python, and the kinds of findings, which a docstring lists."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def page(record: Record, save: Save, language: str) -> Seen:
    return Seen(write_report(save(record), language).read_text(encoding="utf-8"))


def test_every_message_is_in_the_catalogue_and_none_is_stale() -> None:
    asked = messages()
    assert len(asked) > 200
    assert asked - set(catalogue()) == set()
    recorded = set(catalogue()) - asked
    listed = "".join(text for text in constants() if "`kind` is one of" in text)
    assert {text for text in recorded - constants() if text not in listed} == set()


def test_a_message_is_in_one_room_alone() -> None:
    keys = [english for room in ROOMS for english in room_catalogue(room)]
    assert len(keys) == len(set(keys))


def test_a_message_of_several_rooms_is_in_the_first_ones_catalogue() -> None:
    first = {message: room for room in reversed(ROOMS) for message in messages_of(room)}
    misplaced = {
        message: room for room in ROOMS for message in room_catalogue(room) if first.get(message, room) != room
    }
    assert misplaced == {}


def test_places_of_a_message_are_those_of_its_translation() -> None:
    for english, chinese in catalogue().items():
        assert sorted(PLACES.findall(english)) == sorted(PLACES.findall(chinese)), english
        for text in (english, chinese):
            assert "%" not in PLACES.sub("", text), text


def test_the_words_of_enumerations_are_in_the_catalogue() -> None:
    assert {*Role, *Measure, *get_args(CandidateState), "train", "validation", "test"} <= set(catalogue())


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_TW"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "de_DE", "LC_MESSAGES": "zh_CN"}, "zh"),
        ({"LANG": "zh_CN", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN", "LC_ALL": ""}, "zh"),
    ],
)
def test_the_language_is_that_of_the_locale(environment: dict[str, str], language: str) -> None:
    assert language_of_locale(environment) == language


def test_a_message_is_english_again_after_a_page() -> None:
    with speaking(Language.CHINESE):
        assert gettext("Depth %(depth)s", depth=8) == "深度 8"
        assert lookup_plural("enough", "worse", 1) == catalogue()["worse"]
    with pytest.raises(ValueError, match="broken"), speaking(Language.CHINESE):
        raise ValueError("broken")
    assert current_language() is Language.ENGLISH
    assert gettext("Depth %(depth)s", depth=8) == "Depth 8"
    assert lookup_plural("enough", "worse", 1) == "enough"


def numbers(texts: list[str]) -> list[str]:
    """Measured numbers: those with a decimal point or a percent sign."""
    return sorted(re.findall(r"[+−]?\d[\d,]*\.\d+%?|\d+%", " ".join(texts)))


@pytest.mark.parametrize("target", [None, 0.92])
@pytest.mark.parametrize("folds", [1, 5])
def test_both_languages_hold_the_same_numbers(
    make: Make, save: Save, looked: Looked, target: float | None, folds: int
) -> None:
    record = looked(make(target, folds=folds))
    assert record.decision
    # Sentences that are made anew have numbers of their own: here the record has none of them.
    record.decision.comparisons, record.decision.target_checks, record.decision.text = [], [], "said"
    english, chinese = (page(record, save, language) for language in Language)
    assert numbers([text for _, text in english.texts]) == numbers([text for _, text in chinese.texts])
    assert _values(json.loads(english.figures)) == _values(json.loads(chinese.figures))


def _values(node: Any) -> list[Any]:
    """The numbers of a figure, in order."""
    if isinstance(node, dict):
        return [value for item in node.values() for value in _values(item)]
    if isinstance(node, list):
        return [value for item in node for value in _values(item)]
    return [node] if isinstance(node, int | float) else []


def _own_words(record: Record) -> Iterator[str]:
    """What stays as it is in any language: names, identifiers, the command."""
    yield from (record.data.source, record.command, record.version, record.created, *record.data.classes)
    yield from (candidate.name for candidate in record.candidates)
    yield from (candidate.family for candidate in record.candidates)
    yield from (finding.name for finding in record.data.findings)
    yield from (layer.path for layer in record.layers)
    yield from (layer.kind for layer in record.layers)
    yield from (mistake.name for mistake in record.mistakes)
    yield from (example.name for example in record.examples)
    yield from (str(value) for value in (*record.recipe.values(), *record.environment.values()))


@pytest.mark.parametrize("target", [None, 0.92])
def test_no_english_is_left(make: Make, save: Save, looked: Looked, target: float | None) -> None:
    """Of the record's own sentences; `tests/search/test_chinese_answers.py` has those of every kind of answer."""
    record = looked(make(target, folds=5))
    record.steps, record.candidates[-1].why = [], "ended by the time limit"
    found = page(record, save, "zh")
    assert found.tag == "zh-Hans"
    assert english_left(found, [*_own_words(record), *record.recipe, "rotation", "flip", *record.environment]) == []
    assert {language for language, _ in page(record, save, "en").texts} == {"en"}


def test_the_language_is_that_asked_for_or_that_of_the_run_or_of_the_locale(
    make: Make, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tag(options: dict[str, Any], language: str | None) -> str:
        record = make()
        record.options = options
        return Seen(write_report(save(record), language).read_text(encoding="utf-8")).tag

    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert tag({}, None) == "zh-Hans"
    assert tag({"language": "en"}, None) == "en"
    assert tag({"language": "en"}, "zh") == "zh-Hans"
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    assert tag({"language": None}, None) == "en"


def test_markup_of_a_message_stays_and_names_do_nothing(make: Make, save: Save) -> None:
    record = make(classes=["<b>bold</b>", "c&d", "e"])
    for language in Language:
        text = write_report(save(record), language).read_text(encoding="utf-8")
        assert "<code>pip install 'deepenough[explain]'</code>" in text
        assert "<b>bold</b>" not in text.split("<script", maxsplit=1)[0]


def test_the_command_writes_the_language_asked_for_and_speaks_english(
    make: Make, save: Save, command: Callable[..., tuple[int, str, str]]
) -> None:
    run = save(make())
    said = [command("report", run, "--language", language)[:2] for language in Language]
    assert said[0] == said[1]
    assert said[0][0] == 0
    assert Seen((run / "report.html").read_text(encoding="utf-8")).tag == "zh-Hans"
    status, _, errors = command("report", run, "--language", "fr")
    assert status == 2
    assert "'en', 'zh'" in errors


def test_a_network_that_is_shown_better_is_not_said_to_be_worse(make: Make) -> None:
    record = make()
    assert record.decision
    pair = next(each for each in record.decision.comparisons if each.candidate == record.decision.chosen)
    pair.enough, pair.upper = True, -0.024
    with speaking(Language.CHINESE):
        for said in (comparison(record, pair), answer_text(record)):
            assert said is not None
            assert "至少好 2.4 个百分点" in said
            assert "--" not in said
            assert "-2.4" not in said
