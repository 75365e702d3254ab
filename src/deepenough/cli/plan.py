"""`deepenough plan`."""

from __future__ import annotations

from typing import Any

import click

from deepenough.cli.options import search_options, switches_of


@click.command()
@search_options
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(data: str | None, as_json: bool, **options: Any) -> None:
    """Say how long `fit` will take and how much memory, by a few training steps.

    DATA and the options are those of `deepenough fit`. Nothing is kept but what was measured, in the cache.
    """
    from deepenough.cli.console import Console
    from deepenough.experiment import fit as experiment
    from deepenough.report.tables import plan_table
    from deepenough.training.memory import keep_freed_memory

    keep_freed_memory()
    console = Console()
    with console.bars() as bars:
        found = experiment.plan(data, reporter=bars, switches=switches_of(options), **options)
    if as_json:
        click.echo(found.model_dump_json(indent=1, exclude_none=True))
    else:
        console.out.print(plan_table(found))
