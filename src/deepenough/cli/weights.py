"""What the commands about pretrained weights print: `weights list`, `weights get`, `nets --evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from deepenough.errors import DeepenoughError
from deepenough.files import check_new

if TYPE_CHECKING:
    from deepenough.cli.console import Console
    from deepenough.weights import Weights


def weights_list(console: Console, as_json: bool) -> None:
    """Every name of the table: its network, what it expects, how large it is, and whether it is here."""
    rows = _rows()
    if as_json:
        print(json.dumps(rows, indent=1))  # noqa: T201
        return
    from rich import box
    from rich.table import Table

    from deepenough.weights.fetch import weights_folder

    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("name", "network"):
        table.add_column(heading, no_wrap=True)
    for heading in ("depth", "parameters", "top-1 / top-5 error", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("input")
    table.add_column("here", justify="center")
    for row in rows:
        errors = "-" if row["top1"] is None else f"{row['top1']:.2f} / {_or_dash(row['top5'])}"
        counts = (str(row["depth"]), f"{row['parameters']:,}", errors, f"{row['megabytes']:.0f}")
        table.add_row(row["name"], row["network"], *counts, row["seen"], "yes" if row["cached"] else "")
    console.out.print(table)
    for line in (
        "errors: single-crop, in percent on ILSVRC-2012 validation, as the publishers state them",
        f"here: in {weights_folder()}",
        "fetch: deepenough weights get NAME",
    ):
        console.out.print(escape(line), highlight=False, soft_wrap=True)


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


def weights_get(console: Console, given: str, out: Path | None, network: str | None, preprocess: str | None) -> None:
    """Fetch weights (or read a file), check them, say where they lie; with `out` write them as a model folder."""
    from deepenough.cli.console import Bars
    from deepenough.nets import depth, parameters
    from deepenough.weights import load_weights
    from deepenough.weights.fetch import cached
    from deepenough.weights.names import NAMED

    if out is not None:
        check_new(out)
    with Bars(console.progress) as bars:
        weights = load_weights(given, network=network, preprocess=preprocess, reporter=bars)
    file = Path(given)
    if not file.is_file() and weights.name in NAMED:
        file = cached(NAMED[weights.name]) or file
    lines = {
        "weights": f"{weights.name} ({weights.source})",
        "network": f"{weights.network.name}: depth {depth(weights.network)}, {parameters(weights.network):,} parameters"
        f", {weights.network.classes:,} classes",
        "variant": weights.network.variant,
        "input": str(weights.input),
        "sha256": weights.sha256,
        "file": str(file),
    }
    if out is not None:
        write_model(out, weights)
        lines |= {"model": str(out), "predict": f"deepenough predict {out} IMAGE..."}
    for heading, text in lines.items():
        console.out.print(f"{heading}: {escape(text)}", highlight=False, soft_wrap=True)


def write_model(folder: Path, weights: Weights) -> None:
    """A model folder with these weights. Classes whose names are not known are called by their numbers."""
    from deepenough.data import Preprocess
    from deepenough.model import save_model

    classes = weights.classes or [str(number) for number in range(weights.network.classes)]
    save_model(folder, weights.network, weights.state, Preprocess.of(weights.input), classes)


def nets_evaluate(
    console: Console,
    folder: Path,
    given: Sequence[str],
    *,
    limit: int | None,
    seed: int,
    device: str | None,
    network: str | None,
    preprocess: str | None,
    as_json: bool,
) -> None:
    """Measure weights on ImageNet's validation images, and print them beside the published figures."""
    from deepenough.cli.console import Bars
    from deepenough.evaluation.imagenet_table import chosen, measure, table, to_json

    if not given:
        raise DeepenoughError("--evaluate needs --weights: torchvision or timm for all of theirs, a name, or a file")
    with Bars(console.progress) as bars:
        weights = chosen(given, network=network, preprocess=preprocess, reporter=bars)
        measured = list(measure(folder, weights, limit=limit, seed=seed, device=device or "auto", reporter=bars))
    if as_json:
        print(json.dumps(to_json(measured), indent=1))  # noqa: T201
    else:
        console.out.print(table(measured))
