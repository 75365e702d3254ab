"""The description inside model files, read back by each format's own library in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_cases import CASES, REPRESENTATIVES, RUN_HERE, export_of, pixels_of, skip_where_absent, wanted_of
from google.protobuf import text_format
from PIL import Image

from deepenough.frameworks.export import Export
from deepenough.frameworks.metadata import ModelMetadata
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import run_writer
from deepenough.weights.caffe_messages import message

NETWORK = "residual-3x41"
NAMES = ("naïve", "a, b", 'two "words"', "line\nbreak", *(f"class {number}" for number in range(4, 10)))
LABELS = ["naïve", "a, b", 'two "words"', "line break", *(f"class {number}" for number in range(4, 10))]

READERS = {
    "torch": """
import safetensors, torch
files = {"metadata.json": ""}
torch.export.load("model.pt2", extra_files=files)
with safetensors.safe_open("weights.safetensors", "np") as file:
    tell(json.loads(files["metadata.json"]), json.loads(file.metadata()["deepenough"]))
""",
    "onnx": """
import onnx, onnxruntime
model = onnx.load("model.onnx")
session = onnxruntime.InferenceSession("model.onnx")
ends = [session.get_inputs()[0], session.get_outputs()[0]]
read = session.get_modelmeta().custom_metadata_map
props = {each.key: each.value for each in model.metadata_props}
for found in (read, props):
    found |= {key: json.loads(found[key]) for key in ("classes", "preprocessing")}
assert model.doc_string == props["description"] == session.get_modelmeta().description
assert all(node.name for node in model.graph.node)
tell(props, read, ends=[end.name for end in ends], batches=[end.shape[0] for end in ends])
""",
    "keras": """
import keras, zipfile
model = keras.saving.load_model("model.keras")
with zipfile.ZipFile("model.keras") as archive:
    assert archive.testzip() is None
    labels = archive.read("labels.txt").decode()
    tell(json.loads(archive.read("deepenough.json")), labels=labels.splitlines(), batches=[model.input_shape[0]])
""",
    "tensorflow": """
import pathlib, tensorflow
model = tensorflow.saved_model.load("saved_model")
serve = model.signatures["serving_default"]
extra = pathlib.Path("saved_model/assets.extra")
labels = (extra / "labels.txt").read_text(encoding="utf-8").splitlines()
ends = [*serve.structured_input_signature[1], *serve.structured_outputs]
batches = [serve.structured_outputs["logits"].shape[0]]
tell(json.loads((extra / "metadata.json").read_text(encoding="utf-8")), labels=labels, ends=ends, batches=batches)
""",
    "litert": """
import flatbuffers, zipfile
from ai_edge_litert.interpreter import Interpreter
from flatbuffers import number_types as types
from tensorflow.lite.python import schema_py_generated as schema

class Table(flatbuffers.table.Table):  # of metadata_schema.fbs: fields by their slots
    def at(self, slot):
        return self.Pos + self.Offset(4 + 2 * slot)
    def has(self, slot):
        return self.Offset(4 + 2 * slot) != 0
    def text(self, slot):
        return self.String(self.at(slot)).decode()
    def table(self, slot):
        return Table(self.Bytes, self.Indirect(self.at(slot)))
    def tables(self, slot):
        at = self.at(slot) - self.Pos
        places = [self.Vector(at) + 4 * number for number in range(self.VectorLen(at))]
        return [Table(self.Bytes, self.Indirect(place)) for place in places]
    def number(self, slot, kind):
        return self.Get(kind, self.at(slot))

model = schema.Model.GetRootAs(open("model.tflite", "rb").read())
entry = {model.Metadata(i).Name().decode(): model.Metadata(i).Buffer() for i in range(model.MetadataLength())}
data = model.Buffers(entry["TFLITE_METADATA"]).DataAsNumpy().tobytes()
assert data[4:8] == b"M001"
root = Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
(graph,) = root.tables(3)
(images,), (logits,) = graph.tables(2), graph.tables(3)
image = images.table(3).table(1)
size = image.table(1)
(labels,) = logits.tables(6)
with zipfile.ZipFile("model.tflite") as archive:
    found = json.loads(archive.read(root.tables(6)[0].text(0)))
    names = archive.read(labels.text(0)).decode().splitlines()
assert (root.text(0), root.text(1), root.text(2)) == (found["name"], found["description"], found["version"])
assert images.table(3).number(0, types.Int8Flags) == 2, "ImageProperties"
assert labels.number(2, types.Int8Flags) == 2, "TENSOR_AXIS_LABELS"
assert image.number(0, types.Int8Flags) == 1, "RGB"
assert [size.number(1, types.Uint32Flags), size.number(0, types.Uint32Flags)] == found["preprocessing"]["size"]
interpreter = Interpreter("model.tflite")
(runner,) = interpreter.get_signature_list().values()
ends = [interpreter.get_input_details()[0], interpreter.get_output_details()[0]]
assert [images.text(0), logits.text(0)] == [end["name"] for end in ends] == runner["inputs"] + runner["outputs"]
pixels = np.load(sys.argv[1])[:1]
answer = interpreter.get_signature_runner("serving_default")(images=pixels)["logits"]
np.testing.assert_allclose(answer, np.load(sys.argv[2])[:1], rtol=0, atol=1e-4 * np.abs(np.load(sys.argv[2])).max())
tell(found, labels=names, ends=[end["name"] for end in ends], batches=[end["shape_signature"][0] for end in ends])
""",
    "paddle": """
