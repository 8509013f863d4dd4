"""The report of a results folder: Markdown, CSV and one page that needs no network; and two results compared."""

from benchmarks.report.compare import compare
from benchmarks.report.write import write_report

__all__ = ["compare", "write_report"]
