"""Does learning from a deeper network's logits make a shallower one more accurate, and by how much?

    python benchmarks/distillation.py DATA [--limit N] [--size 64] [--epochs N] [--depths 3 7] [--teacher 19]
        [--seeds 0 1 2] [--temperature T] [--weight W] [--folder FOLDER]

For every seed it trains the teacher, each depth from the labels alone, and each depth from the teacher's logits as
well, as `fit --distill` does, with one recipe and one split, and looks at the test images. A gain is the distilled
network's accuracy less the plain one's, paired on the same images, with its 95% interval: for each seed by the images,
for the mean of the seeds by the images and by what the seeds differ in. With `--folder` trainings are kept, so that it
can be continued, or tell of other temperatures and weights without training the plain networks again.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

from deepenough.data.sources import open_source
from deepenough.experiment.options import Options
from deepenough.experiment.setup import Experiment, RunRequest, prepare_experiment
from deepenough.nets.build import build
from deepenough.progress import Reporter
from deepenough.search.candidates import Attempt, Candidate
from deepenough.search.question import Role
from deepenough.search.statistics import HitShares, Strata, paired_difference
from deepenough.training.device import choose_device
from deepenough.training.evaluate import predict_probabilities

TWO_SIDED = 1.96


def tested(experiment: Experiment, candidate: Candidate) -> HitShares:
    """For every test image 1 where the candidate is right."""
    images, device = experiment.images, choose_device(experiment.recipe.device)
    model = build(candidate.architecture.network)
    model.load_state_dict(candidate.trainings[0].state)
    test = images.split.test
    found = predict_probabilities(model.to(device).eval(), images, test, images.preprocess, device)
    return np.asarray(found.argmax(axis=1) == images.labels[test], np.float64)


def of_seed(
    experiment: Experiment, seed: int, depths: list[int], teacher_depth: int, recipe: dict[str, float]
) -> dict[str, HitShares]:
    """The hits on the test images of the networks of one seed, by name."""
    trainer, by_depth = experiment.trainer, {each.depth: each for each in experiment.search_space}
    folder, found = trainer.folder, {}
    trainer.folder = folder / f"seed{seed}"
    teacher = trainer.train_candidate(Attempt(by_depth[teacher_depth], seed))
    found[teacher.name] = tested(experiment, teacher)
    for depth in depths:
        plain = trainer.train_candidate(Attempt(by_depth[depth], seed))
        found[plain.name] = tested(experiment, plain)
    trainer.folder = folder / "-".join([f"seed{seed}", *(f"{value:g}" for value in recipe.values())])
    for depth in depths:
        architecture = by_depth[depth].distilled_from(teacher.architecture)
        distilled = trainer.train_candidate(Attempt(architecture, seed, Role.DISTILLED, teacher=teacher))
        found[distilled.name] = tested(experiment, distilled)
    trainer.folder = folder
    for name, hits in found.items():
        print(f"seed {seed}: {name} {hits.mean():.2%}", flush=True)
    return found


def report(seeds: list[dict[str, HitShares]], names: list[str], teacher: str) -> None:
    """Print a row a network: its accuracy, the distilled one's, and the gains."""
    strata = Strata.of(np.zeros(len(seeds[0][teacher]), np.int64), "top1")
    print(f"\nteacher {teacher}: {', '.join(f'{each[teacher].mean():.2%}' for each in seeds)}")
    print(
        "| network | plain | distilled | gain of each seed, points | mean gain, 95% interval |\n| --- |" + " --- |" * 4
    )
    for name in names:
        plain, distilled = ([each[key] for each in seeds] for key in (name, f"{name}-distilled"))
        gains = [paired_difference(d, p, strata) for p, d in zip(plain, distilled, strict=True)]
        each = ", ".join(f"{100 * g.value:+.1f} ± {100 * TWO_SIDED * g.standard_error:.1f}" for g in gains)
        mean = paired_difference(np.mean(distilled, axis=0), np.mean(plain, axis=0), strata)
        values, count = np.array([gain.value for gain in gains]), len(gains)
        half = TWO_SIDED * mean.standard_error
        if count > 1:
            half = math.hypot(half, float(student_t.ppf(0.975, count - 1) * values.std(ddof=1) / math.sqrt(count)))
        accuracies = (f"{np.mean(of):.1%}" for of in (plain, distilled))
        print(f"| {name} | {' | '.join(accuracies)} | {each} | {100 * values.mean():+.1f} ± {100 * half:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 7])
    parser.add_argument("--teacher", type=int, default=19)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--weight", type=float)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    asked = Options.of(
        data=given.data, scratch=True, limit=given.limit, size=given.size, epochs=given.epochs,
        max_depth=given.teacher, folds=1, threads=1, compiled=False, precision="float32", distill=True,
        distill_temperature=given.temperature, distill_weight=given.weight,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        experiment = prepare_experiment(RunRequest(asked, open_source(asked.data), None, folder, Reporter()))
        recipe = experiment.recipe
        distillation = {"temperature": recipe.distill_temperature, "weight": recipe.distill_weight}
        print(f"{recipe.epochs} epochs, {len(experiment.images.split.train):,} images, {distillation}", flush=True)
        by_depth = {each.depth: each.name for each in experiment.search_space}
        seeds = [of_seed(experiment, seed, given.depths, given.teacher, distillation) for seed in given.seeds]
        report(seeds, [by_depth[depth] for depth in given.depths], by_depth[given.teacher])


if __name__ == "__main__":
    main()
