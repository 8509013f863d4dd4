"""Runs suites: a plan of cells with ids that settle their results, cached inputs, parallel workers, rows on disk."""

from .results import read_rows
from .run import Summary, run_suite
from .suite import Entry, Suite, explain_suite, read_suite, suite_names

__all__ = ["Entry", "Suite", "Summary", "explain_suite", "read_rows", "read_suite", "run_suite", "suite_names"]
