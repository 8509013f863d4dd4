"""The report of a results folder: Markdown, CSV and one page that needs no network; and two results compared."""

from .compare import compare
from .write import write_report

__all__ = ["compare", "write_report"]
