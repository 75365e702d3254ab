"""`deepenough push`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path), help="Folder of a finished run.")
@click.argument("repository", metavar="USER/NAME", help="Repository of the Hugging Face hub; made if it is new.")
@click.option("--private", is_flag=True, help="Keep the repository private.")
@click.option("--message", metavar="TEXT", help="Message of the commit.  [default: Push a model of deepenough]")
@click.option(
    "--card",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Model card to push.  [default: what `deepenough card` writes]",
)
def push_command(run: Path, repository: str, private: bool, message: str | None, card: Path | None) -> None:
    """Push the model of a run to the Hugging Face hub, with a model card.

    Weights, network, preprocessing, config.json and the card are pushed; no images, no paths, no names of files. Log in
    with `hf auth login` first, or set HF_TOKEN. The card of an earlier push is replaced.
    """
    from deepenough.cli.console import Console
    from deepenough.hub.push import MESSAGE, push

    done = push(run, repository, private=private, message=message or MESSAGE, card=card)
    console = Console()
    console.line(f"pushed: {done.url} (commit {done.commit})")
    console.line(f"use it: deepenough predict hf:{done.repository} IMAGE")
