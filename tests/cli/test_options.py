"""The command takes what the rooms know, and every option is told and reachable."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

import deepenough
from deepenough.attribution import METHODS
from deepenough.cli.app import COMMANDS, cli
from deepenough.data.policy import STRENGTHS, Augment
from deepenough.experiment.options import Options, fit_options
from deepenough.frameworks.targets import TARGETS
from deepenough.nets.families import FAMILIES
from deepenough.schema import METADATA, options_of
from deepenough.training.device import available_devices
from deepenough.training.lr_range_test import LIMITS
from deepenough.training.precision import HALF_PRECISION
from deepenough.training.recipe import KNOWN_RATES, NumberFormat, Recipe
from deepenough.training.schedule import SCHEDULES
from deepenough.weights.names import NAMED
from deepenough.weights.preset_names import PRESETS

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = (Options, Recipe, Augment)
HELD = {"recipe", "switches"}  # what the user sets of the two others
PRECISIONS = {*NumberFormat, *HALF_PRECISION}


def found(*names: str) -> click.Command:
    command: click.Command = cli
    for name in names:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), name)
        assert inner is not None
        command = inner
    return command


def accepted(words: str, *more: str) -> dict[str, object]:
    """The parameters that a command line is parsed to; nothing is run."""
    *names, argument = words.split()
    required = {"explain": ["IMAGE"], "export": ["--to", "onnx"]}.get(names[0], [])
    return found(*names).make_context(names[-1], [argument, *required, *more]).params


def known() -> Iterator[tuple[str, str, Iterable[str]]]:
    """A command and its argument, an option, and the table of the room that has its values."""
    yield "export resnet50", "--to", TARGETS
    yield "explain RUN", "--method", METHODS
    for command in ("fit digits", "plan digits"):
        yield command, "--family", FAMILIES
        yield command, "--augment", STRENGTHS
        yield command, "--precision", PRECISIONS
        yield command, "--schedule", SCHEDULES
        yield command, "--optimizer", {*LIMITS, *KNOWN_RATES}
        yield command, "--device", available_devices()
        yield command, "--weights", NAMED
    for command in ("fit digits", "plan digits", "export FILE", "weights get FILE", "nets vgg16"):
        yield command, "--preprocess", PRESETS
    yield "serve RUN", "--device", available_devices()
    yield "augment digits", "--augment", STRENGTHS


@pytest.mark.parametrize(
    ("words", "option", "table"), list(known()), ids=lambda each: each if isinstance(each, str) else ""
)
def test_the_command_takes_everything_that_the_room_knows(words: str, option: str, table: Iterable[str]) -> None:
    values = list(map(str, table))
    assert values
    for value in values:
        parsed = [given for given in accepted(words, option, value).values() if given in (value, (value,))]
        assert parsed, f"{words} {option} {value}"


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_field_has_a_help_text(schema: type) -> None:
    for each in fields(schema):
        if each.name in HELD and schema is Options:
            continue
        assert METADATA in each.metadata, f"{schema.__name__}.{each.name} is no option: give it option() or internal()"
        text = each.metadata[METADATA].help
        assert text[:1].isupper(), f"{schema.__name__}.{each.name} has no help text"
        assert text.endswith("."), f"{schema.__name__}.{each.name}: {text}"


@pytest.mark.parametrize("name", ["fit", "plan"])
def test_every_option_can_be_given_on_the_command_line(name: str) -> None:
    parameters = {parameter.name for parameter in found(name).params}
    written = {"log", "language"} if name == "plan" else set()  # into a run, which a plan doesn't make
    for schema in SCHEMAS:
        for field, each in options_of(schema).items():
            assert not each.exposed or field in parameters | written, f"{schema.__name__}.{field}"


def test_only_what_deepenough_chooses_is_out_of_reach() -> None:
    internal = {name for schema in SCHEMAS for name, each in options_of(schema).items() if not each.exposed}
    assert internal == {"augment", "first_layer", "freeze_norms", "memory_format", "micro_batch"}
    assert "augment" in fit_options()  # as a strength, which makes the recipe's policy


@pytest.mark.parametrize("name", ["fit", "plan"])
def test_the_python_signature_lists_every_option(name: str) -> None:
    function = getattr(deepenough, name)
    parameters = inspect.signature(function).parameters
    assert set(fit_options()) <= set(parameters)
    assert not any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values())
    own = options_of(Options)
    for option in set(fit_options()) - {"data"}:
        assert parameters[option].default == (own[option].default if option in own else None), option
        assert f"    {option}: " in function.__doc__


def test_most_people_need_ten() -> None:
    sections = dict(found("fit").sections(click.Context(found("fit"))))  # type: ignore[attr-defined]
    assert list(sections) == [
        "Most used options", "Data", "Question", "Search", "Training", "Augmentation", "Speed", "Output",
    ]  # fmt: skip
    assert len(sections["Most used options"]) == 10


def test_a_default_of_zero_is_told() -> None:
    text = found("fit").get_help(click.Context(found("fit"), info_name="fit"))
    for option in ("--seed", "--patience", "--clip"):
        line = text[text.index(f"  {option} ") :].split("\n  --")[0]
        assert "[default: 0]" in line, line


def test_every_parameter_of_every_command_has_a_help_text() -> None:
    names = [(name,) for name in COMMANDS if name != "weights"] + [("weights", "list"), ("weights", "get")]
    for name in names:
        for parameter in found(*name).params:
            text = parameter.help or ""
            assert text, f"{' '.join(name)} {parameter.opts[0]}"
            assert not text.startswith("["), f"{' '.join(name)} {parameter.opts[0]}"


def test_no_summary_of_a_command_is_cut_off() -> None:
    for name in ((), ("weights",)):
        text = found(*name).get_help(click.Context(found(*name), max_content_width=100, terminal_width=100))
        assert "..." not in text.partition("Commands:")[2]


def commands_of(page: Path) -> list[str]:
    """The commands in the shell's blocks of a page, without the program's name."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [
        line for block in blocks for line in re.findall(r"^(?:\$ )?deepenough ([^#\n]+)", block, flags=re.MULTILINE)
    ]


READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [
    page
    for folder in (".", "guide", "howto", "explanation", "reference")
    for page in (ROOT / "docs" / folder).glob("*.md")
]


@pytest.mark.parametrize("page", [*READMES, *sorted(PAGES)], ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of_the_documentation_are_understood(page: Path) -> None:
    lines = commands_of(page)
    assert lines or page not in READMES
    for line in lines:
        name, *words = shlex.split(line)
        names = (name, words.pop(0)) if name == "weights" else (name,)
        found(*names).make_context(names[-1], words)


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_the_lines_of_the_readme_are_short_enough_to_edit(page: Path) -> None:
    """Chinese lines break only where there is a space: a browser shows a line's end as one."""
    assert [line for line in page.read_text(encoding="utf-8").splitlines() if len(line) > 120] == []


def code_of(page: Path) -> list[list[str]]:
    """The lines of each block of code on a page without their comments, which are in the page's language."""
    blocks = re.findall(
        r"^```(?:sh|python|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [
        [line.split("#")[0].rstrip() for line in block.splitlines() if line.split("#")[0].strip()] for block in blocks
    ]


@pytest.mark.parametrize(
    "page", sorted(page for page in PAGES if page.name.endswith(".zh.md")), ids=lambda page: str(page.relative_to(ROOT))
)
def test_chinese_pages_have_the_code_of_the_english_ones(page: Path) -> None:
    assert code_of(page) == code_of(page.with_name(page.name.replace(".zh.md", ".md")))
