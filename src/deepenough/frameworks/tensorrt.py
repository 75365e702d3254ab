"""TensorRT: the graph of ONNX that its parser takes, and what builds an engine of it on the GPU that will run it.

An engine is for one kind of GPU and one version of TensorRT, so it can't be written here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from deepenough.files import write_whole
from deepenough.frameworks.export import Export
from deepenough.frameworks.onnx import onnx_bytes, onnx_model
from deepenough.frameworks.onnx_int8 import fold_batch_norms, quantised
from deepenough.frameworks.refusals import averages_beyond, has_no_centre
from deepenough.frameworks.target import Runtime, Target
from deepenough.frameworks.tensorrt_cache import calibration_cache, largest_values
from deepenough.nets.layers import Lrn
from deepenough.nets.shapes import Visit

USUAL_BATCH, LARGEST_BATCH = 8, 64
"""The batch that an engine is tuned for, and the largest that it takes."""
WIDEST_LRN = 15
"""The most channels that TensorRT's response normalisation looks at."""
FLOAT_GRAPH, CACHE, ENGINE = "float32.onnx", "calibration.cache", "model.plan"
BATCHES = f"any batch up to {LARGEST_BATCH} (`build.sh` has the numbers)"
UNTRIED = (
    "**TensorRT itself did not run this** unless `parity.json` names it. Where it names ONNX Runtime, that ran "
    "`model.onnx`. Deepenough's authors had no GPU at hand, and wrote `build.sh` and `predict.py` by TensorRT's "
    "documentation and the source of its parser (10.1) and of `trtexec` (10.0, 10.13, 11.1)."
)
INT8_NOTE = (
    "`model.onnx` has its roundings inside (QuantizeLinear and DequantizeLinear, zero points of 0), which TensorRT "
    f"calls explicit quantization. TensorRT 10 can take `{FLOAT_GRAPH}` with the scales of `{CACHE}` instead, which "
    "lets it choose where to round: `sh build.sh calibrated`. What that loses was not measured, and TensorRT 11 has "
    "it no more."
)


class TensorrtTarget(Target):
    """A graph of ONNX with the commands that make an engine of it."""

    name = "tensorrt"
    title = "TensorRT"
    extra = "tensorrt"
    packages = ("onnx", "onnxruntime")
    files = ("model.onnx",)
    needed_files = ("model.onnx", "preprocess.json")
    snippets = ("build.sh",)
    needs = "tensorrt, cuda-python"
    built = (ENGINE,)
    largest_batch = LARGEST_BATCH
    runtimes = (
        Runtime("ONNX Runtime, the graph", ("onnxruntime",), {"graph": True}),
        Runtime("TensorRT", ("tensorrt", "cuda"), gpu=True),
    )
    notes = (
        f"`build.sh` makes the engine `{ENGINE}` of `model.onnx` with `trtexec`, for {BATCHES}, on the GPU that will "
        "run it. It is for TensorRT 10 and 11, whose options differ. The input is `images`, the output `logits`.",
        "`predict.py` runs the engine, and builds it first where there is none. Without TensorRT it lets ONNX Runtime "
        "compute, and says so.",
        UNTRIED,
    )

    def write(self, export: Export, folder: Path) -> None:
        """The graph, for any batch size; for int8 with the cache and the graph that it is for, too."""
        if export.precision != "int8":
            write_whole(folder / self.files[0], onnx_bytes(export))
            return
        write_whole(folder / self.files[0], quantised(onnx_model(export), export, symmetric=True))
        made = onnx_model(replace(export, precision="float32"))
        fold_batch_norms(made)
        assert export.calibration is not None
        write_whole(folder / FLOAT_GRAPH, bytes(made.SerializeToString()))
        write_whole(folder / CACHE, calibration_cache(largest_values(made, export.calibration)))

    def predict_values(self, export: Export) -> dict[str, Any]:
        words: dict[str, Any] = {
            "usual_batch": USUAL_BATCH,
            "float_graph": FLOAT_GRAPH,
            "cache": CACHE,
        }
        return {**words, "notes": (*self.notes, INT8_NOTE)} if export.precision == "int8" else words

    def refuses(self, visit: Visit) -> str | None:
        if isinstance(visit.layer, Lrn) and visit.layer.size > WIDEST_LRN:
            return f"{visit.layer!r} looks at more than {WIDEST_LRN} channels, TensorRT's most"
        return has_no_centre(visit, self.title) or averages_beyond(visit, self.title)
