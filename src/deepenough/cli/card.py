"""`deepenough card`."""

from __future__ import annotations

from pathlib import Path

import click

from deepenough.cli.options import from_schema, out_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path), help="Folder of a finished run.")
@click.argument("repository", metavar="[USER/NAME]", required=False, help="Repository that the usage snippets name.")
@from_schema(
    "language",
    language={
        "help": "Language of the card: English or Chinese.",
        "otherwise": "as the run was asked, or by the locale",
    },
)
@out_option("FILE", "File to write.  [default: print it]")
def card_command(run: Path, repository: str | None, out: Path | None, language: str | None) -> None:
    """Write the model card of a run, in Markdown.

    It has the network, the data, the decision with its intervals, the test images, and the limits: what is not claimed.
    """
    from deepenough.cli.console import Console
    from deepenough.errors import DeepenoughError
    from deepenough.hub.card import PLACEHOLDER, card_text, read_finished
    from deepenough.hub.refusals import check_name

    content = card_text(read_finished(run), check_name(repository) if repository else PLACEHOLDER, language)
    if out is None:
        click.echo(content, nl=False)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError:
        raise DeepenoughError(f"--out {out}: it exists already; name a new file") from None
    except OSError as error:
        raise DeepenoughError(f"--out {out}: it can't be written ({error.strerror}); name another file") from None
    Console().line(f"card: {out}")
