"""`deepenough probe`."""

from __future__ import annotations

from typing import Any

import click

from deepenough.cli.options import data_argument, from_schema, given, json_option


@click.command()
@data_argument()
@from_schema(
    "weights",
    "network",
    "preprocess",
    "framing",
    "margin",
    "size",
    "limit",
    "device",
    "threads",
    "seed",
    weights={
        "kind": "str | None",
        "unit": "NAME|FILE",
        "help": "Pretrained weights: a name (see `deepenough weights list`), hf:USER/NAME on the Hugging Face hub, or "
        "a file.",
        "otherwise": "",
    },
    network={
        "help": "The network that a file of --weights belongs to, where several fit; or, instead of --weights, a "
        "network of your own: the function of a Python file that returns a torch module.",
    },
    framing={"otherwise": "source"},
    margin={"help": "How much worse than the best depth is still good enough."},
    size={"otherwise": "that of the weights"},
    seed={"help": "Seed of the split, and of the folds."},
)
@json_option("Print the table as JSON.")
def probe_command(data: str | None, as_json: bool, threads: int | None, **options: Any) -> None:
    """Show how much of the task is solved at every depth of a pretrained network.

    One pass over the images, and a linear probe wherever the network can be cut. Test images stay unseen.
    --network nets:make probes a network of your own.
    """
    import torch

    from deepenough.cli.console import Console
    from deepenough.experiment.probe import probe
    from deepenough.report.tables import probing_table
    from deepenough.training.memory import keep_freed_memory

    keep_freed_memory()
    torch.set_num_threads(threads or torch.get_num_threads())
    console = Console()
    with console.bars() as bars:
        found = probe(data, reporter=bars, **given(options))
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        console.out.print(probing_table(found, console.out.width))
