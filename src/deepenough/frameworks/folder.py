"""The folder of an export: the model, and what is needed to use it without deepenough."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from deepenough.data.decode import SMALLEST_SIDE
from deepenough.data.image_formats import IMAGE_FORMATS
from deepenough.files import write_whole
from deepenough.frameworks.export import Export
from deepenough.frameworks.source import docstring_text, rendered
from deepenough.frameworks.target import Target
from deepenough.nets.cost import parameters
from deepenough.nets.longest_path import depth
from deepenough.nets.serialization import dumps
from deepenough.preprocessing import THIN


def write_folder(export: Export, target: Target, folder: Path, *, trained: bool, reading_side: int) -> None:
    """Write the model and everything beside it. `reading_side`: how far a JPEG may be shrunk while it is decoded."""
    folder.mkdir(parents=True, exist_ok=True)
    target.write(export, folder)
    network, wanted = export.network, export.input
    channels, height, width = network.input
    content = {**wanted.to_json(), "classes": list(export.classes)}
    write_whole(folder / "network.json", dumps(network))
    write_whole(folder / "preprocess.json", json.dumps(content, indent=1, ensure_ascii=False))
    write_whole(folder / "classes.json", json.dumps(list(export.classes), indent=1, ensure_ascii=False))
    words = {
        "title": target.title,
        "version": version("deepenough"),
        "name": docstring_text(network.name),
        "needs": target.needs,
        "height": height,
        "width": width,
        "channels": channels,
        "resampling": wanted.interpolation.upper(),
        "reading_side": reading_side,
        "smallest_side": SMALLEST_SIDE,
        "thin": THIN,
        "model_files": ", ".join(f"`{file}`" for file in target.needed_files),
        "formats": tuple(IMAGE_FORMATS),
        "classes": export.classes,
        "classes_json": json.dumps(export.classes),
        "preprocessing_json": json.dumps(wanted.to_json()),
        "target": target.name,
        "depth": depth(network),
        "parameters": parameters(network),
        "precision": export.precision,
        "trained": trained,
        "notes": target.notes,
        "readable": target.readable if export.precision == "float32" else "",
        "prepared": target.preparation(export),
        "takes": "",
        "largest_batch": target.largest_batch,
        "runs_here": any(runtime.exists_here for runtime in target.runtimes),
        "read_back": target.read_back,
        "shape": f"(N, {height}, {width}, {channels})"
        if target.layout == "NHWC"
        else f"(N, {channels}, {height}, {width})",
        "order": wanted.order,
        "framing": _framing(export),
        **target.predict_values(export),
    }
    for name in ("predict.py", "README.md", *target.snippets):
        write_whole(folder / name, rendered(name, **words))


def _framing(export: Export) -> str:
    height, width = export.input.size
    if export.input.covers():
        return f"scaled until it covers {width}x{height} pixels, and the rest cut off evenly"
    return f"scaled to a shorter side of {export.input.shorter} pixels, and the centre of {width}x{height} cut out"
