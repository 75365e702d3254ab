"""PyTorch's exports in int8: near float32, smaller, read without torchao, and computed by integers once compiled."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from export_cases import export_of, wanted_of, write_case

from deepenough import DeepenoughError
from deepenough.exporting.cost import logit_scale
from deepenough.frameworks import torch as framework
from deepenough.frameworks.parity import run_exports
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import Network

TARGET = TARGETS["torch"]
NETWORKS = ("mobile-1x28", "residual-1x28", "mobilenet_v3_small", "odd", "norms", "vit_tiny_patch16_224-cut0")


def written(name: str, folder: Path) -> tuple[Network, npt.NDArray[np.uint8]]:
    pytest.importorskip("torchao")
    return write_case("torch", name, folder, "int8")


def test_without_torchao_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framework, "absent", lambda packages: list(packages))
    TARGET.check("float32")
    with pytest.raises(DeepenoughError, match=r"--int8 --to torch needs torchao.*'deepenough\[torchao\]'"):
        TARGET.check("int8")


@pytest.mark.frameworks
@pytest.mark.parametrize("name", NETWORKS)
def test_int8_is_near_float32(name: str, tmp_path: Path) -> None:
    network, pixels = written(name, tmp_path / "export")
    assert {path.name for path in (tmp_path / "export").iterdir()} == {
        "README.md", "classes.json", "model.pt2", "network.json", "predict.py", "preprocess.json",
    }  # fmt: skip
    (runtime,) = TARGET.runtimes_for("int8")
    ((_, found),) = run_exports([tmp_path / "export"], [pixels], runtime)
    wanted = wanted_of(name, network, pixels)
    for logits in found.values():
        ours = wanted[: len(logits)]
        assert 0.9 < logit_scale(ours, logits) < 1.1
        assert 0 < np.abs(logits - ours).max() < 0.25 * np.abs(wanted).max()


@pytest.mark.frameworks
@pytest.mark.parametrize("name", ["residual-1x28", "vit_tiny_patch16_224-cut0"])
def test_every_weight_is_int8(name: str, tmp_path: Path) -> None:
    network, _ = written(name, tmp_path / "export")
    import torch.ao.quantization.fx._decomposed

    program = torch.export.load(tmp_path / "export" / "model.pt2")
    taken = {**program.state_dict, **program.constants}
    bytes_of = [tensor.numel() for tensor in taken.values() if tensor.dtype == torch.int8]
    export = export_of(name, network)
    weights = [export.state[f"{visit.path}.weight"] for visit in export.walk if visit.layer.kind in ("Conv", "Dense")]
    assert sorted(bytes_of) == sorted(weight.size for weight in weights)
    # Positions of tokens and the numbers of normalisation stay as they are.
    wide = {name for name, tensor in taken.items() if tensor.dtype == torch.float32 and tensor.ndim > 1}
    assert all("tokens" in name or name.startswith("normalise.") for name in wide)


ALONE = """
import sys
sys.modules["torchao"] = None  # importing it fails
import numpy as np
import predict
pixels = np.load(sys.argv[1])
logits = predict.load(compiled=len(sys.argv) > 3)
logits(pixels[:1])
import torch
with torch.profiler.profile() as seen:
    answers = logits(pixels)
print(sorted({event.name for event in seen.events()}))
np.save(sys.argv[2], answers)
"""


def alone(folder: Path, temporary: Path, pixels: npt.NDArray[np.uint8], *more: str) -> tuple[npt.NDArray, str]:
    """The answers of predict.py where there is no torchao, and what torch computed them with."""
    np.save(temporary / "pixels.npy", pixels)
    words = [sys.executable, "-c", ALONE, str(temporary / "pixels.npy"), str(temporary / "answers.npy"), *more]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(temporary / "answers.npy"), done.stdout


@pytest.mark.frameworks
def test_the_program_is_read_without_torchao(tmp_path: Path) -> None:
    network, pixels = written("residual-1x28", tmp_path / "export")
    answers, _ = alone(tmp_path / "export", tmp_path, pixels)
    wanted = wanted_of("residual-1x28", network, pixels)
    assert np.abs(answers - wanted).max() < 0.25 * np.abs(wanted).max()


@pytest.mark.frameworks
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="oneDNN's integer kernels are for x86")
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_a_compiled_program_computes_with_integers(tmp_path: Path) -> None:
    network, pixels = written("residual-1x28", tmp_path / "export")
    answers, computed = alone(tmp_path / "export", tmp_path, pixels, "compiled")
    assert "onednn::qconv" in computed
    assert "aten::mkldnn_convolution" not in computed
    wanted = wanted_of("residual-1x28", network, pixels)
    assert 0.9 < logit_scale(wanted, answers) < 1.1
    assert np.abs(answers - wanted).max() < 0.25 * np.abs(wanted).max()
