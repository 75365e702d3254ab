"""`python -m deepenough.cli.document > docs/options.md`: all commands and their options as a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import cleandoc

import click

from deepenough.cli.app import cli
from deepenough.cli.options import Sectioned

_HEAD = """# Commands and options

Written by `python -m deepenough.cli.document > docs/options.md`, from the commands and the fields of `Options`,
`Recipe` and `Augment`. In Python, `deepenough.fit` and `deepenough.plan` take the same options as keywords, with `_`
for `-` (`--compile` is `compiled`), with units ("20m", "4GB", "95%") or as numbers of seconds, bytes and shares. Every
command also has `--help`.
"""


def options_page() -> str:
    """The page in Markdown."""
    root = click.Context(cli, info_name="deepenough", show_default=True)
    commands = ((name, cli.get_command(root, name)) for name in cli.list_commands(root))
    return "\n".join(
        [_HEAD, *(line for name, command in commands if command for line in _describe(name, command, root))]
    )


def _describe(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    ctx = click.Context(command, info_name=name, parent=parent)
    if isinstance(command, click.Group):
        for inner in command.list_commands(ctx):
            found = command.get_command(ctx, inner)
            yield from _describe(inner, found, ctx) if found else ()
        return
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield from (f"## {ctx.command_path}", "", f"`{usage}`", "", cleandoc(command.help or ""), "")
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    yield from _table("Argument", (p.get_help_record(ctx) for p in arguments if p.help))
    if isinstance(command, Sectioned):
        for section, rows in command.sections(ctx):
            yield from (f"### {section}", "")
            yield from _table("Option", rows)
    else:
        options = [p for p in command.params if isinstance(p, click.Option)]
        yield from _table("Option", (row for p in options if (row := p.get_help_record(ctx))))


def _table(heading: str, rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    lines = [
        " | ".join(["", *(cell.replace("|", r"\|") for cell in (f"`{first}`", text)), ""]).strip()
        for first, text in rows
        if not first.endswith("--help")  # click keeps the help option as the first context wanted it
    ]
    if lines:
        yield from (f"| {heading} | Meaning |", "|---|---|", *lines, "")


if __name__ == "__main__":
    click.echo(options_page(), nl=False)
