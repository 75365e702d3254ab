"""`deepenough fit`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepenough.cli.exit_status import ExitStatus
from deepenough.cli.options import (
    InSection,
    Sectioned,
    config_option,
    data_argument,
    from_schema,
    given,
    with_config,
)
from deepenough.errors import DeepenoughError
from deepenough.schema import Section

if TYPE_CHECKING:
    from deepenough.experiment.finished_run import Run
    from deepenough.progress import Reporter

WITH_RESUME = ("resumed", "ray", "processes")


@click.command(cls=Sectioned)
@data_argument()
@from_schema(*Section)
@config_option
@click.option(
    "--out",
    cls=InSection,
    section=Section.OUTPUT,
    common=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Folder of the run.",
    otherwise="runs/DATA-1, or the next number that is free",
)
@click.option(
    "--resume",
    "resumed",
    cls=InSection,
    section=Section.OUTPUT,
    common=True,
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Go on with a run that was stopped, from its newest checkpoint.",
)
@click.option(
    "--ray",
    cls=InSection,
    section=Section.SPEED,
    is_flag=False,
    flag_value="local",
    metavar="[ADDRESS]",
    help="Train candidates side by side on a Ray cluster, or without ADDRESS on a new one on this machine.",
)
@click.option(
    "--processes",
    cls=InSection,
    section=Section.SPEED,
    type=click.IntRange(min=1),
    metavar="N",
    help="With --ray: processes that train each candidate together.",
    otherwise="1",
)
@click.pass_context
def fit_command(
    ctx: click.Context, /, data: str | None, resumed: Path | None, config: Path | None, **options: Any
) -> None:
    """Find the shallowest network that does the task.

    Shows the evidence, and keeps the model, a record and a report in the folder of the run. Ctrl-C loses nothing:
    --resume goes on.
    """
    if resumed is not None:
        too_many = [p.opts[0] for p in ctx.command.params if _given(ctx, p) and p.name not in WITH_RESUME]
        if too_many:
            raise DeepenoughError(f"--resume takes everything from the run; leave out {', '.join(too_many)}")
    data, options = with_config(data, config, given(options))
    ctx.exit(run_fit(data, resumed, **options))


def _given(ctx: click.Context, parameter: click.Parameter) -> bool:
    return ctx.get_parameter_source(parameter.name or "") == click.core.ParameterSource.COMMANDLINE


def run_fit(data: str | None, resumed: Path | None, **options: Any) -> ExitStatus:
    """Run or resume a search, print its evidence; the exit status."""
    from deepenough.cli.console import Console
    from deepenough.distribution.torchrun import follows, launched
    from deepenough.experiment import fit as experiment
    from deepenough.experiment.call import Call, ray_cluster
    from deepenough.report.tables import evidence
    from deepenough.training.memory import keep_freed_memory
    from deepenough.training.process_group import EndedError

    def work(progress: bool | Reporter = False) -> Run:
        if resumed:
            return experiment.resume(resumed, progress=progress, **options)
        out, cluster = options.pop("out", None), ray_cluster(options.pop("ray", None), options.pop("processes", 1))
        command = shlex.join(["deepenough", *sys.argv[1:]])
        return experiment.begin(data, experiment.asked_of(data, options), Call(command, out, cluster), progress)

    keep_freed_memory()
    if follows():
        try:
            work()
        except EndedError:  # the leader has said why
            return ExitStatus.FAILED
        return ExitStatus.DONE
    console = Console()
    with console.bars() as bars:
        done = work(bars)
    console.out.print(evidence(done.record, width=console.out.width))
    console.line(f"report: {done.report}")
    console.line(f"predict: deepenough predict {done.folder} IMAGE...")
    if done.met or launched():  # torchrun would take another status for a crash, and start again
        return ExitStatus.DONE
    return ExitStatus.TARGET_NOT_MET
