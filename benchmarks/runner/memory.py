"""Peak memory of a cell, in a process that has run others before it."""

from __future__ import annotations

import contextlib
import resource
import sys


def reset_peak() -> bool:
    """Let the peak of this process begin anew, as Linux allows (proc(5), clear_refs); False where that cannot be."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
        return True
    return False


def peak_mb() -> float:
    """Largest resident memory since the last reset, 10^6 bytes: of the whole process, libraries and cache included."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
