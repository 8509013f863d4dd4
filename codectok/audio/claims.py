"""What libsndfile notes of a header that claims more audio than there is, which it then corrects without a word."""

from __future__ import annotations

import re

_SIZE = re.compile(r"^\s*(\w[\w ]*?)\s*: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN = {True: 0x7FFF0000, False: 2**48}
"""From here on a size of 32 bits, or of 64, stands for "unknown"."""
FEW = 36
"""Bytes that a size may be too large by: some writers count the header in, and some end within a sample."""


def lacking(log: str, form: str) -> tuple[int, int] | None:
    """Bytes that are there, and bytes that are claimed, if those are more.

    Args:
        log: libsndfile's.
        form: libsndfile's name of the format.
    """
    for name, claimed, there in _SIZE.findall(log):
        # The size of a whole WAV file is often wrong, and used by nobody.
        if int(there) < int(claimed) < _UNKNOWN[form not in ("RF64", "W64")] and (form[:3] != "WAV" or name == "data"):
            return int(there), int(claimed)
    return None
