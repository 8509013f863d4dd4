"""Keep freed memory in the process while training.

glibc gives large blocks back to the kernel as soon as they are freed, and a training step frees and takes the same
hundreds of megabytes each time: half of the CPU time went into the kernel's page faults.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def keep_buffers() -> bool:
    """Raise glibc's thresholds for this process; False where there is no glibc."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    top = 2**31 - 1
    return all([mallopt(_M_MMAP_THRESHOLD, top), mallopt(_M_TRIM_THRESHOLD, top), mallopt(_M_TOP_PAD, 64 << 20)])
