"""`deepenough evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from deepenough.cli.options import data_argument, json_option, run_argument


@click.command()
@run_argument
@data_argument("Labelled images, as for `fit`.", required=True)
@click.option(
    "--split",
    metavar="SPLIT",
    help="Images to use: train, validation, test or all.  [default: test where there is one, else all]",
)
@json_option("Print all metrics as JSON.")
def evaluate_command(run: Path, data: str, split: str | None, as_json: bool) -> None:
    """Measure the model of a run on labelled images."""
    from deepenough.cli.console import Console
    from deepenough.evaluation.evaluate import evaluate
    from deepenough.model import load
    from deepenough.record import FILE
    from deepenough.record import load as load_record
    from deepenough.report.frozen import frozen
    from deepenough.report.tables import metrics_table
    from deepenough.report.text import sentence

    console = Console()
    with console.bars() as bars:
        metrics, left_out = evaluate(run, data, split=split, reporter=bars)
    for line in left_out:
        console.problem(f"left out: {line}")
    if as_json:
        click.echo(metrics.model_dump_json(indent=1))
    else:
        console.out.print(metrics_table(metrics, load(run).classes))
        if (run / FILE).is_file() and (said := frozen(load_record(run))):
            console.line(sentence(said), wrap=True)
