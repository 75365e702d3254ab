"""Is the search's answer the right one? Train the whole search space of real sets, and hold the answer against it.

    python benchmarks/answers --folder CACHE --truth [--sets digits mnist12k ...] [--seeds 0 1 2] [--max-depth 19]
    python benchmarks/answers --folder CACHE --search [...]
    python benchmarks/answers --folder CACHE --scouts [...]

`--truth` trains every architecture of the default search space by fit's own recipe, split and decision images, seed by
seed, and looks at the test images; all is kept in the cache folder, so that it can be stopped and goes on. `--search`
then runs the search in the same folders, where it only reads what is trained already, and prints for each set and seed
the true depth (from means over the seeds), the answer, whether "shown" is true on the test images, whether the set of
depths holds the true one, and the cost as a share of training everything. A training that the search would have ended
early is there in whole, and counts in whole. `--scouts` trains partial trainings beside the whole ones on the first
fold, and prints by how much they understate what a depth gains. Whatever is missing in the cache is said.

On one core that nobody else uses, the six sets with three seeds take about a day and a half; with `--max-depth 19`,
which asks the same of a search space of four depths, a quarter of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from judging import HEAD, Answer, curve, judged
from scouts import train_scouts
from sets import SEEDS, SETS, SpaceOptions
from truth import Case, Rung, Truth

from deepenough.training.memory import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="keeps the trainings, and goes on from those there")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--max-depth", type=int, help="of the search space; by default fit's own")
    parser.add_argument("--width", type=float, help="factor of the channels, to see cheaply how scouts behave")
    todo = parser.add_mutually_exclusive_group(required=True)
    todo.add_argument("--truth", action="store_true", help="train the search space")
    todo.add_argument("--search", action="store_true", help="judge the search where the search space is trained")
    todo.add_argument("--scouts", action="store_true", help="train partial trainings and show their bias")
    given = parser.parse_args()
    keep_freed_memory()
    if given.truth:
        train(each for seed in given.seeds for each in cases(given, [seed]))
    elif given.search:
        search(given)
    else:
        train_scouts(given.folder, (each for seed in given.seeds for each in cases(given, [seed])))


def cases(given: argparse.Namespace, seeds: Iterable[int]) -> Iterable[Case]:
    """The cases asked for, from cheap sets to dear ones."""
    for name in (name for name in SETS if name in given.sets):
        for seed in seeds:
            yield Case.open(SETS[name], seed, given.folder, space_options(given))


def space_options(given: argparse.Namespace) -> SpaceOptions:
    return SpaceOptions(given.max_depth, None if given.width is None else (given.width,))


def train(wanted: Iterable[Case]) -> None:
    """Train what is missing, one seed of all sets before the next seed."""
    for case in wanted:
        print(f"{case.name}: missing {names(case)}", flush=True)
        for architecture in case.experiment.search_space:
            rung = case.train(architecture)
            print(
                f"  {rung.candidate.name:12} {rung.candidate.accuracy:7.2%} of {len(rung.candidate.seen):,}, test "
                f"{rung.test_accuracy:7.2%} of {rung.test_hits.shape[1]:,}, {rung.candidate.seconds:6.0f} s",
                flush=True,
            )


def search(given: argparse.Namespace) -> None:
    """Judge the search on every set and seed whose search space is trained."""
    rows = []
    for name in (name for name in SETS if name in given.sets):
        ladders: dict[int, tuple[Case, list[Rung]]] = {}
        for seed in given.seeds:
            case = Case.open(SETS[name], seed, given.folder, space_options(given))
            if case.missing:
                print(f"{case.name} is left out: missing {names(case)}; train them with --truth", flush=True)
            else:
                ladders[seed] = case, [case.train(each) for each in case.experiment.search_space]
        if not ladders:
            continue
        truth = Truth.of([ladder for _, ladder in ladders.values()], case.experiment.question.margin)
        print(curve(f"{name}, mean of seeds {', '.join(map(str, ladders))}", truth), flush=True)
        for case, ladder in ladders.values():
            answer = Answer.of(case, ladder)
            print(f"{case.name}: {answer.verdict.text}", flush=True)
            rows.append(judged(answer, ladder, truth))
    print("\n".join(["", HEAD, "|---" * 8 + "|", *rows]))


def names(case: Case) -> str:
    """The architectures that are missing or not trained on every fold, and the share of the cost that is left."""
    trainer, missing = case.experiment.trainer, case.missing
    left = sum(trainer.planned(each) * folds / len(trainer.folds.folds) for each, folds in missing.items())
    share = left / sum(map(trainer.planned, case.experiment.search_space))
    return f"{', '.join(each.name for each in missing)} ({share:.0%} of the cost)" if missing else "nothing"


if __name__ == "__main__":
    main()
