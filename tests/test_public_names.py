"""What `import deepenough` offers: named by dir and help, loaded when it is used."""

from __future__ import annotations

import importlib.metadata
import json
import pydoc
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import deepenough


def test_dir_shows_the_public_names_and_no_others() -> None:
    assert {name for name in dir(deepenough) if not name.startswith("__")} == set(deepenough.__all__)
    assert "__version__" in dir(deepenough)


@pytest.mark.parametrize("name", deepenough.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(deepenough, name).__doc__


def test_what_signatures_and_messages_name_is_public() -> None:
    assert {"Ending", "Preprocessing", "Reporter"} <= set(deepenough.__all__)
    assert deepenough.Reporter.__module__ == "deepenough.progress"


@pytest.mark.parametrize("page", ["python.md", "python.zh.md"])
def test_the_reference_has_every_public_name(page: str) -> None:
    text = (Path(__file__).resolve().parents[1] / "docs/reference" / page).read_text(encoding="utf-8")
    undocumented = {"DeepenoughError", "Record", "record"}  # the record has a page of its own
    assert [name for name in deepenough.__all__ if name not in undocumented and name not in text] == []


def test_help_shows_every_public_name() -> None:
    text = pydoc.plain(pydoc.render_doc(deepenough))
    for name in set(deepenough.__all__) - {"record"}:  # modules are listed by their place
        assert f"{name}(" in text or f"class {name}" in text, name


def test_the_version_is_that_of_the_installed_package() -> None:
    assert deepenough.__version__ == importlib.metadata.version("deepenough")


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'deepenough' has no attribute 'fitt'"):
        deepenough.fitt  # noqa: B018
    assert not hasattr(deepenough, "__wrapped__")


def test_the_import_and_dir_load_nothing_heavy() -> None:
    script = "import deepenough, json, sys; dir(deepenough); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pydantic", "rich", "click", "sklearn"} & set(json.loads(done.stdout))


def test_the_models_of_the_record_are_public() -> None:
    for model in (deepenough.record.Record, deepenough.record.CandidateRecord, deepenough.record.Decision):
        assert set(deepenough.record.__all__) >= {model.__name__}
        assert model.model_fields


def test_the_version_is_the_same_wherever_it_stands() -> None:
    root = Path(__file__).resolve().parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {project}\n" in (root / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {project} (" in (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert deepenough.__version__ == project
