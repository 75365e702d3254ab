"""`deepenough fit`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import search_options, switches_of
from deepenough.errors import DeepenoughError

NOT_MET = 3
WITH_RESUME = ("resumed", "ray", "processes")


@click.command()
@search_options
@click.option("--out", type=click.Path(path_type=Path), metavar="RUN", help="Folder of the run.  [default: runs/...]")
@click.option(
    "--resume",
    "resumed",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a run that was stopped, from its newest checkpoint.",
)
@click.option(
    "--ray",
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Train candidates side by side on a Ray cluster; without ADDRESS on one that is started here.",
)
@click.option("--processes", type=click.IntRange(min=1), help="With --ray: how many train each candidate together.")
@click.pass_context
def fit(ctx: click.Context, /, data: str | None, resumed: Path | None, **options: Any) -> None:
    """Find the shallowest network that does the task.

    DATA is a folder of class folders (with or without train, validation and test folders), a CSV of path and
    label, a Parquet file or folder, WebDataset's tar shards, a folder of IDX files, digits, fashion-mnist, or hf:NAME.
    Without DATA: digits.
    """
    if resumed is not None:
        given = [p.opts[0] for p in ctx.command.params if _given(ctx, p) and p.name not in WITH_RESUME]
        if given:
            raise DeepenoughError(f"--resume takes everything from the run; leave out {', '.join(given)}")
        options = {"ray": options["ray"], "processes": options["processes"]}
    else:
        options["switches"] = switches_of(options)
    ctx.exit(run(data, resumed, **{**options, "processes": options["processes"] or 1}))


def _given(ctx: click.Context, parameter: click.Parameter) -> bool:
    return ctx.get_parameter_source(parameter.name or "") == click.core.ParameterSource.COMMANDLINE


def run(data: str | None, resumed: Path | None, **options: Any) -> int:
    """Run or resume a search, print its evidence; the exit status."""
    from deepenough.cli.console import Console
    from deepenough.distribution.torchrun import EndedError, follows, launched
    from deepenough.experiment import fit as experiment
    from deepenough.report.tables import evidence
    from deepenough.training.memory import keep_freed_memory

    def work(**more: Any) -> experiment.Run:
        return experiment.resume(resumed, **options, **more) if resumed else experiment.fit(data, **options, **more)

    keep_freed_memory()
    if follows():
        try:
            work()
        except EndedError:  # the leader has said why
            return 1
        return 0
    console = Console()
    with console.bars() as bars:
        done = work(reporter=bars)
    console.out.print(evidence(done.record, width=console.out.width))
    console.line(f"report: {done.report}")
    console.line(f"predict: deepenough predict {done.folder} IMAGE...")
    return 0 if done.met or launched() else NOT_MET  # torchrun would take it for a crash, and start again
