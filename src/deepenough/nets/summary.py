"""Tables: a network layer by layer, and the eight published networks side by side."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from deepenough.nets.cost import macs, parameters
from deepenough.nets.layer import Layer, Shape
from deepenough.nets.longest_path import depth
from deepenough.nets.network import Network
from deepenough.nets.receptive_field import fields, receptive_field
from deepenough.nets.shapes import visits
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.catalogue import CATALOGUE, CatalogueEntry
from deepenough.nets.zoo.published import PUBLISHED, PublishedFigure

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


@dataclass(frozen=True)
class LayerRow:
    """One layer. `kernel`, `stride` and `padding` are None where no window slides; shapes are without the batch."""

    path: str
    kind: str
    kernel: int | None
    stride: int | None
    padding: int | None
    groups: int | None
    input_shape: Shape
    output_shape: Shape
    parameters: int
    macs: int
    receptive_field: int

    def to_json(self) -> dict[str, Any]:
        """The row with shapes as lists."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def layer_table(network: Network) -> list[LayerRow]:
    """The layers in order of computation, a `Sum` or `Concat` after its branches; auxiliary branches are left out.

    From `Flatten` or a global pool on, the receptive field is that of the whole map, its padding included.
    """
    extents = fields(network)
    return [
        LayerRow(
            visit.path,
            visit.layer.kind,
            *_window(visit.layer),
            visit.input,
            visit.output,
            visit.layer.parameters(visit.input),
            visit.layer.macs(visit.input),
            extents[visit.path],
        )
        for visit in visits(network)
    ]


def _window(layer: Layer) -> tuple[int | None, int | None, int | None, int | None]:
    """Kernel, stride, padding, groups."""
    _, stride, padding = layer.window or (None, None, None)
    return getattr(layer, "kernel", None), stride, padding, getattr(layer, "groups", None)


def network_json(network: Network) -> dict[str, Any]:
    """Return what `deepenough nets NAME --json` prints."""
    return _facts(network) | {"layers": [row.to_json() for row in layer_table(network)]}


def _facts(network: Network) -> dict[str, Any]:
    """The same without its layers."""
    return {
        "name": network.name,
        "source": network.source,
        "variant": network.variant,
        "input": list(network.input),
        "depth": depth(network),
        "parameters": parameters(network),
        "macs": macs(network),
        "receptive_field": receptive_field(network),
    }


def eight_json() -> list[dict[str, Any]]:
    """The eight, each with its layers and published errors."""
    return [
        network_json(NETWORKS[name]()) | {"year": entry.year, "published": [asdict(f) for f in entry.figures]}
        for name, entry in PUBLISHED.items()
    ]


def zoo_json() -> list[dict[str, Any]]:
    """Return what `deepenough nets --json` prints: all networks by family and year, each with its published errors.

    The eight have their layers, too, and the errors of every source; the others have torchvision's or timm's, or null.
    What the eight have is as in `eight_json`.
    """
    eight = {row["name"]: row for row in eight_json()}
    return [
        (eight[name] if name in eight else _zoo_row(name, entry)) | {"family": entry.family}
        for name, entry in CATALOGUE.items()
    ]


def _zoo_row(name: str, entry: CatalogueEntry) -> dict[str, Any]:
    """A network without its layers, with its single-crop error and whose weights have it."""
    figures = None
    if entry.single_crop is not None:
        top1, top5, pixels = entry.single_crop
        protocol = f"single crop of {pixels} pixels"
        figure = PublishedFigure(top1, top5, protocol, entry.source, network=name, crops=1, weights=entry.weights)
        figures = [asdict(figure)]
    return _facts(NETWORKS[name]()) | {"year": entry.year, "published": figures}


