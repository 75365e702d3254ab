"""`deepenough lab`."""

from __future__ import annotations

from typing import Any

import click

from deepenough.cli.options import from_schema, out_option


@click.command()
@click.argument("name", required=False, help="The claim.  [default: list all claims]")
@click.option(
    "--data", metavar="DATA", help="Images, as for `fit`.  [default: fashion-mnist; digits for some quick ones]"
)
@click.option("--seeds", type=click.IntRange(min=1), default=3, metavar="N", help="Trainings of each setting.")
@click.option("--quick", is_flag=True, help="Use few images, few epochs and narrow networks.")
@from_schema("limit")
@from_schema("language", language={"help": "Language of the page: English or Chinese."})
@out_option("FOLDER", "Folder of the page.  [default: lab/NAME]")
def lab_command(name: str | None, data: str | None, seeds: int, quick: bool, limit: int | None, **places: Any) -> None:
    """Test a common claim about depth on your images."""
    from deepenough.cli.console import Console
    from deepenough.lab.page import bounds, value_text
    from deepenough.lab.run import CLAIMS, Scale, run_experiment
    from deepenough.lab.text import say

    console = Console()
    if name is None:
        width = max(map(len, CLAIMS))
        for each, claim in CLAIMS.items():
            console.line(f"{each:{width}}  {claim.text}")
        return
    with console.bars() as bars:
        record, page = run_experiment(name, data, scale=Scale(seeds, quick, limit), reporter=bars, **places)
    lines = [f"{record.name}: {record.claim}"]
    lines += [f"  {say(e.what)}: {value_text(e, e.mean)} ({bounds(e)}), {e.verdict}" for e in record.result.effects]
    lines += record.cautions
    for line in (*lines, f"{record.verdict}, on {say(record.data)}", f"page: {page}"):
        console.line(line)
