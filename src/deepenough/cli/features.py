"""`deepenough features`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="[default: RUN/features]")
@click.option("--limit", type=click.IntRange(min=1), help="Use at most so many images of each split.")
def features(run: Path, data: str | None, out: Path | None, limit: int | None) -> None:
    """Show what the layers see: first filters, the patches that excite channels most, a linear probe at every depth.

    DATA is by default what the run was made from; its probes use only images that the model was not trained on.
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
