"""What does a search to a target cost, against training only the network that it chooses?

    python benchmarks/search_cost.py DATA --target 0.92 [--limit N] [--max-depth 35] [--epochs N]

Against successive halving (Jamieson and Talwalkar 2016) as Optuna's `SuccessiveHalvingPruner` does it, over the same
search space with the same recipe, split and seed: every architecture is a trial, an epoch is a unit of resource, the
accuracy on the validation images is reported after each. Its answer is the shallowest trial that it trained to the end
and that is shown to meet the target, as `fit` has to show it. Both searches pay for all that they train; costs are in
trainings of the network that `fit` chose, in multiply-accumulates and in seconds.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import optuna

from deepenough.data.sources import open_source
from deepenough.experiment.options import Options
from deepenough.experiment.setup import Experiment, RunRequest, prepare_experiment
from deepenough.progress import Reporter
from deepenough.search.candidates import Candidate
from deepenough.training.callbacks import Action, Callback, Moment
from deepenough.training.memory import keep_freed_memory


def halving(experiment: Experiment, seed: int) -> list[Candidate]:
    """Every architecture as far as successive halving trains it."""
    tried: list[Candidate] = []
    architectures = {architecture.name: architecture for architecture in experiment.search_space}

    def objective(trial: optuna.Trial) -> float:
        architecture = architectures[trial.suggest_categorical("network", list(architectures))]

        class Halving(Callback):
            may_pause = True

            def on_epoch_begin(self, moment: Moment) -> Action:
                trial.report(moment.curve[-1].top1, len(moment.curve))
                return Action.PRUNE if trial.should_prune() else Action.GO_ON

        tried.append(experiment.trainer.train_candidate(architecture, seed=seed, early_stopping=Halving()))
        print(f"  {architecture.name}: {tried[-1].accuracy:.2%} {tried[-1].state}", flush=True)
        if not tried[-1].finished:
            raise optuna.TrialPruned
        return tried[-1].accuracy

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.GridSampler({"network": list(architectures)}, seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(),
    )
    study.optimize(objective, n_trials=len(architectures))
    return tried


def summary(who: str, tried: Sequence[Candidate], answer: Candidate | None, alone: int, seconds: float) -> str:
    cost, spent = sum(candidate.cost for candidate in tried), sum(candidate.seconds for candidate in tried)
    found = f"{answer.name}, {answer.accuracy:.2%}" if answer else "nothing meets the target"
    times = f"{spent:.0f} s, {spent / seconds:.2f} times"
    return f"| {who} | {found} | {len(tried)} | {cost / alone:.2f} trainings | {times} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--target", type=float, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--max-depth", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asked = Options.of(**vars(parser.parse_args()), folds=1)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        source, reporter = open_source(asked.data), Reporter()
        experiment = prepare_experiment(RunRequest(asked, source, (), Path(folder) / "fit", reporter))
        search = experiment.search(lambda s: None)
        chosen = search.run().chosen
        other = prepare_experiment(RunRequest(asked, source, (), Path(folder) / "halving", reporter))
        tried = halving(other, asked.seed)
    meets = [c for c in tried if c.finished and c.lower >= (asked.target or 0)]
    answer = min(meets, key=lambda c: c.architecture.macs, default=None)
    alone, seconds = experiment.trainer.alone(chosen.architecture), chosen.seconds
    print("| search | answer | networks tried | multiply-accumulates | time |\n|---|---|---|---|---|")
    print(summary("deepenough fit", search.tried, chosen, alone, seconds))
    print(summary("successive halving, Optuna", tried, answer, alone, seconds))


if __name__ == "__main__":
    main()
