"""OpenVINO: its intermediate representation (`.xml` and `.bin`), converted from the graph of ONNX."""

from __future__ import annotations

from pathlib import Path

from deepenough.frameworks.export import Export
from deepenough.frameworks.metadata import PRODUCER, ModelMetadata
from deepenough.frameworks.onnx import onnx_bytes
from deepenough.frameworks.refusals import averages_beyond, has_no_centre
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.shapes import Visit


class OpenvinoTarget(Target):
    """The intermediate representation of OpenVINO, for processors, graphics and neural units."""

    name = "openvino"
    title = "OpenVINO"
    extra = "openvino"
    packages = ("onnx", "onnxruntime", "openvino")
    files = ("model.xml", "model.bin")
    needed_files = ("model.xml", "model.bin")
    needs = "openvino"
    runtimes = (Runtime("OpenVINO", ("openvino",)),)
    notes = (
        "`model.xml` and `model.bin` are OpenVINO's intermediate representation, for any batch size; the input is "
        "`images`, the output `logits`. `rt_info` has class names and preprocessing.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The two files. In half precision weights are stored as float16, and each device computes as it can."""
        import openvino

        model = openvino.Core().read_model(onnx_bytes(export))
        for key, value in ModelMetadata.of(export).to_strings().items():
            model.set_rt_info(value, [PRODUCER, key])
        file = folder / self.files[0]
        openvino.save_model(model, file, compress_to_fp16=export.precision == "float16")

    def refuses(self, visit: Visit) -> str | None:
        return has_no_centre(visit, self.title) or averages_beyond(visit, self.title)