def zoo_table() -> Table:
    """All networks for the terminal, by family and year, with published single-crop errors."""
    from rich import box

    from deepenough.folding_table import FoldingTable

    table = FoldingTable(box=box.SIMPLE_HEAD, title="All networks", title_justify="left", names=(0, 1, 2))
    for heading in ("family", "year", "network"):
        table.add_column(heading, no_wrap=True)
    for heading in ("depth", "parameters", "MACs", "top-1 / top-5", "pixels"):
        table.add_column(heading, justify="right", no_wrap=True)
    before = None
    for name, entry in CATALOGUE.items():
        network, title = NETWORKS[name](), (entry.family, str(entry.year))
        size = (f"{depth(network)}", f"{parameters(network):,}", f"{macs(network) / 1e9:.2f} G")
        top1, top5, pixels = entry.single_crop or (None, None, network.input[1])
        error = "-" if top1 is None else f"{top1:.2f} / {top5:.2f}"
        table.add_row(*(title if title != before else ("", "")), name, *size, error, str(pixels))
        before = title
    return table


def network_table(network: Network) -> Group:
    """The layer table for the terminal."""
    from rich import box
    from rich.console import Group
    from rich.text import Text

    from deepenough.folding_table import FoldingTable

    table = FoldingTable(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title=f"{network.name}: {_size(network.input)}",
        title_justify="left",
        names=(0, 1),
    )
    for heading in ("path", "kind"):
        table.add_column(heading, no_wrap=True)
    for heading in ("k", "s", "p", "g", "input", "output", "parameters", "MACs", "field"):
        table.add_column(heading, justify="right", no_wrap=heading != "path")
    for row in layer_table(network):
        window = ["" if v is None else str(v) for v in (row.kernel, row.stride, row.padding, row.groups)]
        costs = [f"{value:,}" if value else "" for value in (row.parameters, row.macs)]
        sizes = (_size(row.input_shape), _size(row.output_shape))
        table.add_row(row.path, row.kind, *window, *sizes, *costs, str(row.receptive_field))
    lines = [
        f"depth {depth(network)}, {parameters(network):,} parameters, {macs(network):,} multiply-accumulates, "
        f"receptive field {receptive_field(network)} (last feature map)",
        *(text for text in (network.source, network.variant) if text),
        "k kernel, s stride, p padding, g groups; shapes are channels x height x width",
    ]
    return Group(table, *(Text(line) for line in lines))


def eight_table() -> Group:
    """The eight for the terminal: what they are, and every published error with the protocol it was measured by."""
    from rich import box
    from rich.console import Group
    from rich.text import Text

    from deepenough.folding_table import FoldingTable

    networks = FoldingTable(box=box.SIMPLE_HEAD)
    errors = FoldingTable(box=box.SIMPLE_HEAD, title="Published errors, percent", title_justify="left")
    for table, heading in ((networks, "network"), (networks, "year"), (errors, "network")):
        table.add_column(heading, no_wrap=True)
    for heading in ("depth", "parameters", "MACs", "receptive field"):
        networks.add_column(heading, justify="right", no_wrap=True)
    errors.add_column("top-1 / top-5", justify="right", no_wrap=True)
    errors.add_column("measured by")
    errors.add_column("source")
    for name, entry in PUBLISHED.items():
        network = NETWORKS[name]()
        size = (f"{depth(network)}", f"{parameters(network):,}", f"{macs(network) / 1e9:.2f} G")
        networks.add_row(name, str(entry.year), *size, str(receptive_field(network)))
        label = name
        for figure in entry.figures:
            top1 = "-" if figure.top1 is None else f"{figure.top1:g}"
            errors.add_row(label, f"{top1} / {figure.top5:g}", figure.protocol, figure.source)
            label = ""
    notes = (
        "Depth: weighted layers on the longest path. MACs: of one image. Receptive field: of the last feature map.",
        "Errors: ILSVRC-2012 validation unless stated. Protocols are mixed: compare only figures of one protocol.",
        "Errors of all networks: single-crop, of torchvision's first weights, or else timm's; - where neither has any.",
    )
    return Group(networks, errors, zoo_table(), *(Text(note) for note in notes))


def _size(shape: Shape) -> str:
    return "x".join(map(str, shape))
