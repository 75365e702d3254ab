"""A finished run, as `fit` and `resume` give it back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options
from deepenough.model import Model, load
from deepenough.record import Record
from deepenough.report import REPORT
from deepenough.report import text as words
from deepenough.report.shown import Report, summary_html
from deepenough.search.question import DecisionKind

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run: its folder, its record and, on demand, its model. A notebook shows its answer."""

    folder: Path
    record: Record

    @property
    def met(self) -> bool:
        """True if the target was met, or none was set."""
        return self.record.decision is not None and self.record.decision.kind is not DecisionKind.NOT_MET

    @property
    def options(self) -> Options:
        """The options that it was asked with."""
        return Options.from_json(self.record.options)

    @property
    def report(self) -> Report:
        """The page: a path, whose `show()` opens it."""
        return Report(self.folder / REPORT)

    def model(self) -> Model:
        """Load the model that the run answers with."""
        return load(self.folder)

    def candidates(self) -> pandas.DataFrame:
        """The networks that were tried as a table, one a row, from shallow to deep; needs pandas.

        Accuracies are shares of the decision images, with their 95% interval; times are seconds.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise DeepenoughError("run.candidates() needs pandas: pip install pandas") from None
        record = self.record
        rows = []
        for each in sorted(record.candidates, key=lambda c: (c.depth, c.width, c.family, c.seed)):
            judged = each.decision
            rows.append(
                {
                    "name": each.name,
                    "family": each.family,
                    "depth": each.depth,
                    "width": each.width,
                    "parameters": each.parameters,
                    "macs": each.macs,
                    "role": str(each.role),
                    "seed": each.seed,
                    "state": each.state,
                    "accuracy": words.value(record, each),
                    "low": judged.top1.low if judged else None,
                    "high": judged.top1.high if judged else None,
                    "images": judged.top1.count if judged else 0,
                    "verdict": words.verdict(record, each),
                    "chosen": record.decision is not None and each.name == record.decision.chosen,
                    "epochs": sum(training.epochs for training in each.trainings),
                    "seconds": each.seconds,
                }
            )
        return DataFrame(rows)

    def __repr__(self) -> str:
        test = self.record.test
        measured = f"; {words.percent(test.top1.value)} of {test.top1.count:,} test images" if test else ""
        return f"Run({str(self.folder)!r}: {words.headline(self.record)}{measured})"

    def _repr_html_(self) -> str:
        return summary_html(self.record, self.folder)
