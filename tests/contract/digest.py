"""Prints the digest of each subject: run in a fresh process by the determinism clause."""

from __future__ import annotations

import json
import sys

import torch

from codectok.testing.clauses.determinism import digest
from tests.contract.subjects import SUBJECTS

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps({s.name: digest(s.make()) for s in SUBJECTS}))
