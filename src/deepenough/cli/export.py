"""`deepenough export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deepenough.cli.options import OneOf, from_schema, given
from deepenough.cli.types import Shape

if TYPE_CHECKING:
    from rich.table import Table

    from deepenough.exporting.export import Cost, Exported

NOT_THE_SAME = 1


def targets() -> tuple[str, ...]:
    """The names of the targets."""
    from deepenough.frameworks.targets import NAMES

    return NAMES


@click.command()
@click.argument(
    "model",
    metavar="RUN|WEIGHTS|NETWORK",
    help="Folder of a run; pretrained weights, by name or file; or a network or family of `deepenough nets`, with "
    "random weights.",
)
@click.option("--to", required=True, type=OneOf(targets), help="Framework to write for.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder to write.  [default: RUN/exports/TO, or NAME-TO]",
)
@click.option("--half", is_flag=True, help="Write float16; for torch, onnx, keras, tensorflow and litert.")
@click.option(
    "--int8", is_flag=True, help="Quantise to 8 bits, calibrated on the training images; for onnx and litert."
)
@click.option(
    "--no-verify",
    "verify",
    flag_value=False,
    default=True,
    help="Don't run the exported model in its own framework to compare.",
)
@from_schema("network", "preprocess")
@click.option("--data", metavar="DATA", help="Labelled images to compare and calibrate on.  [default: the run's own]")
@click.option("--input", "shape", type=Shape(), metavar="CxHxW", help="Image size for a NETWORK, as 3x224x224.")
@click.option("--classes", type=click.IntRange(min=1), metavar="N", help="Number of classes of a NETWORK.")
@click.option("--depth", type=int, metavar="N", help="Depth of a family's network.")
@click.option("--width", type=float, metavar="FACTOR", help="Width factor of a family's network.")
@from_schema("seed", seed={"help": "Seed of a NETWORK's random weights."})
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.pass_context
def export(ctx: click.Context, /, model: str, as_json: bool, **options: Any) -> None:
    """Write a model for another framework, and prove that it predicts the same.

    The export contains its normalisation, a README and predict.py.
    """
    from deepenough.cli.console import Console
    from deepenough.exporting import export as exporting

    console = Console()
    with console.bars() as bars:
        done = exporting.export(model, reporter=bars, **given(options))
    if as_json:
        content = {"folder": str(done.folder), "model": str(done.model), **exporting.as_json(done)}
        click.echo(json.dumps(content, indent=1))
    else:
        if done.checks:
            console.out.print(table(done))
        for line in done.skipped:
            console.line(line, wrap=True, style="yellow")
        if done.cost is not None:
            console.line(costs(done.cost, done.precision), wrap=True)
        console.line(verdict(done), wrap=True, style="red" if done.passed is False else "")
        for label, path in (("model", done.model), ("use it", done.folder / "README.md")):
            console.line(f"{label}: {path}")
    ctx.exit(NOT_THE_SAME if done.passed is False else 0)


def table(done: Exported) -> Table:
    """A row for each runtime and batch size."""
    from rich import box
    from rich.table import Table

    shown = Table(title=f"Compared on {done.source}", title_justify="left", title_style="dim", box=box.SIMPLE_HEAD)
    for heading in ("Run by", "Batch", "Images", "Largest difference", "Same top-1"):
        shown.add_column(heading, justify="left" if heading == "Run by" else "right")
    for check in done.checks:
        difference = f"{check.difference:.1e} of the largest logit"
        shown.add_row(check.runtime, str(check.batch), str(check.images), difference, f"{check.same_top1}")
    return shown


def costs(cost: Cost, precision: str) -> str:
    """What a lower precision costs, in a sentence."""
    return (
        f"{precision}: {cost.after:.1%} of {cost.images:,} right, {cost.before:.1%} before; it loses "
        f"{100 * cost.difference:+.1f} points (95% bounds {100 * cost.lower:+.1f} to {100 * cost.upper:+.1f})"
    )


def verdict(done: Exported) -> str:
    """Whether it predicts the same, in a sentence."""
    from deepenough.frameworks.target import DIFFERENCE

    if done.passed is None:
        return "written, and not checked"
    if done.precision != "float32":
        return "runs" if done.passed else "FAILED: it does not predict as well; the model is renamed .failed"
    if done.passed:
        return f"predicts the same: differences under {DIFFERENCE:g} of the largest logit, every top-1 the same"
    return (
        f"FAILED: differences have to be under {DIFFERENCE:g} of the largest logit and every top-1 the same; "
        "the model is renamed .failed"
    )