from paddle import inference
config = inference.Config("model.json", "model.pdiparams")
config.disable_gpu()
predictor = inference.create_predictor(config)
ends = predictor.get_input_names() + predictor.get_output_names()
tell(json.load(open("model.json", encoding="utf-8"))["metadata"], ends=ends)
""",
    "openvino": """
import openvino
model = openvino.Core().read_model("model.xml")
found = {key: value.value for key, value in model.get_rt_info()["deepenough"].items()}
found |= {key: json.loads(found[key]) for key in ("classes", "preprocessing")}
ends = [model.inputs[0], model.outputs[0]]
batches = [end.partial_shape[0].to_string().replace("?", "-1") for end in ends]
assert all(node.get_friendly_name() for node in model.get_ops())
tell(found, ends=[end.any_name for end in ends], batches=[int(batch) for batch in batches])
""",
    "executorch": """
from executorch.runtime import Runtime
program = Runtime.get().load_program("model.pte")
assert program.method_names == {"forward", "description"}
(text,) = program.load_method("description").execute([])
tell(json.loads(bytes(text.tolist())))
""",
    "coreml": """
from coremltools.models.utils import load_spec
model = load_spec("model.mlpackage")
about = model.description
found = {key: value for key, value in about.metadata.userDefined.items() if not key.startswith("com.github")}
found |= {key: json.loads(found[key]) for key in ("classes", "preprocessing")}
assert about.metadata.shortDescription == found["description"]
assert (about.metadata.author, about.metadata.versionString) == ("deepenough", found["version"])
assert about.metadata.license == "That of the weights of run7"
assert all(end.shortDescription for end in (*about.input, *about.output))
(block,) = model.mlProgram.functions["main"].block_specializations.values()
(classify,) = (each for each in block.operations if each.type == "classify")
(names,) = (each.value for each in classify.inputs["classes"].arguments)
labels = [" ".join(each.immediateValue.tensor.strings.values[0].split()) for each in names.immediateValue.list.values]
image = about.input[0].type.imageType
assert [image.height, image.width] == found["preprocessing"]["size"]
tell(found, labels=labels, ends=[about.input[0].name, about.output[2].name])
""",
    "ncnn": """
import ncnn
net = ncnn.Net()
assert net.load_param("model.param") == net.load_model("model.bin") == 0
tell(json.load(open("metadata.json", encoding="utf-8")), ends=[*net.input_names(), *net.output_names()])
""",
    "tfjs": """
from google.protobuf import json_format
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow.core.framework.graph_pb2 import GraphDef
model = json.load(open("web_model/model.json", encoding="utf-8"))
assert model["format"] == "graph-model"
graph = json_format.ParseDict(model["modelTopology"], GraphDef())
signature = json_format.ParseDict(model["signature"], SignatureDef())
ends = [signature.inputs["images"], signature.outputs["logits"]]
known = {node.name: node.op for node in graph.node}
assert [known[end.name.removesuffix(":0")] for end in ends] == ["Placeholder", "Identity"]
batches = [end.tensor_shape.dim[0].size for end in ends]
tell(model["userDefinedMetadata"], ends=[end.name.removesuffix(":0") for end in ends], batches=batches)
""",
}  # fmt: skip
READERS["tensorrt"] = READERS["onnx"]
"""Programs that tell what their library finds in a folder."""

TELL = """
import json, sys
import numpy as np

def tell(*found, **more):
    print("told " + json.dumps({"found": found, **more}, default=int))
