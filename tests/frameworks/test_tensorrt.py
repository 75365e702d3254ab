"""TensorRT's exports, checked without it: its parser's rules, the cache's scales, the commands."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from export_cases import CASES, REPRESENTATIVES, export_of, input_of, pixels_of, state_of, wanted_of, write_case

from deepenough import DeepenoughError
from deepenough.exporting.cost import logit_scale
from deepenough.frameworks.parity import run_exports
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.tensorrt import BATCHES, CACHE, FLOAT_GRAPH
from deepenough.frameworks.tensorrt_cache import HEADER
from deepenough.frameworks.writer import run_writer
from deepenough.nets import Conv, Flatten, Lrn, Network
from deepenough.nets.build import build
from deepenough.nets.norms_before_pools import norms_before_pools

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import numpy_helper  # noqa: E402

TARGET = TARGETS["tensorrt"]
GRAPH_RUNTIME, TENSORRT = TARGET.runtimes
NETWORKS = (
    "mobile-1x28",
    "mobilenet_v3_small",
    "residual-1x28",
    "odd",
    "norms",
    "alexnet",
    "vit_tiny_patch16_224-cut0",
)

PARSED = {
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "DequantizeLinear", "Div", "Elu",
    "Flatten", "Gather", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity",
    "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "MatMul", "MaxPool", "Mish", "Mul", "PRelu",
    "Pad", "QuantizeLinear", "ReduceMax", "ReduceMean", "Relu", "Reshape", "Sigmoid", "Slice", "Softmax", "Sub", "Tanh",
    "Transpose",
}  # fmt: skip
"""Of the operators that the parser of TensorRT 10.1 takes (docs/operators.md of onnx-tensorrt) those that we write."""


def written(name: str, folder: Path, precision: str = "float32") -> tuple[Network, npt.NDArray[np.uint8]]:
    return write_case("tensorrt", name, folder, precision)


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_the_parser_has_every_operator(name: str) -> None:
    from deepenough.frameworks.onnx import onnx_model

    network = CASES[name]()
    if reason := TARGET.refusal(network):
        pytest.skip(reason)
    made = onnx_model(export_of(name, network))
    assert {node.op_type for node in made.graph.node} <= PARSED
    (opset,) = made.opset_import
    assert 9 <= opset.version <= 20, "those that TensorRT 10.0 takes"


def test_a_normalisation_over_more_channels_than_tensorrt_takes_is_refused() -> None:
    wide, usual = (Network("n", (3, 8, 8), (Conv(32), Lrn(size), Flatten())) for size in (17, 15))
    assert "more than 15 channels" in str(TARGET.refusal(wide))
    assert TARGET.refusal(usual) is None
    assert TARGETS["onnx"].refusal(wide) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_is_as_the_parser_wants_it(name: str, tmp_path: Path) -> None:
    """Its rules (QuantDequantLinearHelper): int8, zero points of 0, positive scales."""
    network, pixels = written(name, tmp_path / "export", "int8")
    made = onnx.load(tmp_path / "export" / "model.onnx")
    onnx.checker.check_model(made, full_check=True)
    numbers = {each.name: numpy_helper.to_array(each) for each in made.graph.initializer}
    makers = {node.output[0]: node for node in made.graph.node}
    rounding = [node for node in made.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert rounding
    for node in rounding:
        scale, zero = (numbers[given] for given in node.input[1:])
        assert zero.dtype == np.int8
        assert not zero.any()
        assert (scale > 0).all()
        if node.op_type == "DequantizeLinear" and node.input[0] in numbers:
            assert numbers[node.input[0]].dtype == np.int8
            assert numbers[node.input[0]].min() >= -127
    weighted = [node for node in made.graph.node if node.op_type in ("Conv", "Gemm", "MatMul")]
    ones = [
        node for node in weighted if any(given in numbers or is_weight(makers, numbers, given) for given in node.input)
    ]
    assert ones
    for node in ones:
        value, weight, *bias = node.input
        assert makers[value].op_type == makers[weight].op_type == "DequantizeLinear"
        assert makers[makers[value].input[0]].op_type == "QuantizeLinear"
        assert numbers[makers[value].input[1]].size == 1, "one scale for all channels of an activation"
        assert all(numbers[each].dtype == np.float32 for each in bias)
        rows = numbers[makers[weight].input[0]].shape[1 if node.op_type == "MatMul" else 0]
        assert numbers[makers[weight].input[1]].size == rows, "a scale for each channel that a weighted layer gives"
    assert makers["logits"].op_type == "Identity"
    assert makers[makers["logits"].input[0]].op_type not in ("QuantizeLinear", "DequantizeLinear")

    ((_, found),) = run_exports([tmp_path / "export"], [pixels], GRAPH_RUNTIME)
    wanted = wanted_of(name, network, pixels)
    assert 0.9 < logit_scale(wanted, found[7]) < 1.1
    assert np.abs(found[7] - wanted).max() < 0.25 * np.abs(wanted).max()
    assert np.abs(found[7] - wanted).max() > 0


def is_weight(makers: dict[str, Any], numbers: dict[str, Any], name: str) -> bool:
    return name in makers and makers[name].op_type == "DequantizeLinear" and makers[name].input[0] in numbers


def cached(file: Path) -> dict[str, float]:
    header, *lines = file.read_text().splitlines()
    assert header == HEADER
    return {name: struct.unpack(">f", bytes.fromhex(bits))[0] for name, bits in (line.split(": ") for line in lines)}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_cache_has_the_scales_of_what_our_own_module_computes(name: str, tmp_path: Path) -> None:
    network, pixels = written(name, tmp_path / "export", "int8")
    scales = cached(tmp_path / "export" / CACHE)
    made = onnx.load(tmp_path / "export" / FLOAT_GRAPH)
    assert set(scales) == {output for node in made.graph.node for output in node.output}

    prepared = input_of(name, network)
    turned = pixels[..., ::-1] if prepared.order == "BGR" else pixels
    images = ((turned / 255 - np.array(prepared.mean)) / np.array(prepared.std)).astype(np.float32)
    module = build(norms_before_pools(network, lambda path: True)).eval()  # as an export in int8 has it
    module.load_state_dict(state_of(network))
    largest = {}

    def watched(path: str) -> Any:
        def keep(_: Any, given: Any, answer: torch.Tensor) -> None:
            largest[path] = float(answer.abs().max())

        return keep

    for path, each in module.named_modules():
        if path in scales and not getattr(each, "inplace", False):
            each.register_forward_hook(watched(path))
    with torch.no_grad():
        logits = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()))
    assert len(largest) >= 3
    largest |= {"logits": float(logits.abs().max()), "normalise.std": float(np.abs(images).max())}
    for path, value in largest.items():
        assert scales[path] == pytest.approx(value / 127, rel=1e-3), path


@pytest.mark.parametrize("precision", ["float32", "float16", "int8"])
def test_the_commands_name_options_that_each_version_has(precision: str, tmp_path: Path) -> None:
    """The options are those of NVIDIA's guides to TensorRT 10 and 11; a stand-in for `trtexec` repeats them."""
    written("residual-1x28", tmp_path / "an export", precision)
    folder = tmp_path / "an export"

    def options(version: int, *words: str) -> list[str]:
        stand_in = tmp_path / "trtexec"
        stand_in.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = --help ] && echo "&&&& RUNNING TensorRT.trtexec [TensorRT v{version}] [b1] # $0" && exit\n'
            'printf "%s\\n" "$PWD" "$@"\n'
        )
        stand_in.chmod(0o755)
        done = subprocess.run(
            ["sh", str(folder / "build.sh"), *words],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise DeepenoughError(done.stderr)
        where, *found = done.stdout.splitlines()
        assert Path(where) == folder
        return found

    shapes = {
        f"--{word}Shapes=images:{batch}x1x28x28" for word, batch in zip(("min", "opt", "max"), (1, 8, 64), strict=True)
    }
    always = {"--saveEngine=model.plan", "--noTF32", "--skipInference", *shapes}
    typed = {"--onnx=model.onnx", *always}
    assert set(options(110400)) == typed, "TensorRT 11 has strong types alone, and no option for them"
    assert set(options(101300)) == typed | {"--stronglyTyped"}
    assert options(110400, "--verbose")[-1] == "--verbose"
    loose = {"float32": {"--fp16"}, "int8": {"--fp16", "--int8"}}
    if precision in loose:
        assert set(options(100300, "fp16", "--verbose")) == typed | loose[precision] | {"--verbose"}
        with pytest.raises(DeepenoughError, match="TensorRT 11 takes precisions from the graph alone"):
            options(110000, "fp16")
    if precision == "int8":
        cache = f"{CACHE}.101300"
        assert set(options(101300, "calibrated")) == always | {f"--onnx={FLOAT_GRAPH}", "--int8", f"--calib={cache}"}
        assert (folder / cache).read_text() == (folder / CACHE).read_text().replace(
            HEADER, "TRT-101300-EntropyCalibration2"
        )
    with pytest.raises(DeepenoughError, match="quick: no such mode"):
        options(101300, "quick")
    with pytest.raises(DeepenoughError, match=r"not of TensorRT 10 or newer \(version: 8601\)"):
        options(8601)


def test_a_missing_or_broken_trtexec_is_named(tmp_path: Path) -> None:
    written("residual-1x28", tmp_path / "export")
    trtexec = tmp_path / "bin" / "trtexec"
    trtexec.parent.mkdir()

    def build(**more: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": "/usr/bin:/bin", **more}
        return subprocess.run(
            ["sh", "export/build.sh"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = build()
    assert done.returncode == 1
    assert done.stderr.startswith("trtexec: no such program; TRTEXEC=PATH names it")
    trtexec.write_text("#!/bin/sh\necho libnvinfer.so.10: cannot open shared object file >&2\nexit 127\n")
    trtexec.chmod(0o755)
    done = build(TRTEXEC="bin/trtexec")
    assert done.returncode == 1
    assert "libnvinfer.so.10: cannot open" in done.stderr
    trtexec.write_text('#!/bin/sh\necho "[TensorRT v101300] $PWD"\n')
    done = build(TRTEXEC="bin/trtexec")
    assert done.stdout == f"[TensorRT v101300] {tmp_path / 'export'}\n", done.stderr
    (tmp_path / "elsewhere" / "export").mkdir(parents=True)
    done = build(TRTEXEC="bin/trtexec", CDPATH=str(tmp_path / "elsewhere"))
    assert done.stdout == f"[TensorRT v101300] {tmp_path / 'export'}\n", done.stderr


def test_no_name_of_a_network_becomes_a_command(tmp_path: Path) -> None:
    export = export_of("residual-1x28", CASES["residual-1x28"]())
    named = replace(export, network=replace(export.network, name="a\ntouch spoiled\n"))
    run_writer([named], TARGET, [tmp_path / "export"], trained=True, reading_side=[64])
    assert "\ntouch" not in (tmp_path / "export" / "build.sh").read_text()


STAND_INS = {
    "tensorrt.py": '''
"""What predict.py uses of TensorRT's Python API (names as in its bindings, 11.4), computed by ONNX Runtime."""
import ctypes, json
import numpy as np, onnxruntime

__version__ = "0"
calls = []

class NetworkDefinitionCreationFlag:
    STRONGLY_TYPED = 1

class BuilderFlag:
    TF32 = "TF32"

class Logger:
    WARNING = 1
    def __init__(self, level): pass

class Network:
    graph = None

class OnnxParser:
    num_errors = 0
    def __init__(self, network, logger): self.network = network
    def parse(self, graph):
        self.network.graph = graph
        return True

class Profile:
    def set_shape(self, name, *shapes): self.shapes = {name: shapes}

class Config:
    def clear_flag(self, flag): calls.append(flag)
    def add_optimization_profile(self, profile): self.profile = profile

class Builder:
    def __init__(self, logger): pass
    def create_network(self, flags):
        assert flags == 2
        return Network()
    def create_builder_config(self): return Config()
    def create_optimization_profile(self): return Profile()
    def build_serialized_network(self, network, config):
        assert calls == ["TF32"]
        shapes = json.dumps({name: [list(each) for each in given] for name, given in config.profile.shapes.items()})
        return memoryview(shapes.encode() + b"\\0" + network.graph)

class Runtime:
    def __init__(self, logger): pass
    def deserialize_cuda_engine(self, plan):
        return Engine(*plan.split(b"\\0", 1)) if b"\\0" in plan else None

class Engine:
    def __init__(self, shapes, graph):
        self.shapes = json.loads(shapes)
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    def get_tensor_profile_shape(self, name, profile): return self.shapes[name]
    def create_execution_context(self): return Context(self)

class Context:
    def __init__(self, engine): self.engine, self.places = engine, {}
    def set_input_shape(self, name, shape):
        least, _, most = self.engine.shapes[name]
        assert all(low <= side <= high for low, side, high in zip(least, shape, most, strict=True))
        self.shape = shape
    def set_tensor_address(self, name, place): self.places[name] = place
    def execute_async_v3(self, stream):
        images = np.frombuffer(ctypes.string_at(self.places["images"], int(np.prod(self.shape))), np.uint8)
        (logits,) = self.engine.session.run(["logits"], {"images": images.reshape(self.shape)})
        ctypes.memmove(self.places["logits"], logits.tobytes(), logits.nbytes)
        return True
''',
    "cuda/__init__.py": "",
    "cuda/bindings/__init__.py": "",
    "cuda/bindings/runtime.py": '''
"""What predict.py uses of cuda-bindings (names and answers as in 13.5), in this machine's memory."""
import ctypes

kept = []

class cudaMemcpyKind:
    cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost = 1, 2

def cudaStreamCreate(): return 0, 7

def cudaStreamSynchronize(stream): return (0,)

def cudaMalloc(size):
    kept.append(ctypes.create_string_buffer(size))
    return 0, ctypes.addressof(kept[-1])

def cudaMemcpy(to, given, size, kind):
    ctypes.memmove(to, given, size)
    return (0,)
''',
}


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in STAND_INS.items():
        file = tmp_path / "packages" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"), prepend=":")
    monkeypatch.syspath_prepend(tmp_path / "packages")


def test_the_script_s_steps_with_a_stand_in_for_tensorrt(stand_ins: None, tmp_path: Path) -> None:
    """The order of its calls, its shapes and its copies; whether TensorRT bears them only a GPU can say."""
    network, _ = written("residual-3x41", tmp_path / "export")
    pixels = pixels_of(network, 70)
    (tmp_path / "export" / "model.onnx").chmod(0o444)
    for _ in range(2):  # builds the engine, then reads it
        ((version, found),) = run_exports([tmp_path / "export"], [pixels], TENSORRT)
        assert version == "TensorRT 0"
        wanted = wanted_of("residual-3x41", network, pixels)
        np.testing.assert_allclose(found[7], wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    script = "import sys, numpy as np\nimport predict\nnp.save(sys.argv[2], predict.load()(np.load(sys.argv[1])))\n"
    np.save(tmp_path / "pixels.npy", pixels)
    words = [sys.executable, "-c", script, str(tmp_path / "pixels.npy"), str(tmp_path / "all.npy")]
    done = subprocess.run(words, cwd=tmp_path / "export", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "all.npy"), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
    (tmp_path / "export" / "model.plan").write_bytes(b"of another version")
    done = subprocess.run(words, cwd=tmp_path / "export", capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "is for another GPU or another TensorRT" in done.stderr


def test_what_is_written_says_that_tensorrt_was_not_at_hand(tmp_path: Path) -> None:
    written("residual-1x28", tmp_path / "export", "int8")
    about = (tmp_path / "export" / "README.md").read_text()
    assert "**TensorRT itself did not run this** unless `parity.json` names it" in about
    assert "explicit quantization" in about
    assert BATCHES in about
    assert "0..255, N up to 64." in about
    assert json.loads((tmp_path / "export" / "preprocess.json").read_text())["classes"]
    done = subprocess.run(
        [sys.executable, "-c", "import predict; predict.load(); print(predict.RUNTIME)"],
        cwd=tmp_path / "export", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"ONNX Runtime {onnxruntime.__version__}\n", done.stderr
    assert "TensorRT is not installed here; ONNX Runtime computes" in done.stderr
