"""Reports of a run: `write_report` makes the page, `deepenough.report.tables` the tables of the terminal."""

from __future__ import annotations

from deepenough.report.page import FILE, write_report

__all__ = ["FILE", "write_report"]
