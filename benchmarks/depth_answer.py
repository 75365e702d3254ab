"""Was the search's answer the right one? Train the whole search space and compare.

    python benchmarks/depth_answer.py fashion-mnist --limit 20000 --max-depth 35
    python benchmarks/depth_answer.py ../shared/data/cifar10 --limit 20000

Runs `fit`'s search first, then trains every architecture of the search space that it left out or ended early, by the
same recipe, split and seed, and applies the same rule to all of them. Prints both answers and what each cost, in
multiply-accumulates and seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from deepenough.data.sources import open_source
from deepenough.experiment.options import Options
from deepenough.experiment.setup import RunRequest, prepare_experiment
from deepenough.progress import Reporter
from deepenough.search import rules
from deepenough.search.candidates import finished
from deepenough.training.memory import keep_freed_memory


class Lines(Reporter):
    def say(self, text: str) -> None:
        print(" ", text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--max-depth", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--margin", type=float, default=0.01)
    parser.add_argument("--target", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="keep the trainings here, and go on from those that are there")
    given = vars(parser.parse_args())
    kept = given.pop("folder")
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as temporary:
        compare(Options.of(**given), kept or Path(temporary))


def compare(asked: Options, folder: Path) -> None:
    experiment = prepare_experiment(RunRequest(asked, open_source(asked.data), None, folder, Lines()))
    trainer = experiment.trainer
    print("the search", flush=True)
    search = experiment.search(lambda s: None)
    verdict = search.run()
    print("the whole search space", flush=True)
    search_space = [trainer.train_candidate(architecture, seed=asked.seed) for architecture in experiment.search_space]
    best = rules.most_accurate(finished(search_space))
    for candidate in search_space:
        paired = rules.compare_seeds(experiment.question, [best], [candidate], trainer.strata, tested=True).difference
        print(
            f"  {candidate.name:14} {candidate.accuracy:7.2%}  {100 * paired.value:5.2f} under the best "
            f"({100 * paired.lower:5.2f} to {100 * paired.upper:5.2f})  {candidate.seconds:6.0f} s",
            flush=True,
        )
    whole = sum(candidate.cost for candidate in search_space)
    seconds = sum(candidate.seconds for candidate in search.tried), sum(candidate.seconds for candidate in search_space)
    alone = trainer.planned(verdict.chosen.architecture)
    chosen = next((c for c in search_space if c.architecture.name == verdict.chosen.architecture.name), verdict.chosen)
    if asked.target is None:
        right = rules.compare_seeds(experiment.question, [best], [chosen], trainer.strata, tested=True)
        print(f"search: {verdict.text}")
        print(
            f"against the best of the whole search space, {best.name}, {chosen.name} is "
            f"{100 * right.difference.value:.2f} points worse, "
            f"at most {100 * right.difference.upper:.2f} (margin {100 * asked.margin:g})"
        )
        full = full_search_answer(experiment.question, search_space, best, trainer)
        print(f"the rule on the whole search space answers {full}")
    else:
        print(f"search: {verdict.text}")
        first = next((c.name for c in search_space if c.lower >= asked.target), "none")
        print(f"the first architecture of the whole search space that is shown to meet the target: {first}")
    print(
        f"cost: {search.spent / alone:.2f} trainings of the chosen network, {search.spent / whole:.0%} of the whole "
        f"search space in multiply-accumulates, {seconds[0]:.0f} of {seconds[1]:.0f} s"
    )


def full_search_answer(question, search_space, best, trainer):  # type: ignore[no-untyped-def]
    """The fixed sequence over all architectures under the best, on one seed."""
    answer = best
    shallower = [c for c in search_space if c.architecture.macs < best.architecture.macs]
    for candidate in sorted(shallower, key=lambda c: -c.architecture.macs):
        if not rules.compare_seeds(question, [best], [candidate], trainer.strata, tested=True).enough:
            break
        answer = candidate
    return answer.name


if __name__ == "__main__":
    main()
