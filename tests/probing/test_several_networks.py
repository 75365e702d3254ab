"""`fit` over several pretrained networks, end to end on small pictures; their weights are random."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from unfinished_run import make_unfinished

from deepenough import DeepenoughError, Run, evaluate, fit, load, plan, record, resume
from deepenough.data.sources import open_source
from deepenough.data.streamed import Streamed
from deepenough.experiment.options import Options
from deepenough.experiment.setup import Experiment, RunRequest, prepare_experiment
from deepenough.model import save_model
from deepenough.nets import FAMILIES
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.probing.choice import choose_weights
from deepenough.probing.naming import named_apart
from deepenough.progress import Reporter
from deepenough.serve.depths import open_run
from deepenough.training.interrupt import Interrupted
from deepenough.weights import Weights, load_weights

pytestmark = pytest.mark.seconds(45)

INPUTS = {
    "residual": Preprocessing((24, 24), mean=(0.5,) * 3, std=(0.25,) * 3),
    "plain": Preprocessing((32, 32), shorter=36, order="BGR", mean=(0.4, 0.45, 0.5), std=(0.01,) * 3),
}
"""What two networks want of an image: another size, part, order of channels and scale."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files of two small networks with random weights, and what they want of images beside them."""
    folder, files = tmp_path_factory.mktemp("weights"), []
    for seed, (family, preprocess) in enumerate(INPUTS.items()):
        rule = FAMILIES[family]
        depth = rule.depth_of(rule.fewest + 1, preprocess.shape)
        network = rule.network(input=preprocess.shape, classes=5, depth=depth, width=0.25)
        network = replace(network, name=f"small_{family}")
        save_model(folder / family, network, build(network, seed=seed).state_dict(), preprocess, tuple("abcde"))
        files.append(str(folder / family / "weights.safetensors"))
    return files


@pytest.fixture(scope="module")
def options() -> dict[str, Any]:
    return {"framing": "source", "folds": 2, "epochs": 1, "threads": 1, "margin": 0.05}


@pytest.fixture(scope="module")
def prepare(
    shapes: Path, weights: list[str], options: dict[str, Any], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Experiment]:
    """Everything before the first training, for the networks with these numbers."""

    def make(*numbers: int, **more: Any) -> Experiment:
        asked = Options.of(data=str(shapes), weights=[weights[n] for n in numbers], **options, **more)
        source, threads = open_source(str(shapes)), torch.get_num_threads()
        loaded = choose_weights(asked, source, Reporter())
        try:
            return prepare_experiment(
                RunRequest(asked, source, loaded, tmp_path_factory.mktemp("prepared"), Reporter())
            )
        finally:
            torch.set_num_threads(threads)

    return make


