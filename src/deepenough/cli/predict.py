"""`deepenough predict`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from deepenough.cli.exit_status import ExitStatus
from deepenough.cli.options import engine_option, images_argument, run_argument, top_option
from deepenough.cli.types import OptionValue
from deepenough.schema import Option

REJECT_BELOW = Option(
    name="reject_below",
    kind="float",
    help="Name no class that is less probable than this.",
    unit="PROBABILITY",
    least=0,
    most=1,
)


@click.command()
@run_argument
@images_argument
@top_option
@click.option("--json", "style", flag_value="json", help="Print one JSON object per line.")
@click.option("--csv", "style", flag_value="csv", help="Print comma-separated values.")
@click.option(
    "--reject-below",
    type=OptionValue(REJECT_BELOW),
    metavar=REJECT_BELOW.unit,
    help=REJECT_BELOW.help,
)
@engine_option("the first of onnx and openvino that is installed and proven to give torch's answers")
@click.pass_context
def predict_command(
    ctx: click.Context, /, run: Path, images: tuple[str, ...], style: str | None, **options: Any
) -> None:
    """Classify images with the model of a run."""
    from deepenough.cli.console import Console
    from deepenough.data.finding import PassedOver
    from deepenough.model import load
    from deepenough.prediction import lines, predict_files

    passed = PassedOver()
    write = {"json": _as_json, "csv": _as_csv, None: _as_table}[style]
    model = load(run, engine=options["engine"])
    below = options["reject_below"] or 0.0
    failed = write(predict_files(model, images, top=options["top"], reject_below=below, passed=passed))
    for line in (*model.notes, *lines(passed)):
        Console().problem(line)
    ctx.exit(ExitStatus.FAILED if failed else ExitStatus.DONE)


def _as_table(results: Iterator[dict[str, Any]]) -> int:
    from deepenough.cli.console import Console

    failed, console = 0, Console()
    for result in results:
        if "error" in result:
            failed += 1
            console.problem(f"{result['image']}: {result['error']}")
            continue
        ranked = "  ".join(f"{c} {p:.1%}" for c, p in zip(result["classes"], result["probabilities"], strict=True))
        rejected = "" if result["label"] is not None else "rejected: "
        console.line(f"{result['image']}: {rejected}{ranked}")
    return failed


def _as_json(results: Iterator[dict[str, Any]]) -> int:
    failed = 0
    for result in results:
        failed += "error" in result
        click.echo(json.dumps(result, ensure_ascii=False))
    return failed


def _as_csv(results: Iterator[dict[str, Any]]) -> int:
    """A row an image: the label (empty when rejected), then classes and probabilities from the most probable."""
    failed, writer = 0, csv.writer(sys.stdout)
    for number, result in enumerate(results):
        if "error" in result:
            failed += 1
            click.echo(f"{result['image']}: {result['error']}", err=True)
            continue
        pairs = list(zip(result["classes"], result["probabilities"], strict=True))
        if number == failed:
            writer.writerow(
                ["image", "label", *(f"{kind}_{i + 1}" for i in range(len(pairs)) for kind in ("class", "p"))]
            )
        writer.writerow([result["image"], result["label"] or "", *(v for c, p in pairs for v in (c, f"{p:.6f}"))])
    return failed
