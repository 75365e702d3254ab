"""`deepenough nets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from deepenough.cli.options import from_schema, json_option, network_options
from deepenough.errors import DeepenoughError

OF_A_NETWORK = {"depth": "--depth", "width": "--width", "classes": "--classes", "shape": "--input"}
OF_A_MEASUREMENT = ("weights", "network", "preprocess", "limit", "seed", "device")


@click.command()
@click.argument(
    "name",
    required=False,
    help="A network (alexnet, vgg16, googlenet, resnet50, ...), or a family with --depth and --width.",
)
@json_option("Print JSON instead of a summary.")
@network_options(shape="Image size, such as 3x224x224.", classes="Number of classes.")
@click.option(
    "--evaluate",
    "images",
    type=click.Path(path_type=Path),
    metavar="IMAGENET_VAL",
    help="Measure pretrained networks on ImageNet's validation images, beside the published errors.",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME|FILE",
    help="With --evaluate: weights to measure; torchvision or timm stands for all of theirs. Can be repeated.",
)
@from_schema(
    "network",
    "preprocess",
    "limit",
    "device",
    "seed",
    limit={"help": "With --evaluate: use at most this many images, from all classes alike."},
    device={"help": "With --evaluate: where to compute."},
    seed={"help": "With --limit: seed of the drawn images."},
)
def nets_command(name: str | None, images: Path | None, as_json: bool, **options: Any) -> None:
    """Show the published networks, or one network layer by layer.

    With --evaluate: the single-crop and ten-crop error of pretrained networks.
    """
    of_a_network = {key: options.pop(key) for key in OF_A_NETWORK}
    if images is not None:
        if name is not None:
            raise DeepenoughError(f"{name}: --evaluate measures what --weights names; leave out the network")
        _evaluate(images, as_json, **options)
        return
    for option in OF_A_MEASUREMENT:
        if options[option] not in (None, ()):
            raise DeepenoughError(f"--{option} is an option of --evaluate; give --evaluate IMAGENET_VAL too")
    _show(name, as_json, of_a_network)


def _show(name: str | None, as_json: bool, options: dict[str, Any]) -> None:
    """Print the table of published networks, or one network's layers."""
    from deepenough.cli.console import Console
    from deepenough.nets import summary
    from deepenough.nets.choose import choose_network

    if name is None:
        for key, option in OF_A_NETWORK.items():
            if options[key] is not None:
                raise DeepenoughError(f"{option} needs a network: deepenough nets NAME {option} ...")
        if as_json:
            click.echo(json.dumps(summary.zoo_json(), indent=1))
        else:
            Console().out.print(summary.eight_table())
        return
    network = choose_network(name, **options)
    if as_json:
        click.echo(json.dumps(summary.network_json(network), indent=1))
    else:
        Console().out.print(summary.network_table(network))


def _evaluate(folder: Path, as_json: bool, **options: Any) -> None:
    """Measure weights on ImageNet's validation images, and print them beside the published figures."""
    from deepenough.cli.console import Console
    from deepenough.evaluation.imagenet_table import chosen_weights, imagenet_table, measure_imagenet, to_json

    given, console = options["weights"], Console()
    how = {"limit": options["limit"], "seed": options["seed"] or 0, "device": options["device"] or "auto"}
    if not given:
        raise DeepenoughError("--evaluate needs --weights: torchvision or timm for all of theirs, a name, or a file")
    with console.bars() as bars:
        weights = chosen_weights(given, network=options["network"], preprocess=options["preprocess"], reporter=bars)
        measured = list(measure_imagenet(folder, weights, reporter=bars, **how))
    if as_json:
        click.echo(json.dumps(to_json(measured), indent=1))
    else:
        console.out.print(imagenet_table(measured))
