"""Benchmarks are run seldom: what they import of the package has to be there all the same."""

import ast
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def imported(file: Path) -> list[tuple[str, str]]:
    """The modules of the package that a file imports from, with each name."""
    return [
        (node.module, alias.name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("deepenough")
        for alias in node.names
    ]


@pytest.mark.parametrize("file", sorted(BENCHMARKS.rglob("*.py")), ids=lambda file: str(file.relative_to(BENCHMARKS)))
def test_what_they_import_is_there(file):
    assert not [f"{module}.{name}" for module, name in imported(file) if not is_there(module, name)]


def is_there(module: str, name: str) -> bool:
    """Tell if a module has that name, or is a package with a module of that name."""
    found = import_module(module)
    return hasattr(found, name) or (hasattr(found, "__path__") and find_spec(f"{module}.{name}") is not None)


def test_a_name_that_is_gone_is_seen(tmp_path):
    file = tmp_path / "gone.py"
    file.write_text("from deepenough.nets import FAMILIES, gone\nfrom deepenough.nets.cost import gone\n")
    assert len(imported(file)) == 3
    with pytest.raises(AssertionError, match=r"nets\.gone.*cost\.gone"):
        test_what_they_import_is_there(file)
