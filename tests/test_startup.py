"""`deepenough --help` answers at once: nothing heavy is imported before a command runs."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"torch", "numpy", "scipy", "sklearn", "plotly", "PIL", "pyarrow", "pydantic", "rich"}
HELP = """
import json, sys
sys.argv = ["deepenough", {words}]
from deepenough.__main__ import main
try:
    main()
except SystemExit as end:
    print(json.dumps([end.code, sorted(name for name in sys.modules if "." not in name)]))
"""


def imported(*words: str) -> set[str]:
    script = HELP.format(words=", ".join(map(repr, words)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    return set(modules)


def test_help_imports_nothing_heavy() -> None:
    assert not imported("--help") & HEAVY


def test_the_help_of_a_command_imports_nothing_heavy() -> None:
    assert not imported("fit", "--help") & HEAVY


def test_a_network_is_shown_without_torch() -> None:
    assert "torch" not in imported("nets", "resnet34")


def test_a_question_is_set_up_without_what_only_its_end_needs() -> None:
    """Every process of a group imports this much."""
    script = "import deepenough.experiment.fit, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    late = {
        "scipy",
        "sklearn",
        "plotly",
        "pyarrow",
        "jinja2",
        "rich",
        "ray",
        "tensorboard",
        "captum",
        "google.protobuf",
    }
    assert not late & set(json.loads(done.stdout))
