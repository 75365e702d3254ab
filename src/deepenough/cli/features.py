"""`deepenough features`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import data_argument, from_schema, out_option, run_argument


@click.command()
@run_argument
@data_argument("Images, as for `fit`.  [default: those of the run]")
@out_option("FOLDER", "Folder of the page.  [default: RUN/features]")
@from_schema("limit", "language", language={"help": "Language of the page: English or Chinese."})
def features_command(run: Path, data: str | None, **options: Any) -> None:
    """Show what each layer responds to, and how much it knows of the classes.

    Writes a page with the first filters, the image patches that excite channels most, and a linear probe at every
    depth. Of the run's own images, the probes use only those that the model was not trained on.
    """
    from deepenough.cli.console import Console
    from deepenough.explain.features import show_features
    from deepenough.report.text import interval_text

    console = Console()
    with console.bars() as bars:
        found, page = show_features(run, data, reporter=bars, **options)
    for probe in found.probing.probes:
        accuracy = f"{probe.accuracy.value:.1%} ({interval_text(probe.accuracy)})"
        console.line(f"after {probe.place}, depth {probe.depth}: {accuracy}")
    console.line(f"page: {page}")
