"""`deepenough compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepenough.cli.types import Shape

if TYPE_CHECKING:
    from rich.table import Table

    from deepenough.compare.comparison import Comparison

DIFFERENT = 1


@click.command()
@click.argument(
    "name",
    metavar="[NETWORK]",
    default="resnet50",
    help="A network or family of `deepenough nets`.  [default: resnet50]",
)
@click.option(
    "--input", "shape", type=Shape(), metavar="CxHxW", help="Image size, as 3x224x224.  [default: the network's]"
)
@click.option(
    "--batch", type=click.IntRange(min=1), default=16, show_default=True, metavar="N", help="Images per step."
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, metavar="N", help="Turns for each framework."
)
@click.option(
    "--seconds",
    type=float,
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Length of a turn, but at least two steps.",
)
@click.option(
    "--only", multiple=True, metavar="NAME", help="Only this framework: PyTorch, 'Keras, JAX', ... Can be repeated."
)
@click.option("--depth", type=int, metavar="N", help="Depth of a family's network.")
@click.option("--width", type=float, metavar="FACTOR", help="Width factor of a family's network.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of the page.  [default: comparison-NETWORK]",
)
@click.pass_context
def compare(ctx: click.Context, /, name: str, out: Path | None, **options: Any) -> None:
    """Compare the speed and memory of a network across the installed frameworks.

    The network is built natively in each. After a check that one training step gives the same result, they take turns;
    a table and a page show training and prediction speed, first steps, memory, size and lines of code.
    """
    from deepenough.cli.console import Console
    from deepenough.compare import text as words
    from deepenough.compare.comparison import compare as measure
    from deepenough.compare.page import write_comparison
    from deepenough.nets.choose import choose

    network = choose(name, **{key: options.pop(key) for key in ("shape", "depth", "width")})
    console = Console()
    with console.bars() as bars:
        found = measure(network, reporter=bars, **options)
    console.out.print(table(found))
    for line in (words.headline(found), words.check(found), *words.failures(found)):
        console.line(line, wrap=True)
    console.line(f"page: {write_comparison(found, out or Path(f'comparison-{network.name}'))}")
    ctx.exit(DIFFERENT if any(row.differs for row in found.rows) else 0)


def table(found: Comparison) -> Table:
    """A row for each framework and mode."""
    from rich import box
    from rich.table import Table

    from deepenough.compare import text as words

    size = "x".join(map(str, found.input))
    shown = Table(
        title=f"{found.network} at {size}, batch {found.batch}; {found.machine}",
        title_justify="left",
        title_style="dim",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    headings = ("Framework", "Mode", "Train/s", "Predict/s", "First step", "First predict", "Memory", "Disk", "Lines")
    for heading in headings:
        shown.add_column(heading, justify="left" if heading in ("Framework", "Mode") else "right")
    for row in found.rows:
        if row.problem:
            shown.add_row(row.side, row.problem)
        for number, mode in enumerate(words.modes(row)):
            own = [row.version, mode] if number == 0 else ["", mode]
            speeds = [words.rate(row, "train", mode), words.rate(row, "infer", mode)]
            firsts = [words.first(row, "train", mode), words.first(row, "infer", mode)]
            peak = words.size(row.peak or row.peak_infer)
            rest = [peak, words.size(row.disk), "–" if row.lines is None else str(row.lines)] if number == 0 else []
            shown.add_row(*own, *speeds, *firsts, *rest)
    return shown
