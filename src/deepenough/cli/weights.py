"""`deepenough weights list` and `deepenough weights get`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepenough.cli.options import from_schema, json_option, out_option
from deepenough.files import check_new
from deepenough.hub import HUB_PREFIX

if TYPE_CHECKING:
    from deepenough.weights import Weights


@click.group()
def weights_command() -> None:
    """List and fetch pretrained weights."""


@weights_command.command("list")
@json_option("Print the table as JSON.")
def weights_list(as_json: bool) -> None:
    """List the weights that have a name, with network and published error."""
    rows = _rows()
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    from deepenough.cli.console import Console
    from deepenough.report.tables import plain_table
    from deepenough.report.text import amount
    from deepenough.weights.fetch import weights_folder

    console = Console()
    table = plain_table(left=("name", "network"), right=("depth", "params", "top-1 / top-5", "MB"))
    table.add_column("input")
    table.add_column("here", justify="center")
    for row in rows:
        errors = "-" if row["top1"] is None else f"{row['top1']:.2f} / {_or_dash(row['top5'])}"
        counts = (str(row["depth"]), amount(row["parameters"]), errors, f"{row['megabytes']:.0f}")
        table.add_row(row["name"], row["network"], *counts, row["seen"], "yes" if row["cached"] else "")
    console.out.print(table)
    console.line("top-1 / top-5: single-crop errors in percent on ILSVRC-2012 validation, as the publishers state them")
    console.line("input: the centre of an image whose shorter side has so many pixels")
    console.line(f"here: in {weights_folder()}")
    console.line("fetch: deepenough weights get NAME")


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _rows() -> list[dict[str, Any]]:
    from deepenough.nets import depth, parameters
    from deepenough.nets.zoo import NETWORKS
    from deepenough.weights.fetch import cached
    from deepenough.weights.names import NAMED

    rows = []
    for entry in NAMED.values():
        network, path = NETWORKS[entry.network](), cached(entry)
        (height, width), shorter = entry.input.size, entry.input.shorter
        seen = f"{width}x{height}" + ("" if shorter is None else f" of {shorter}") + f", {entry.input.interpolation}"
        rows.append(
            {
                "name": entry.name,
                "publisher": entry.publisher,
                "network": entry.network,
                "variant": network.variant,
                "depth": depth(network),
                "parameters": parameters(network),
                "top1": entry.top1,
                "top5": entry.top5,
                "input": entry.input.to_json(),
                "seen": seen,
                "megabytes": entry.megabytes,
                "url": entry.url,
                "sha256": entry.sha256,
                "cached": None if path is None else str(path),
            }
        )
    return rows


@weights_command.command("get")
@click.argument(
    "given",
    metavar="NAME|FILE",
    help="A name of `deepenough weights list`; hf:USER/NAME, a network of timm, transformers or deepenough on the "
    "Hugging Face hub; or a file of weights.",
)
@out_option("FOLDER", "Also write a model folder, for `deepenough predict`.")
@from_schema("network", "preprocess")
def weights_get(given: str, out: Path | None, network: str | None, preprocess: str | None) -> None:
    """Fetch weights by name, or read a file; check them, and show the images that they expect."""
    from deepenough.cli.console import Console
    from deepenough.nets import depth, parameters
    from deepenough.weights import load_weights
    from deepenough.weights.fetch import cached
    from deepenough.weights.names import NAMED

    if out is not None:
        check_new(out)
    console = Console()
    with console.bars() as bars:
        found = load_weights(given, network=network, preprocess=preprocess, reporter=bars)
    file = Path(given)
    if not file.is_file() and found.name in NAMED:
        file = cached(NAMED[found.name]) or file
    lines = {
        "weights": f"{found.name} ({found.source})",
        "network": f"{found.network.name}: depth {depth(found.network)}, {parameters(found.network):,} parameters"
        f", {found.network.classes:,} classes",
        "variant": found.network.variant,
        "input": str(found.input),
        "sha256": found.sha256,
        **({} if given.startswith(HUB_PREFIX) else {"file": str(file)}),
    }
    if out is not None:
        write_model(out, found)
        lines |= {"model": str(out), "predict": f"deepenough predict {out} IMAGE..."}
    for heading, text in lines.items():
        console.line(f"{heading}: {text}")


def write_model(folder: Path, found: Weights) -> None:
    """Write a model folder with these weights; classes whose names are not known are called by their numbers."""
    from deepenough.model import save_model

    save_model(folder, found.network, found.state, found.input, found.class_names)
