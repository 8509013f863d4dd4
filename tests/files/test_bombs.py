"""Small files that ask for much: refused within seconds, in a process that may take little memory."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from codectok.errors import FormatError
from codectok.tokens import Tokens
from codectok.tokens.ctk_layout import FOOT
from tests.fuzz.ctk import joined, pieces_of
from tests.import_graph import ROOT

MEMORY = 256 << 20
"""Bytes beyond what the imports take."""
SECONDS = 20.0
"""With the imports, on a machine that does other things too."""
PROGRAM = """
import resource, sys
from pathlib import Path
import codectok, numpy, torch
from codectok.store.npy import read_npy
from codectok.items.corpus import read_corpus
from codectok.tokens import Tokens
from codectok.tokens.ctk_reader import CtkReader
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + {memory}, size + {memory}))
path = sys.argv[1]
try:
    {code}
except (codectok.CodectokError, ValueError) as error:
    print(f"refused: {{error}}")
"""


def use(path: Path, code: str) -> str:
    """What a child process says that runs ``code`` on a file."""
    started = time.monotonic()
    program = PROGRAM.format(memory=MEMORY, code=code)
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert time.monotonic() - started < SECONDS
    assert done.stdout.count("\n") == 1
    return done.stdout


def long_runs(path: Path) -> Path:
    """A .ctk of one column that stands for 2^31 frames; its checksums are right."""
    tokens = Tokens(torch.tensor([[3, 3]]), 640, 16000, 50, (8,), "f" * 32)
    tokens.dedup().save(path)
    first, block, foot = pieces_of(path)
    payload = bytes([31]) + ((2**31 - 1) << 33 | 3 << 30).to_bytes(8, "big")[:5]
    block = block[:2] + len(payload).to_bytes(4, "little") + payload
    foot = foot[:20] + (2**31).to_bytes(8, "little") + foot[28:]
    assert len(foot) == FOOT.size
    path.write_bytes(joined([first, block, foot]))
    return path


@pytest.mark.parametrize("code", ["Tokens.load(path).expand()", "next(CtkReader(path).blocks())"])
def test_a_ctk_of_a_hundred_bytes_that_stands_for_two_thousand_million_frames(tmp_path: Path, code: str) -> None:
    path = long_runs(tmp_path / "a.ctk")
    assert path.stat().st_size < 150
    assert Tokens.load(path).num_frames == 2**31  # the file is sound
    said = use(path, code)
    assert "2147483648 frames" in said
    assert "CODECTOK_MAX_CODES" in said


def test_the_limit_is_raised_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens(torch.tensor([[3, 3, 3]]), 960, 16000, 50, (8,), "f" * 32).dedup()
    monkeypatch.setenv("CODECTOK_MAX_CODES", "2")
    with pytest.raises(FormatError, match="CODECTOK_MAX_CODES=N"):
        tokens.expand()
    monkeypatch.setenv("CODECTOK_MAX_CODES", "3")
    assert tokens.expand().num_frames == 3


def test_durations_of_a_thousand_million_frames_in_a_jsonl_shard(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    said = use(path, "Tokens(torch.zeros(1, 9).long(), 1, 16000, 50, (8,), 'f', torch.full((9,), 10**9)).expand()")
    assert "9000000000 frames" in said


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.txt.gz"])
def test_a_gzip_line_without_end(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(bytes(1) * (16 << 20) if name != "a.csv.gz" else b"a" * (16 << 20))
    assert path.stat().st_size < 8 << 20
    said = use(path, "__import__('os').environ.update(CODECTOK_MAX_LINE=str(2**24)); read_corpus(path).scan()")
    assert "CODECTOK_MAX_LINE" in said


def test_a_pattern_of_a_thousand_million_names(tmp_path: Path) -> None:
    path = tmp_path / "shards.txt"
    path.write_text("{0..1000000000}.tar\n")
    assert "more than 1,000,000 files" in use(path, "read_corpus(path).scan()")


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(100000, 1000000)", "(4611686018427387904, 4)"])
def test_an_array_whose_header_promises_more_than_the_file_holds(tmp_path: Path, shape: str) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.zeros(4, "<i4"), version=(1, 0))
    data = stream.getvalue()
    path = tmp_path / "a.npy"
    head = data[10:128].decode().replace("(4,)", shape).rstrip()
    path.write_bytes(data[:10] + head[: -1 if head.endswith("\n") else None].ljust(117).encode() + b"\n" + data[128:])
    assert "larger than its file" in use(path, "read_npy(open(path, 'rb'))")
