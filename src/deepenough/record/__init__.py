"""The record of a run, `record.json`: its schema, and reading and writing it."""

from deepenough.record.schema import Metrics, Plan, Record
from deepenough.record.store import CANDIDATES, FILE, PICTURES, fold_folder, load, save
from deepenough.search.question import DecisionBasis, DecisionKind, Measure, Metric

__all__ = [
    "CANDIDATES",
    "FILE",
    "PICTURES",
    "DecisionBasis",
    "DecisionKind",
    "Measure",
    "Metric",
    "Metrics",
    "Plan",
    "Record",
    "fold_folder",
    "load",
    "save",
]
