"""Runs suites: a plan of cells with ids that settle their results, cached inputs, parallel workers, rows on disk."""

from .results import read_rows
from .run import RunSummary, run_suite
from .suite import Suite, SuiteEntry, explain_suite, read_suite, suite_names

__all__ = ["RunSummary", "Suite", "SuiteEntry", "explain_suite", "read_rows", "read_suite", "run_suite", "suite_names"]
