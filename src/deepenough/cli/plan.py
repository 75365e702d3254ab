"""`deepenough plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import (
    InSection,
    Sectioned,
    config_option,
    data_argument,
    from_schema,
    given,
    with_config,
)
from deepenough.schema import Section


@click.command(cls=Sectioned)
@data_argument()
@from_schema(*(section for section in Section if section is not Section.OUTPUT))
@config_option
@click.option("--json", "as_json", cls=InSection, section=Section.OUTPUT, is_flag=True, help="Print the plan as JSON.")
def plan_command(data: str | None, config: Path | None, as_json: bool, **options: Any) -> None:
    """Estimate the time and memory that `fit` takes, from a few training steps.

    DATA and options are those of `deepenough fit`. Nothing is kept except the measurements, in the cache.
    """
    from deepenough.cli.console import Console
    from deepenough.experiment import fit as experiment
    from deepenough.report.tables import plan_table
    from deepenough.training.memory import keep_freed_memory

    keep_freed_memory()
    console = Console()
    data, options = with_config(data, config, given(options))
    with console.bars() as bars:
        found = experiment.plan(data, progress=bars, **options)
    if as_json:
        click.echo(found.model_dump_json(indent=1, exclude_none=True))
    else:
        console.out.print(plan_table(found))
