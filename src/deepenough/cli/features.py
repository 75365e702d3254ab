"""`deepenough features`."""

from __future__ import annotations

from pathlib import Path

import click

from deepenough.cli.options import data_argument, from_schema, run_argument


@click.command()
@run_argument
@data_argument("Images, as for `fit`.  [default: those of the run]")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Folder of the page.  [default: RUN/features]"
)
@from_schema("limit")
def features(run: Path, data: str | None, out: Path | None, limit: int | None) -> None:
    """Show what each layer responds to, and how much it knows of the classes.

    Writes a page with the first filters, the image patches that excite channels most, and a linear probe at every
    depth. Of the run's own images, the probes use only those that the model was not trained on.
    """
    from deepenough.cli.console import Console
    from deepenough.explain.features import features as look
    from deepenough.report.text import interval

    console = Console()
    with console.bars() as bars:
        found, page = look(run, data, out=out, limit=limit, reporter=bars)
    for probe in found.probing.probes:
        told = f"{probe.accuracy.value:.1%} ({interval(probe.accuracy)})"
        console.line(f"after {probe.place}, depth {probe.depth}: {told}")
    console.line(f"page: {page}")
