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


FIRST_STEP = """
import json, sys
import torch
from deepenough.nets import Conv, Dense, GlobalAvgPool, Network
from deepenough.nets.build import build
from deepenough.training.optimizer import make_optimizer
from deepenough.training.recipe import Recipe

model = build(Network("small", (1, 8, 8), (Conv(8, 3), GlobalAvgPool(), Dense(4))))
for kind in ("sgd", "adamw"):
    optimizer = make_optimizer(model, Recipe(optimizer=kind))
    model(torch.zeros(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    optimizer.load_state_dict(optimizer.state_dict())
print(json.dumps(sorted(sys.modules)))
"""


def test_a_training_starts_without_the_compiler_of_torch() -> None:
    """It takes as long to import as torch itself, and SymPy half of that."""
    done = subprocess.run([sys.executable, "-c", FIRST_STEP], capture_output=True, text=True, check=True)
    assert not {"torch._dynamo", "torch._inductor", "sympy"} & set(json.loads(done.stdout))


def test_digits_are_read_without_scikit_learn() -> None:
    script = (
        "from deepenough.data.sources import open_source; import sys; open_source(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
