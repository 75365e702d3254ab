"""The depth that the probes propose, the one that `fit` chooses, and the one that fine-tuning every cut would choose.

    python benchmarks/probing.py DATA --weights FILE|NAME [--preprocess P] [--size 64] [--limit 2000] [--epochs 3]

Every cut of the network is fine-tuned on the same images and judged by the same rule, which is what probing saves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from deepenough.data.sources import open_source
from deepenough.experiment.options import Options
from deepenough.experiment.setup import RunRequest, prepare_experiment
from deepenough.probing.choice import choose_weights
from deepenough.progress import Reporter
from deepenough.search.candidates import Candidate
from deepenough.search.enough_rules import assess
from deepenough.search.enough_verdict import enough
from deepenough.search.evidence import EvidenceTable, gather
from deepenough.search.search import Search
from deepenough.search.verdict import Verdict
from deepenough.training.memory import keep_freed_memory


class Lines(Reporter):
    def say(self, text: str) -> None:
        print(text, flush=True)


def decided(search: Search, tried: list[Candidate]) -> Verdict:
    """The rule of `fit` on all of them."""
    question, trainer = search.question, search.trainer
    table = EvidenceTable(tuple(gather(tried)), trainer.strata, trainer.labels, question.metric)
    return enough(question, assess(question, table, search.search_space), search.resolves())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--network")
    parser.add_argument("--preprocess")
    parser.add_argument("--size", type=int)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--folds", type=int)
    parser.add_argument("--margin", type=float, default=0.01)
    given = vars(parser.parse_args())
    keep_freed_memory()
    asked = Options.of(**given)
    source = open_source(asked.data)
    reporter = Lines()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        weights = choose_weights(asked, source, reporter)
        experiment = prepare_experiment(RunRequest(asked, source, weights, Path(folder), reporter))
        assert experiment.pretrained is not None
        (probing,) = (each.record for each in experiment.pretrained.probings)
        probed = time.perf_counter() - started
        print(f"{probing.images:,} images; decided on {experiment.trainer.folds.why}\n{probing.text}; {probed:.0f} s")
        every = experiment.search(lambda _: None)
        started = time.perf_counter()
        tried = [every.train(architecture) for architecture in experiment.search_space]
        seconds = time.perf_counter() - started
        print(f"\n{'cut after':<16}{'depth':>6}{'probe':>8}{'tuned':>8}{'seconds':>9}")
        for probe, candidate in zip(probing.probes, tried, strict=True):
            print(
                f"{probe.place:<16}{probe.depth:>6}{probe.accuracy.value:>8.1%}{candidate.accuracy:>8.1%}"
                f"{candidate.seconds:>9.0f}"
            )
        whole = decided(every, tried)
        again = experiment.search(lambda _: None)  # its trainings are read back: only the choice of cuts is new
        ours = again.run()
    print(f"\nprobes alone propose {probing.proposed} ({probed:.0f} s with reading the images)")
    print(
        f"fit chooses          {ours.chosen.architecture.place}: {ours.text}; "
        f"it trains {len(again.tried)} of {len(tried)} cuts"
    )
    print(f"every cut tuned      {whole.chosen.architecture.place}: {whole.text} ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
