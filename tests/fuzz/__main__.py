"""Mutants of one format for some minutes: ``python -m tests.fuzz wav --minutes 10 --seed 0``.

A mutant must be read, or be refused in one line by an error of ours, within a second of this process's time and
256 MiB. Whatever else it does is a finding: it is printed with its number, and ``--number N`` does it once more.
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.runner import run
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Exit status 1 where there were findings."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--number", type=int, help="one mutant alone")
    args = parser.parse_args()
    alone = args.number is not None
    tally = run(args.target, args.seed, args.number or 0, args.number + 1 if alone else None, args.minutes)
    print(f"{args.target}: {tally.line()}")
    return 1 if tally.findings.value else 0


if __name__ == "__main__":
    sys.exit(main())