@pytest.fixture(scope="module")
def run(
    shapes: Path, weights: list[str], options: dict[str, Any], cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    threads = torch.get_num_threads()
    done = fit(shapes, weights=weights, out=tmp_path_factory.mktemp("several") / "run", **options)
    torch.set_num_threads(threads)
    return done


def test_each_network_is_probed_as_it_is_alone(prepare: Callable[..., Experiment]) -> None:
    both = prepare(0, 1)
    assert both.pretrained is not None
    for number, probing in enumerate(both.pretrained.probings):
        single = prepare(number)
        assert single.pretrained is not None
        (alone,) = single.pretrained.probings
        untimed = [[row.model_copy(update={"milliseconds": 0.0}) for row in p.record.probes] for p in (probing, alone)]
        assert untimed[0] == untimed[1]
        assert probing.record.proposed == alone.record.proposed
        assert probing.record.input == alone.record.input
        assert single.images.fingerprint == both.images.fingerprint
        seen = both.images.read_as(alone.images.preprocess)
        assert seen.preprocess == single.images.preprocess
        assert np.array_equal(seen.pixels[:], single.images.pixels[:])
        assert np.array_equal(seen.split.test, single.images.split.test)


@pytest.mark.parametrize("minimize", ["depth", "parameters", "macs"])
def test_all_cuts_are_one_list_sorted_by_what_is_kept_small(prepare: Callable[..., Experiment], minimize: str) -> None:
    both = prepare(0, 1, minimize=minimize)
    assert both.pretrained is not None
    cuts = both.search_space
    sizes = [getattr(cut, minimize) for cut in cuts]
    assert sizes == sorted(sizes)
    assert len({cut.name for cut in cuts}) == len(cuts) == sum(len(p.cuts) for p in both.pretrained.probings)
    probes = {f"{p.weights.network.name}-{row.place}": row for p in both.pretrained.probings for row in p.record.probes}
    assert set(probes) == {cut.name for cut in cuts}
    best = max(row.accuracy.value for row in probes.values())
    assert probes[cuts[both.pretrained.most_accurate].name].accuracy.value == best
    assert both.first_trained[0] is cuts[both.pretrained.most_accurate]
    images = len(both.pretrained.probings[0].features.rows)
    whole = [cut.macs for cut in cuts if cut.origin is not None and cut.origin.whole]
    assert len(whole) == 2
    assert both.trainer.probing_cost == images * sum(whole)


def test_the_record_says_of_every_candidate_which_network_it_is_of(run: Run, weights: list[str]) -> None:
    found = record.load(run.folder)
    assert [probing.network for probing in found.probings] == ["small_residual", "small_plain"]
    assert found.joined_probes is not None
    assert found.decision is not None
    tried = {candidate.name for candidate in found.candidates}
    assert found.joined_probes.best in tried
    assert {candidate.family for candidate in found.candidates} <= {"small_residual", "small_plain"}
    assert found.options["weights"] == weights
    assert found.question.families == ["small_residual", "small_plain"]
    assert "cut after" in found.decision.title or "the whole" in found.decision.title
    page = Path(run.report).read_text()
    assert "Linear probes at every depth of the pretrained networks" in page
    assert all(f"Every place where {name} can be cut" in page for name in ("small_residual", "small_plain"))


def test_what_was_not_tried_is_named(run: Run) -> None:
    found = run.record
    assert found.decision is not None
    tried = {candidate.name for candidate in found.candidates}
    for left in (each for each in found.search_space if each.name not in tried):
        assert left.name.removeprefix(f"{left.family}-") in found.decision.text or " to " in found.decision.text
        assert left.family in found.decision.text


def test_the_chosen_network_keeps_its_own_way_of_reading_images(run: Run, shapes: Path) -> None:
    found, model = run.record, load(run.folder)
    assert found.decision is not None
    assert found.test is not None
    chosen = found.candidate(found.decision.chosen)
    own = next(probing for probing in found.probings if probing.network == chosen.family)
    assert own.preprocess is not None
    assert Preprocessing.from_json(own.preprocess) == model.preprocess
    assert model.preprocess.size == INPUTS[chosen.family.removeprefix("small_")].size
    metrics, _ = evaluate(run.folder, shapes)
    assert metrics.top1.value == found.test.top1.value
    _, _, siblings = open_run(run.folder)
    assert {sibling.model.network.input for sibling in siblings} == {model.network.input}, "served beside each other"


def test_test_images_that_are_others_for_the_chosen_network_are_not_measured(
    run: Run, shapes: Path, tmp_path: Path
) -> None:
    """Which images are left out may depend on their size, and it was another network's that decided."""
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    found = record.load(folder)
    found.data.counts["test"][0] += 1
    record.save(found, folder)
    with pytest.raises(DeepenoughError, match="are split otherwise for the one that it chose"):
        evaluate(folder, shapes)


def test_a_stopped_run_goes_on_to_the_same_weights(
    run: Run, shapes: Path, weights: list[str], options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepenough.experiment import run as module

    class Impatient(module.Stop):  # type: ignore[name-defined, misc]
        def __call__(self) -> bool:
            self.steps = getattr(self, "steps", 0) + bool(list(tmp_path.glob("run/candidates/*/fold*/step-*")))
            return self.steps > 2

    monkeypatch.setattr(module, "Stop", Impatient)
    with pytest.raises(Interrupted):
        fit(shapes, weights=weights, out=tmp_path / "run", **options)
    monkeypatch.undo()
    again = resume(tmp_path / "run")
    assert again.record.decision == run.record.decision
    assert [c.name for c in again.record.candidates] == [c.name for c in run.record.candidates]
    one, other = (load_file(folder / "model" / "weights.safetensors") for folder in (again.folder, run.folder))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())


def test_a_target_is_searched_for_among_the_cuts_of_all(
    shapes: Path, weights: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    done = fit(shapes, weights=weights, out=tmp_path / "run", target=0.4, **{**options, "folds": 1})
    assert done.met
    assert done.record.decision is not None
    assert done.record.decision.title
    assert done.record.decision.text.startswith(done.record.decision.title)


def test_the_plan_has_every_cut_of_every_network(shapes: Path, weights: list[str], options: dict[str, Any]) -> None:
    threads = torch.get_num_threads()
    found = plan(shapes, weights=weights, **options)
    torch.set_num_threads(threads)
    families = {row.name.partition("-")[0] for row in found.architectures}
    assert families == {"small_residual", "small_plain"}
    assert 0 < found.least <= found.most


def test_weights_are_given_once(weights: list[str], tmp_path: Path) -> None:
    again = tmp_path / "again" / "weights.safetensors"
    shutil.copytree(Path(weights[0]).parent, again.parent)
    with pytest.raises(DeepenoughError, match="give each only once"):
        named_apart([load_weights(weights[0]), load_weights(again)], [weights[0], str(again)])


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["flowers.pth", "birds.pth"], ["net-flowers", "net-birds"]),
        (["net.pth", "net_birds.onnx"], ["net", "net-birds"]),
        (["nets.pth", "NET-1.pth"], ["net-nets", "net-1"]),
        (["flowers/model/w.pth", "birds/model/w.pth"], ["net-flowers", "net-birds"]),
        (["a/w.pth", "b/w.pth", "b/v.pth"], ["net-a-w", "net-b-w", "net-b-v"]),
        (["my flowers (2).pth", "花.pth"], ["net-my-flowers-2", "net-花"]),
        (["a.pth", "A.onnx", "up/b.pth"], None),  # a file system may take them for one
        (["hf:me/flowers", "hf:me/birds@main"], ["net-flowers", "net-birds-main"]),
        (["hf:me/net", "hf:you/net"], ["net-me", "net-you"]),
        (["a" * 100 + ".pth", "b" * 100 + ".pth"], [f"net-{letter * 40}" for letter in "ab"]),
    ],
)
def test_networks_of_one_name_have_the_names_of_their_files(
    given: list[str], names: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for each in given:
        if not each.startswith("hf:"):
            Path(each).parent.mkdir(parents=True, exist_ok=True)
            Path(each).touch()
    absolute = [each if each.startswith("hf:") else str(tmp_path / each) for each in given]
    for asked in (given, absolute, absolute[::-1]):
        loaded = [made_up("net", asked.index(each), each) for each in asked]
        found = [each.network.name for each in named_apart(loaded, asked)]
        assert len({each.casefold() for each in found}) == len(given)
        assert names is None or found == (names[::-1] if asked == absolute[::-1] else names)


def test_networks_of_the_table_have_the_recipes_of_their_weights() -> None:
    names = ["resnet50.a1_in1k", "resnet50.tv2_in1k"]
    assert named(names, [made_up("resnet50", n, name) for n, name in enumerate(names)]) == [
        "resnet50-a1_in1k", "resnet50-tv2_in1k",
    ]  # fmt: skip


def test_a_network_that_is_called_like_another_one_with_its_label_is_numbered() -> None:
    given = ["hf:me/flowers", "hf:me/birds", "hf:me/x"]
    loaded = [made_up(name, number) for number, name in enumerate(["net", "net", "net-birds"])]
    assert named(given, loaded) == ["net-flowers", "net-birds", "net-birds-2"]


def named(given: list[str], loaded: list[Weights]) -> list[str]:
    return [each.network.name for each in named_apart(loaded, given)]


def made_up(network: str, number: int, name: str = "") -> Weights:
    """Weights that are nothing but names and a checksum."""
    described = replace(FAMILIES["plain"].network(input=(3, 24, 24), classes=5, depth=4, width=0.25), name=network)
    return Weights(name, "", described, {}, Preprocessing((24, 24)), str(number))


def test_a_run_that_goes_on_keeps_the_names_that_its_networks_had(
    weights: list[str], shapes: Path, tmp_path: Path
) -> None:
    """Older versions numbered them."""
    other = tmp_path / "birds" / "weights.safetensors"
    shutil.copytree(Path(weights[0]).parent, other.parent)
    network = load_weights(weights[0]).network
    save_model(other.parent, network, build(network, seed=7).state_dict(), INPUTS["residual"], tuple("abcde"))
    asked = Options.of(data=str(shapes), weights=[weights[0], str(other)])
    source = open_source(str(shapes))
    kept = {load_weights(file).sha256: name for file, name in zip(asked.weights, ["net", "net-2"], strict=True)}
    assert [each.network.name for each in choose_weights(asked, source, Reporter())] == [
        "small_residual-residual", "small_residual-birds",
    ]  # fmt: skip
    assert [each.network.name for each in choose_weights(asked, source, Reporter(), kept)] == ["net", "net-2"]


def test_resume_passes_the_names_that_are_recorded(
    run: Run, weights: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    found = record.load(folder)
    found.further_probings[0].network = "small-2"
    record.save(found, folder)
    make_unfinished(folder)
    passed: list[Any] = []

    def choose(*given: Any) -> None:
        passed.extend(given)
        raise DeepenoughError("far enough")

    monkeypatch.setattr("deepenough.experiment.fit.choose_weights", choose)
    with pytest.raises(DeepenoughError, match="far enough"):
        resume(folder)
    digests = [load_weights(file).sha256 for file in weights]
    assert passed[-1] == dict(zip(digests, ["small_residual", "small-2"], strict=True))


def test_images_that_another_size_leaves_out_are_read_all_the_same(
    prepare: Callable[..., Experiment], shapes: Path
) -> None:
    """Of `other` an image is missing, as where two sizes do not find the same duplicates."""
    small, large = prepare(0).images, prepare(1).images
    source = open_source(str(shapes))
    names = [*large.names][1:]
    fewer = replace(large, pixels=large.pixels[1:], names=names, labels=large.labels[1:])
    seen = small.joined(fewer, source).read_as(large.preprocess)
    assert isinstance(seen.pixels, Streamed)
    assert np.array_equal(seen.pixels[:], large.pixels[:])
    assert list(seen.names) == list(small.names)