"""


LOWER = [("onnx", "int8"), ("onnx", "float16"), ("litert", "float16"), ("openvino", "int8"), ("openvino", "float16"),
         ("ncnn", "float16"), ("tfjs", "float16"), ("tensorrt", "int8"), ("tensorrt", "float16")]  # fmt: skip


def described(precision: str = "float32") -> Export:
    export = export_of(NETWORK, CASES[NETWORK]())
    calibration = pixels_of(export.network) if precision == "int8" else None
    return replace(export, classes=NAMES, source="run7", precision=precision, calibration=calibration)


def told(target: str, folder: Path, temporary: Path, tolerance: float = 1e-4) -> dict[str, Any]:
    network = CASES[NETWORK]()
    pixels = pixels_of(network, 2)
    np.save(temporary / "pixels.npy", pixels)
    np.save(temporary / "wanted.npy", wanted_of(NETWORK, network, pixels))
    program = TELL + READERS[target].replace("atol=1e-4", f"atol={tolerance}")
    words = [sys.executable, "-c", program, str(temporary / "pixels.npy"), str(temporary / "wanted.npy")]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("told "))
    return json.loads(line.removeprefix("told "))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "target", [name if name == "torch" else pytest.param(name, marks=pytest.mark.frameworks) for name in READERS]
)
def test_the_format_s_own_library_finds_names_and_preprocessing(target: str, tmp_path: Path) -> None:
    skip_where_absent(target)
    export, folder = described(), tmp_path / "export"
    run_writer([export], TARGETS[target], [folder], trained=True, reading_side=[64])
    answer = told(target, folder, tmp_path)
    for found in answer["found"]:
        assert found["classes"] == list(NAMES)
        assert found["preprocessing"] == json.loads(json.dumps(export.input.to_json()))
        assert found == json.loads(json.dumps(ModelMetadata.of(export).to_json()))
        assert (found["source"], found["producer"]) == ("run7", "deepenough")
    assert answer.get("labels", LABELS) == LABELS
    assert answer.get("ends", ["images", "logits"]) == ["images", "logits"]
    assert all(batch in (None, -1, "batch") for batch in answer.get("batches", []))


@pytest.mark.frameworks
@pytest.mark.parametrize(("target", "precision"), LOWER)
def test_lower_precisions_are_described_too(target: str, precision: str, tmp_path: Path) -> None:
    export, folder = described(precision), tmp_path / "export"
    run_writer([export], TARGETS[target], [folder], trained=True, reading_side=[64])
    for found in told(target, folder, tmp_path, tolerance=1e-2)["found"]:
        assert found["classes"] == list(NAMES)
        assert found["description"].endswith(f"in {precision}")


@pytest.mark.parametrize(
    "target", [name if name == "caffe" else pytest.param(name, marks=pytest.mark.frameworks) for name in RUN_HERE]
)
def test_the_script_and_the_model_are_enough(target: str, tmp_path: Path) -> None:
    """Nothing but `predict.py` and the files that it names is there; folders are searched through."""
    if target == "caffe":
        pytest.importorskip("cv2")
    skip_where_absent(target)
    folder, alone, pictures = tmp_path / "export", tmp_path / "alone", tmp_path / "pictures"
    run_writer([described()], TARGETS[target], [folder], trained=True, reading_side=[64])
    alone.mkdir()
    (pictures / "deeper").mkdir(parents=True)
    for name in ("predict.py", *TARGETS[target].needed_files):
        (shutil.copytree if (folder / name).is_dir() else shutil.copy)(folder / name, alone / name)
        assert name == "predict.py" or name in (folder / "predict.py").read_text()
    picture = Image.fromarray(pixels_of(CASES[NETWORK](), 1)[0])
    picture.save(pictures / "deeper" / "b.png")
    picture.save(pictures / "a.png")
    (pictures / "notes.txt").write_text("no image")
    picture.resize((7, 30)).save(pictures / "tiny.png")
    words = [sys.executable, str(alone / "predict.py"), str(pictures)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(pictures / "a.png"), str(pictures / "deeper" / "b.png")]
    assert lines[0].partition(": ")[2] == lines[1].partition(": ")[2]
    assert any(lines[0].partition(": ")[2].startswith(name) for name in NAMES)
    assert f"{pictures / 'tiny.png'}: tiny: 7 x 30 is under 8 pixels a side" in done.stderr
    assert "passed over: 1 file that is no image" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_caffe_s_parser_reads_the_files_for_training(name: str, tmp_path: Path) -> None:
    """Each layer reads what a layer before it gives, both phases have images, and the loss reads our logits."""
    if reason := TARGETS["caffe"].refusal(CASES[name]()):
        pytest.skip(reason)
    export = export_of(name, CASES[name]())
    TARGETS["caffe"].write(export, tmp_path)
    _, *blocks = (tmp_path / "train_val.prototxt").read_text().split("layer {\n")
    layers = [text_format.Parse(block.removesuffix("}\n"), message("LayerText")()) for block in blocks]
    for phase in (0, 1):
        given: set[bytes] = set()
        chosen = [layer for layer in layers if not layer.include or layer.include[0].phase == phase]
        for layer in chosen:
            assert set(layer.bottom) <= given, layer.name
            given |= set(layer.top)
        assert [layer.type for layer in chosen].count(b"ImageData") == 1
        assert [layer.type for layer in chosen].count(b"Accuracy") == phase
    (loss,) = (layer for layer in layers if layer.type == b"SoftmaxWithLoss")
    body = [layer for layer in layers if layer.type not in (b"SoftmaxWithLoss", b"Accuracy", b"Silence")]
    assert list(loss.bottom) == [body[-1].top[0], b"label"]
    solver = text_format.Parse((tmp_path / "solver.prototxt").read_text(), message("SolverParameter")())
    assert solver.net == b"train_val.prototxt"
    assert solver.max_iter > solver.test_interval > 0
