"""Options of commands, made from the schema; and help in sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from deepenough.cli.types import InputShape, OptionValue
from deepenough.engines import AUTO, ENGINES
from deepenough.errors import nearest_in_words
from deepenough.experiment.options import fit_options
from deepenough.schema import Option, Section
from deepenough.units import UNITS

_Function = Callable[..., Any]
COMMON = "Most used options"
COLUMN = 30  # of the help texts


class OneOf(click.Choice[str]):
    """A choice whose values are looked up when they are needed: some take long to import. Errors name the nearest."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self.names = names
        self.case_sensitive = True

    @cached_property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(self.names())

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        message, near = super().get_invalid_choice_message(value, ctx), nearest_in_words(value, self.choices)
        return f"{message.removesuffix('.')}; {near}." if near else message


class InSection(click.Option):
    """An option with its section of the help; its default may be told in words."""

    def __init__(self, *args: Any, section: Section, common: bool = False, otherwise: str = "", **more: Any) -> None:
        super().__init__(*args, **more)
        self.section = COMMON if common else section
        self.otherwise = otherwise

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        return {**extra, "default": self.otherwise} if self.otherwise and not self.required else extra


class Sectioned(click.Command):
    """A command whose help has a section for each group of options, after the few that most people need."""

    def sections(self, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """The sections that hold anything, with the options of each and what is said of them."""
        for section in (COMMON, *Section):
            parameters = [p for p in self.get_params(ctx) if getattr(p, "section", Section.OUTPUT) == section]
            rows = [row for p in parameters if isinstance(p, click.Option) and (row := p.get_help_record(ctx))]
            if rows:
                yield section, rows

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section, rows in self.sections(ctx):
            with formatter.section(section):
                # Padded, so that the texts of all sections begin in one column.
                formatter.write_dl([(first.ljust(COLUMN), text) for first, text in rows], col_max=COLUMN)


def from_schema(*names: str, **changes: dict[str, Any]) -> Callable[[_Function], _Function]:
    """Add the options of `fit` with these names to a command.

    Args:
        names: of options; a section stands for all its options.
        changes: for an option by its name, the fields of `Option` that are different for this command, and `required`.
    """
    known = fit_options()
    wanted = {each.name: each for name in names for each in _named(name, known)}

    def add(command: _Function) -> _Function:
        for name, each in reversed(wanted.items()):
            command = _parameter(each, dict(changes.get(name, {})))(command)
        return command

    return add


def _named(name: str, known: dict[str, Option]) -> Iterator[Option]:
    if isinstance(name, Section):
        yield from (each for each in known.values() if each.section is name and each.name != "data")
    else:
        yield known[name]


def _parameter(each: Option, changes: dict[str, Any]) -> Callable[[_Function], _Function]:
    required = changes.pop("required", False)
    each = replace(each, **changes)

    text = each.help + " Can be repeated." * each.several
    if each.unit in UNITS and "%" not in UNITS[each.unit].factors:
        text += f" {each.unit} is {UNITS[each.unit].examples}."
    how: dict[str, Any] = {"help": text, "section": each.section, "common": each.common}
    how |= {"otherwise": each.default_in_words, "required": required, "default": None}
    names = [each.name, each.spelled]
    if each.base == "bool":
        on_off = each.section is Section.AUGMENTATION or bool(each.otherwise)
        names[1] += f"/--no-{each.spelled[2:]}" if on_off else ""
        how |= {"is_flag": True}
    else:
        kind = OneOf(lambda: each.known) if each.choices else OptionValue(each)
        how |= {"type": kind, "multiple": each.several}
        if not each.choices:
            how["metavar"] = each.unit or ("N" if each.base == "int" else None)
    return click.option(*names, cls=InSection, **how)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value not in (None, ())}


config_option = click.option(
    "--config",
    cls=InSection,
    section=Section.DATA,
    type=click.Path(path_type=Path),
    metavar="FILE.yaml",
    help="Take options from a YAML file, such as a run's args.yaml; those on the command line win.",
)


def with_config(data: str | None, config: Path | None, options: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The data and the options that were given, with those of the file of `--config`, if any."""
    if config is None:
        return data, options
    from deepenough.experiment.config import override, read_config

    merged = override(read_config(config), options)
    named = merged.pop("data", None)
    return named if data is None else data, merged


run_argument = click.argument(
    "run",
    type=click.Path(path_type=Path),
    help="Folder of a run, or of a model that `weights get` wrote; hf:USER/NAME where a model is enough.",
)
images_argument = click.argument(
    "images", nargs=-1, required=True, metavar="IMAGE|FOLDER...", help="Images, and folders that hold images."
)


top_option = click.option(
    "--top", type=click.IntRange(min=1), default=5, metavar="N", help="Number of classes to show."
)


def out_option(metavar: str, text: str) -> Callable[[_Function], _Function]:
    """--out, a file or folder to write."""
    return click.option("--out", type=click.Path(path_type=Path), metavar=metavar, help=text)


def engine_option(otherwise: str) -> Callable[[_Function], _Function]:
    """--engine, with what "auto" takes."""
    text = f"What computes the answers; auto: {otherwise}, else torch."
    return click.option("--engine", type=OneOf(lambda: ENGINES), default=AUTO, help=text)


def json_option(text: str) -> Callable[[_Function], _Function]:
    """--json, for programs."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def network_options(*, shape: str, classes: str | None = None) -> Callable[[_Function], _Function]:
    """--input, --classes, --depth and --width, with the help texts of the first two; without one, no --classes."""
    options = [
        click.option("--input", "shape", type=InputShape(), metavar="CxHxW", help=shape),
        click.option("--classes", type=click.IntRange(min=1), metavar="N", help=classes),
        click.option("--depth", type=int, metavar="N", help="Depth of a family's network."),
        click.option("--width", type=float, metavar="FACTOR", help="Width factor of a family's network."),
    ]
    if classes is None:
        del options[1]

    def add(command: _Function) -> _Function:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def data_argument(help_text: str | None = None, *, required: bool = False) -> Callable[[_Function], _Function]:
    """DATA, the images that a command works on."""
    each = fit_options()["data"]
    text = help_text or each.help + f"  [default: {each.default_in_words}]" * (not required)
    return click.argument("data", required=required, help=text)
