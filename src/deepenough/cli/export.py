"""`deepenough export`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from deepenough.cli.exit_status import ExitStatus
from deepenough.cli.options import OneOf, from_schema, given, json_option, network_options, out_option

if TYPE_CHECKING:
    from rich.table import Table

    from deepenough.exporting.cost import PrecisionCost
    from deepenough.exporting.export import Exported


def targets() -> tuple[str, ...]:
    """The names of the targets."""
    from deepenough.frameworks.targets import TARGET_NAMES

    return TARGET_NAMES


@click.command()
@click.argument(
    "model",
    metavar="RUN|WEIGHTS|NETWORK",
    help="Folder of a run; hf:USER/NAME; pretrained weights, by name or file; or a network or family of "
    "`deepenough nets`, with random weights.",
)
@click.option("--to", required=True, type=OneOf(targets), help="Framework to write for.")
@out_option("FOLDER", "Folder to write.  [default: RUN/exports/TO, or NAME-TO]")
@click.option("--half", is_flag=True, help="Write float16, where TO has it.")
@click.option("--int8", is_flag=True, help="Quantise to 8 bits, calibrated on training images, where TO has it.")
@click.option(
    "--no-verify",
    "verify",
    flag_value=False,
    default=True,
    show_default=False,
    help="Don't run the exported model in its own framework to compare.",
)
@from_schema("network", "preprocess")
@click.option("--data", metavar="DATA", help="Labelled images to compare and calibrate on.  [default: the run's own]")
@network_options(
    shape="Image size for a NETWORK, such as 3x224x224.",
    classes="Number of classes of a NETWORK.",
)
@from_schema("seed", seed={"help": "Seed of a NETWORK's random weights."})
@json_option("Print the comparison as JSON.")
@click.pass_context
def export_command(ctx: click.Context, /, model: str, as_json: bool, **options: Any) -> None:
    """Write a model for another framework, and prove that it predicts the same.

    The export contains its normalisation, a README and predict.py.
    """
    from deepenough.cli.console import Console
    from deepenough.exporting import export as exporting

    console = Console()
    with console.bars() as bars:
        done = exporting.export(model, reporter=bars, **given(options))
    if as_json:
        content = {"folder": str(done.folder), "model": str(done.model), **exporting.parity_json(done)}
        click.echo(json.dumps(content, indent=1))
    else:
        if done.checks:
            console.out.print(parity_table(done))
        for line in done.skipped:
            console.line(line, wrap=True, style="yellow")
        for cost in done.costs:
            console.line(cost_sentence(cost, done.precision), wrap=True)
        if done.cost is not None and done.cost.large:
            console.line(loss_warning(done), wrap=True, style="yellow")
        console.line(parity_verdict(done), wrap=True, style="red" if done.passed is False else "")
        for label, path in (("model", done.model), ("use it", done.folder / "README.md")):
            console.line(f"{label}: {path}")
    ctx.exit(ExitStatus.FAILED if done.passed is False else ExitStatus.DONE)


def parity_table(done: Exported) -> Table:
    """A row for each runtime and batch size."""
    from deepenough.report.tables import plain_table

    right = ("Batch", "Images", "Largest difference", "Same top-1")
    table = plain_table(f"Compared on {done.source}", left=("Run by",), right=right)
    for check in done.checks:
        difference = f"{check.difference:.1e} of the largest logit"
        table.add_row(check.runtime, str(check.batch), str(check.images), difference, f"{check.same_top1}")
    return table


def cost_sentence(cost: PrecisionCost, precision: str) -> str:
    """The accuracy that a lower precision loses, in a sentence."""
    before, after = (
        f"{share:.1%} ({low:.1%} to {high:.1%})"
        for share, (low, high) in ((cost.before, cost.before_bounds), (cost.after, cost.after_bounds))
    )
    return (
        f"{precision}, {cost.runtime}: right on {after} of {cost.images:,} images, {before} before: a loss of "
        f"{100 * cost.difference:+.1f} points (95% bounds {100 * cost.lower:+.1f} to {100 * cost.upper:+.1f}); "
        f"{cost.disagreement:.1%} of the answers are others"
    )


def loss_warning(done: Exported) -> str:
    """The advice where more than a point is lost, in a sentence."""
    lost = f"{done.precision} loses more than 1 point of accuracy"
    return (
        f"{lost}; --half loses less, where the target has it"
        if done.precision == "int8"
        else f"{lost}; leave out --half"
    )


def parity_verdict(done: Exported) -> str:
    """The outcome of the comparison, in a sentence."""
    from deepenough.frameworks.target import DIFFERENCE
    from deepenough.frameworks.targets import TARGETS

    if done.passed is None:
        read_back = TARGETS[done.target].read_back
        return f"written but not run; {read_back}" if read_back else "written but not checked"
    if done.precision != "float32":
        return "it runs" if done.passed else "FAILED: it does not predict as well; the model is renamed .failed"
    if done.passed:
        return f"predicts the same: differences under {DIFFERENCE:g} of the largest logit, every top-1 the same"
    return (
        f"FAILED: differences must be under {DIFFERENCE:g} of the largest logit and every top-1 the same; "
        "the model is renamed .failed"
    )
