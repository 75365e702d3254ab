"""The record of a run, `record.json`: its schema, and reading and writing it."""

from deepenough.record.schema import Metrics, Plan, Record
from deepenough.record.store import CANDIDATES, FILE, PICTURE_FOLDER, check_pictures, fold_folder, load, save
from deepenough.search.question import DecisionBasis, DecisionKind, Measure, Metric

__all__ = [
    "CANDIDATES",
    "FILE",
    "PICTURE_FOLDER",
    "DecisionBasis",
    "DecisionKind",
    "Measure",
    "Metric",
    "Metrics",
    "Plan",
    "Record",
    "check_pictures",
    "fold_folder",
    "load",
    "save",
]
