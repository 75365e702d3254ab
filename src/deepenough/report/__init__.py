"""Reports of a run: `write_report` makes the page, `deepenough.report.tables` the tables of the terminal."""

from __future__ import annotations

from deepenough.report.page import REPORT, write_report

__all__ = ["REPORT", "write_report"]
