"""The layers that `--freeze` kept: as the weights have it, and in the same words wherever it is said."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from deepenough import Run, fit, record
from deepenough.hub.card import card_text, read_finished
from deepenough.nets import NETWORKS
from deepenough.nets.build import build
from deepenough.record.schema import CandidateRecord
from deepenough.report import write_report
from deepenough.report.frozen import frozen
from deepenough.report.tables import evidence

pytestmark = pytest.mark.seconds(20)
SHARE = 0.6


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of SqueezeNet, in a folder that `fit --weights` reads."""
    from deepenough.model import save_model
    from deepenough.preprocessing import Preprocessing

    folder = tmp_path_factory.mktemp("start") / "squeeze"
    network = NETWORKS["squeezenet1_1"]().with_classes(4)
    save_model(folder, network, build(network, seed=5).state_dict(), Preprocessing((224, 224)), tuple("abcd"))
    return folder / "weights.safetensors"


@pytest.fixture(scope="module")
def tuned(start: Path, shapes: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    threads = torch.get_num_threads()
    options = {"weights": str(start), "size": 40, "folds": 1, "epochs": 1, "threads": 1, "margin": 0.1}
    run = fit(shapes, out=tmp_path_factory.mktemp("tuned") / "run", freeze=SHARE, progress=False, **options)
    torch.set_num_threads(threads)
    return run


def test_the_record_counts_the_layers_whose_weights_are_those_of_the_start(tuned: Run, start: Path) -> None:
    before = load_file(start)
    for each in tuned.record.candidates:
        after = load_file(tuned.folder / "candidates" / each.name / "fold0" / "weights.safetensors")
        names = [f"{path}.weight" for path in each.layers]
        kept = [torch.equal(after[name], before.get(name, torch.zeros(()))) for name in names]
        assert kept == sorted(kept, reverse=True), "they are the first ones"
        assert each.frozen == sum(kept) < len(kept), each.name
    assert max(each.frozen or 0 for each in tuned.record.candidates) == 1 + 3 * 3  # conv1, and three modules


def copied(tuned: Run, folder: Path, *, frozen_ones: bool) -> tuple[Path, CandidateRecord]:
    """The run as if it had chosen a candidate with frozen layers, or one without."""
    run = Path(shutil.copytree(tuned.folder, folder))
    chosen = next(each for each in tuned.record.candidates if bool(each.frozen) == frozen_ones)
    changed = tuned.record.model_copy(deep=True)
    assert changed.decision is not None
    changed.decision.chosen = chosen.name
    record.save(changed, run)
    return run, chosen


@pytest.mark.parametrize("frozen_ones", [True, False])
def test_all_say_it_in_the_same_words(
    tuned: Run, shapes: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]], frozen_ones: bool
) -> None:
    run, chosen = copied(tuned, tmp_path / "run", frozen_ones=frozen_ones)
    said = "All layers were trained: no whole block fits in the share to freeze (--freeze 0.6)."
    chinese = "所有层都参与了训练：没有一个完整的块能放进要冻结的比例之内（--freeze 0.6）。"
    if frozen_ones:
        frozen, layers = chosen.frozen, len(chosen.layers)
        said = f"Weighted layers that kept their pretrained weights: the first {frozen} of {layers} (--freeze 0.6)."
        chinese = f"前 {frozen} 个带权重的层（共 {layers} 个）保持预训练权重不变（--freeze 0.6）。"
    shown = io.StringIO()
    Console(width=200, file=shown).print(evidence(record.load(run)))
    assert said in shown.getvalue()
    assert said in write_report(run, "en").read_text(encoding="utf-8")
    assert said in card_text(read_finished(run), language="en")
    status, out, errors = command("evaluate", run, shapes)
    assert status == 0, errors
    assert said in out
    _, out, _ = command("evaluate", run, shapes, "--json")
    record.Metrics.model_validate_json(out)
    assert chinese in write_report(run, "zh").read_text(encoding="utf-8")
    assert chinese in card_text(read_finished(run), language="zh")


def test_a_run_that_was_not_asked_to_freeze_says_nothing(finished: Path) -> None:
    whole = record.load(finished)
    assert {each.frozen for each in whole.candidates} == {None}
    assert frozen(whole) is None
    assert "--freeze" not in card_text(read_finished(finished))
