"""`python -m deepenough.cli.document > docs/options.md`: all commands and their options as a page.

With `--language zh` the page is Chinese, by the messages in `zh.json` beside this file. The terminal's help is
English all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from html import escape
from inspect import cleandoc

import click

from deepenough.cli.app import cli
from deepenough.cli.options import Sectioned
from deepenough.language import Language, room_catalogue

_HEAD = """Written by `{command}`, from the commands and the fields of `Options`,
`Recipe` and `Augment`. In Python, `deepenough.fit` and `deepenough.plan` take the same options as keywords, with `_`
for `-` (`--compile` is `compiled`), with units ("20m", "4GB", "95%") or as numbers of seconds, bytes and shares. Every
command also has `--help`.
"""
COMMANDS = {
    Language.ENGLISH: "python -m deepenough.cli.document > docs/options.md",
    Language.CHINESE: "python -m deepenough.cli.document --language zh > docs/options.zh.md",
}
"""The commands that write the page, by language."""

CATALOGUE = "src/deepenough/cli/zh.json"
_LIMIT = re.compile(r"(\d+<=?)?x([<>]=?\d+)?|required")  # as click tells what may be given
_Say = Callable[[str], str]


def options_page(language: Language = Language.ENGLISH) -> str:
    """The page in Markdown."""
    if language is Language.ENGLISH:
        return _page(str, COMMANDS[language])
    chinese = room_catalogue("cli")
    missing = [message for message in messages() if message not in chinese]
    if missing:
        listed = "\n".join(f"  {message}" for message in missing)
        raise click.ClickException(
            f"{CATALOGUE} has no Chinese message for these texts; add one for each, then write the page: "
            f"{COMMANDS[language]}\n{listed}"
        )
    return _page(chinese.__getitem__, COMMANDS[language])


def messages() -> list[str]:
    """The English texts that the page is made of, without names and values, each once."""
    asked: dict[str, None] = {}

    def note(message: str) -> str:
        asked[message] = None
        return message

    _page(note, "")
    return list(asked)


def _page(say: _Say, written_by: str) -> str:
    root = click.Context(cli, info_name="deepenough", show_default=True)
    commands = ((name, cli.get_command(root, name)) for name in cli.list_commands(root))
    head = f"# {say('Commands and options')}\n\n{_paragraph(_HEAD, say).format(command=written_by)}"
    return "\n".join(
        [head, *(line for name, command in commands if command for line in _describe(name, command, root, say))]
    )


def _describe(name: str, command: click.Command, parent: click.Context, say: _Say) -> Iterator[str]:
    ctx = click.Context(command, info_name=name, parent=parent)
    if isinstance(command, click.Group):
        for inner in command.list_commands(ctx):
            found = command.get_command(ctx, inner)
            yield from _describe(inner, found, ctx, say) if found else ()
        return
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    paragraphs = [_paragraph(each, say) for each in cleandoc(command.help or "").split("\n\n")]
    yield from (f"## {ctx.command_path}", "", f"`{usage}`", "", "\n\n".join(paragraphs), "")
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    yield from _table("Argument", (p.get_help_record(ctx) for p in arguments if p.help), say)
    if isinstance(command, Sectioned):
        for section, rows in command.sections(ctx):
            yield from (f"### {say(str(section))}", "")
            yield from _table("Option", rows, say)
    else:
        options = [p for p in command.params if isinstance(p, click.Option)]
        yield from _table("Option", (row for p in options if (row := p.get_help_record(ctx))), say)


def _paragraph(text: str, say: _Say) -> str:
    """A paragraph; in English in the lines that it is written in, which its message is without."""
    message = " ".join(text.split())
    said = say(message)
    return text if said == message else said + "\n" * text.endswith("\n")


def _table(heading: str, rows: Iterable[tuple[str, str]], say: _Say) -> Iterator[str]:
    lines = [
        f"| {_code(first)} | {_meaning(text, say).replace('|', '&#124;')} |"
        for first, text in rows
        if not first.endswith("--help")  # click keeps the help option as the first context wanted it
    ]
    if lines:
        yield from (f"| {say(heading)} | {say('Meaning')} |", "|---|---|", *lines, "")


def _code(text: str) -> str:
    """Code in a table. A bar would end the cell, and behind a backslash Python-Markdown shows that, too."""
    return f"`{text}`" if "|" not in text else f"<code>{escape(text, quote=False).replace('|', '&#124;')}</code>"


def _meaning(text: str, say: _Say) -> str:
    """A help text, and in brackets what stands for what is not given, and what may be given."""
    text, _, extra = text.removesuffix("]").partition("  [")
    default = extra.split("; ") if extra else []
    limits = [default.pop()] if default and _LIMIT.fullmatch(default[-1]) else []
    said = say(text) if text else ""
    told = [say(each) if each == "required" else each for each in limits]
    if default:
        words = "; ".join(default).removeprefix("default: ")
        # A single word is a value, whatever the language.
        told.insert(0, say("default: {value}").format(value=say(words) if " " in words else words))
    ended = say("  [{extra}]").format(extra=say("; ").join(told)) if told else ""
    return said + ended


@click.command()
@click.option("--language", type=click.Choice(list(map(str, Language))), default="en", help="Language of the page.")
def document_command(language: str) -> None:
    """Print the page of all commands and options, in Markdown."""
    click.echo(options_page(Language(language)).encode(), nl=False)


if __name__ == "__main__":
    document_command()
