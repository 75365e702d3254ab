"""`deepenough compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepenough.cli.exit_status import ExitStatus
from deepenough.cli.options import from_schema, network_options, out_option

if TYPE_CHECKING:
    from rich.table import Table

    from deepenough.compare.results import FrameworkComparison


@click.command()
@click.argument(
    "name",
    metavar="[NETWORK]",
    default="resnet50",
    help="A network or family of `deepenough nets`.  [default: resnet50]",
)
@network_options(shape="Image size, such as 3x224x224.  [default: the network's]")
@click.option("--batch", type=click.IntRange(min=1), default=16, metavar="N", help="Images per step.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, metavar="N", help="Turns of each framework.")
@click.option(
    "--seconds",
    type=float,
    default=3.0,
    metavar="SECONDS",
    help="Length of a turn, which has at least two steps.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Only this framework: PyTorch, 'Keras, JAX', ... Can be repeated.",
)
@from_schema("language", language={"help": "Language of the page: English or Chinese."})
@out_option("FOLDER", "Folder of the page.  [default: comparison-NETWORK]")
@click.pass_context
def compare_command(ctx: click.Context, /, name: str, only: tuple[str, ...], **options: Any) -> None:
    """Compare the speed and memory of a network across the installed frameworks.

    The network is built natively in each. After a check that one training step gives the same result, they take turns;
    a table and a page show training and prediction speed, first steps, memory, size and lines of code.
    """
    from deepenough.cli.console import Console
    from deepenough.compare import text as words
    from deepenough.compare.comparison import compare_frameworks
    from deepenough.compare.page import write_comparison
    from deepenough.compare.results import Timing
    from deepenough.nets.choose import choose_network

    out, language = options.pop("out"), options.pop("language")
    network = choose_network(name, **{key: options.pop(key) for key in ("shape", "depth", "width")})
    console = Console()
    with console.bars() as bars:
        found = compare_frameworks(network, Timing(**options), only=only, reporter=bars)
    console.out.print(comparison_table(found))
    for line in (words.fastest(found), words.gradient_check(found), *words.failures(found)):
        console.line(line, wrap=True)
    page = write_comparison(found, out or Path(f"comparison-{network.name}"), language)
    console.line(f"page: {page}")
    ctx.exit(ExitStatus.FAILED if any(result.differs for result in found.results) else ExitStatus.DONE)


def comparison_table(found: FrameworkComparison) -> Table:
    """A row for each framework and mode."""
    from deepenough.compare import text as words
    from deepenough.report.tables import plain_table

    size = "x".join(map(str, found.input))
    table = plain_table(
        f"{found.network} at {size}, batch {found.batch}; {found.machine}",
        left=("Framework", "Mode"),
        right=("Train/s", "Predict/s", "First step", "First predict", "Memory", "Disk", "Lines"),
    )
    for each in found.results:
        if each.problem:
            table.add_row(each.framework, each.problem)
        rest = [words.size(each.peak or each.peak_infer), words.size(each.disk), str(each.lines or "–")]
        for number, mode in enumerate(words.modes(each)):
            speeds = [words.rate(each, task, mode) for task in ("train", "infer")]
            firsts = [words.first(each, task, mode) for task in ("train", "infer")]
            table.add_row("" if number else each.version, mode, *speeds, *firsts, *([] if number else rest))
    return table
