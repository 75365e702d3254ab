"""`deepenough lab`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import from_schema


@click.command()
@click.argument("name", required=False, help="The claim.  [default: list all claims]")
@click.option(
    "--data", metavar="DATA", help="Images, as for `fit`.  [default: fashion-mnist; digits for some quick ones]"
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Trainings of each setting."
)
@click.option("--quick", is_flag=True, help="Use few images, few epochs and narrow networks.")
@from_schema("limit")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Folder of the page.  [default: lab/NAME]"
)
def lab(name: str | None, data: str | None, **options: Any) -> None:
    """Test a common claim about depth on your images."""
    from deepenough.cli.console import Console
    from deepenough.lab.page import bounds, shown
    from deepenough.lab.run import CLAIMS, run

    console = Console()
    if name is None:
        width = max(map(len, CLAIMS))
        for each, claim in CLAIMS.items():
            console.line(f"{each:{width}}  {claim.says}")
        return
    with console.bars() as bars:
        record, page = run(name, data, reporter=bars, **options)
    lines = [f"{record.name}: {record.claim}"]
    lines += [f"  {e.what}: {shown(e.mean)} ({bounds(e)}), {e.verdict}" for e in record.seen.effects]
    lines += record.cautions
    for line in (*lines, f"{record.verdict}, on {record.data}", f"page: {page}"):
        console.line(line)
