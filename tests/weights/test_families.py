"""What is known of each family's published weights is in its own file, and every file is listed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType

import pytest

import deepenough
from deepenough.nets import zoo as zoo_package
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.families import ZOO
from deepenough.nets.zoo.family import ZooFamily
from deepenough.weights import families
from deepenough.weights.families.family import FamilyWeights
from deepenough.weights.preset_names import PRESETS

SOURCE = Path(deepenough.__file__).parent
FORMATS = (
    "torchvision", "older_torchvision", "timm", "authors", "efficientnet_pytorch", "transformers", "keras", "paddle",
    "caffe",
)  # fmt: skip

TOUCHED = {
    "nets/zoo/convnext.py", "nets/zoo/families.py", "weights/families/convnext.py", "weights/families/__init__.py",
    "weights/keras_images.py", "weights/likely.py",
}  # fmt: skip
"""What adding a family such as ConvNeXt touches. ARCHITECTURE.md names these files."""


def networks_of(family: FamilyWeights) -> set[str]:
    return {network for source in FORMATS for network in getattr(family, source)}


def test_every_network_of_the_zoo_has_names_in_a_format() -> None:
    counts = Counter(network for family in families.FAMILIES for network in networks_of(family))
    assert set(counts) == set(NETWORKS)
    assert set(counts.values()) == {1}, "each network is in one family"


def test_what_a_family_says_is_of_its_own_networks() -> None:
    for family in families.FAMILIES:
        assert set(family.inputs) <= set(PRESETS)
        said = {network for inputs in family.inputs.values() for network in inputs}
        said |= {network for kind in family.transformers_kinds.values() for network in kind.sizes.values()}
        assert said | {*family.dense_or_convolutions, *family.dense_in_timm} <= networks_of(family)


@pytest.mark.parametrize(
    ("package", "kind", "listed"), [(zoo_package, ZooFamily, ZOO), (families, FamilyWeights, families.FAMILIES)]
)
def test_every_family_is_listed(package: ModuleType, kind: type, listed: Sequence[object]) -> None:
    modules = [import_module(f"{package.__name__}.{entry.name}") for entry in iter_modules(package.__path__)]
    unlisted = [
        f"{module.__name__}.{name}"
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, kind) and not any(value is each for each in listed)
    ]
    assert unlisted == []


def test_a_family_is_known_in_few_files() -> None:
    """Names of networks, modules and tensors are written small; in sentences it is ConvNeXt."""
    files = {path.relative_to(SOURCE).as_posix(): path.read_text() for path in SOURCE.rglob("*.py")}
    assert {name for name, text in files.items() if "convnext" in text} <= TOUCHED
    map_of_all = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text()
    (row,) = (line for line in map_of_all.splitlines() if line.startswith("| a published network |"))
    assert all(f"`{re.sub('convnext.py$', '', name)}`" in row for name in TOUCHED)


def test_the_list_of_weights_needs_no_torch() -> None:
    code = "import sys, deepenough.weights.names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
