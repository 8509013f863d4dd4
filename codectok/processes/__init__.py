"""Work in other processes and threads, the same way for every job.

:func:`map_ahead` is what most callers need: ordered, bounded, and a worker that dies is named with its item.
:class:`Pool` gives results as they come, for jobs whose tasks depend on results or who outlive a worker's death.
:func:`apart` makes calls into native code that may crash, one at a time.
A pool of one runs in this process. Workers have one thread each for torch and numpy: sums of floats depend on their
number, and a process a core is faster anyway.
"""

from codectok.processes.ahead import in_process, map_ahead, map_in_threads
from codectok.processes.apart import apart
from codectok.processes.inline import Inline
from codectok.processes.pool import Pool
from codectok.processes.settings import one_thread, reading_processes, usable_cores, warm_up
from codectok.processes.work import WAIT, Call, CallDied, Lost, Now, Raised, Report, StartError, Work, WorkerDied

__all__ = [
    "WAIT",
    "Call",
    "CallDied",
    "Inline",
    "Lost",
    "Now",
    "Pool",
    "Raised",
    "Report",
    "StartError",
    "Work",
    "WorkerDied",
    "apart",
    "in_process",
    "map_ahead",
    "map_in_threads",
    "one_thread",
    "reading_processes",
    "usable_cores",
    "warm_up",
]
