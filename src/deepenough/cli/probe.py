"""`deepenough probe`."""

from __future__ import annotations

from typing import Any

import click

from deepenough.cli.options import weights_options


@click.command()
@click.argument("data", required=False)
@weights_options(required=True)
@click.option(
    "--margin",
    type=float,
    default=0.01,
    show_default=True,
    metavar="SHARE",
    help="How much worse than the best place is still good enough.",
)
@click.option("--size", type=int, help="Side to which images are resized.  [default: that of the weights]")
@click.option("--limit", type=int, help="Use at most so many images of each split, for a quick look.")
@click.option("--device", type=click.Choice(("cpu", "cuda", "mps")), help="[default: the best that there is]")
@click.option("--threads", type=int, help="Processor threads.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The table as JSON.")
def probe(data: str | None, as_json: bool, threads: int | None, **options: Any) -> None:
    """Tell how much of the task is solved at every depth of a trained network.

    One pass over the images, a linear probe at every place where the network can be cut. Test images stay unseen.
    """
    import torch

    from deepenough.cli.console import Console
    from deepenough.probing.probe import probe as measure
    from deepenough.report.tables import probing_table
    from deepenough.training.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(threads or torch.get_num_threads())
    console = Console()
    with console.bars() as bars:
        found = measure(data, reporter=bars, **options)
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        console.out.print(probing_table(found, console.out.width))
