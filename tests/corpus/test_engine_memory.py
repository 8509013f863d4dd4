"""Memory does not grow with the corpus."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from codectok import read_audio, write_audio

ROOT = Path(__file__).parents[2]


def peaks(manifest: Path, out: Path) -> tuple[int, int]:
    """Peak resident sizes of the main process and of its largest worker, in a fresh process."""
    code = (
        "import resource, sys; from codectok.cli.main import main\n"
        "if __name__ == '__main__':\n"
        "    main(sys.argv[1:], standalone_mode=False)\n"
        "    print(*(resource.getrusage(w).ru_maxrss for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))\n"
    )
    options = ["--tokenizer", "random", "--shard-size", "100", "--workers", "2"]
    command = [sys.executable, "-c", code, "tokenize", str(manifest), "-o", str(out), *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    main, worker = result.stdout.split()[-2:]
    return int(main), int(worker)


@pytest.mark.slow
def test_ten_thousand_items_take_as_much_as_one_thousand(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    clips = sorted((ROOT / "benchmarks/speech").glob("*/*.opus"))
    for i, clip in enumerate(clips):
        write_audio(tmp_path / f"{i}.wav", *read_audio(clip))
    found = []
    for count in (1000, 10000):
        manifest = tmp_path / f"{count}.jsonl"
        with open(manifest, "w") as f:
            for i in range(count):
                times = {"offset": i % 200 / 100, "duration": 0.2 + i % 50 / 100}
                f.write(json.dumps({"id": f"utterance-{i:06}", "path": f"{i % len(clips)}.wav", **times}) + "\n")
        found.append(peaks(manifest, tmp_path / f"{count}"))
    (main, worker), (main_of_many, worker_of_many) = found
    assert main_of_many <= 1.1 * main
    assert worker_of_many <= 1.1 * worker
