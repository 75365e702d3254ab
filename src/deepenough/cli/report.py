"""`deepenough report`."""

from __future__ import annotations

from pathlib import Path

import click

from deepenough.cli.options import from_schema, run_argument


@click.command()
@run_argument
@from_schema("language", language={"otherwise": "as the run was asked, or by the locale"})
def report_command(run: Path, language: str | None) -> None:
    """Rewrite the report of a run, and print its evidence."""
    from deepenough import record
    from deepenough.cli.console import Console
    from deepenough.report import write_report
    from deepenough.report.tables import evidence

    page, console = write_report(run, language), Console()
    console.out.print(evidence(record.load(run), width=console.out.width))
    console.line(f"report: {page}")
