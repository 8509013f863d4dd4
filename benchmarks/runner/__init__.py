"""Runs suites: a plan of cells with ids that settle their results, cached inputs, parallel workers, rows on disk."""

from benchmarks.runner.results import read_rows
from benchmarks.runner.run import Summary, run_suite
from benchmarks.runner.suite import Entry, Suite, read_suite, suite_names

__all__ = ["Entry", "Suite", "Summary", "read_rows", "read_suite", "run_suite", "suite_names"]
