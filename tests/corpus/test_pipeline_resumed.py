"""A run that was stopped or killed goes on; a finished one, or another job, is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import soundfile

import codectok.corpus.plan
from codectok.errors import FingerprintError, FormatError
from codectok.items.corpus import Corpus, Scan
from codectok.store import open_store
from tests.corpus.energy import EnergyTokenizer, StoppedAfter, content, run, spoil, wave


@pytest.mark.parametrize("format", ["parquet", "jsonl", "fairseq"])
def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(audio: Path, tmp_path: Path, format: str) -> None:
    spoil(audio)
    options: dict[str, Any] = {"format": format, "flatten": format == "fairseq", "batch_seconds": 0.1}
    whole = run(audio, tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        run(audio, tmp_path / "s", StoppedAfter(6), **options)
    with pytest.raises(FormatError, match="not finished"):
        open_store(tmp_path / "s")
    (tmp_path / "s/shards/.00001.1.tmp.parquet").touch()  # as a process killed while writing leaves it
    made = sorted((tmp_path / "s/.work").glob("0*.json"))
    assert 1 <= len(made) < whole.stats["items"]
    # A shard whose content is not what was written is made again.
    victim = next((tmp_path / "s/shards").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1])
    again = run(audio, tmp_path / "s", **options)
    assert again.resumed_shards == len(made) - 1
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_a_killed_process_goes_on(audio: Path, tmp_path: Path) -> None:
    run(audio, tmp_path / "whole")
    code = """
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from tests.corpus.energy import Slow, run
        run(Path(sys.argv[2]), Path(sys.argv[3]), Slow())
    """
    arguments = [str(Path(__file__).parents[2]), str(audio), str(tmp_path / "s")]
    environment = {**os.environ, "PYTHONPATH": str(Path(codectok.corpus.plan.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), *arguments], env=environment)
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "s/.work/00001.json").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "s/store.json").exists()
    assert run(audio, tmp_path / "s").resumed_shards >= 2
    assert content(tmp_path / "s") == content(tmp_path / "whole")


def test_a_finished_store_is_left_alone(audio: Path, tmp_path: Path) -> None:
    first = run(audio, tmp_path / "s")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")}
    second = run(audio, tmp_path / "s", StoppedAfter(0))
    assert second.resumed_shards == 4
    assert second.stats == first.stats
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("*")}


@pytest.mark.parametrize("finished", [True, False])
def test_another_job_in_the_same_folder_is_refused(audio: Path, tmp_path: Path, finished: bool) -> None:
    if finished:
        run(audio, tmp_path / "s")
    else:
        with pytest.raises(KeyboardInterrupt):
            run(audio, tmp_path / "s", StoppedAfter(4))
    other = EnergyTokenizer()
    other.fingerprint = "other"
    with pytest.raises(FingerprintError, match=r"delete .*--overwrite.* or choose another"):
        run(audio, tmp_path / "s", other)
    for options in (
        {"dedup": True},
        {"num_codebooks": 1},
        {"items_per_shard": 4},
        {"format": "jsonl"},
        {"batch_seconds": 3},
    ):
        with pytest.raises(FormatError, match=r"other options .*delete .* or choose another"):
            run(audio, tmp_path / "s", **options)
    (audio / "a0.wav").rename(audio / "new.wav")
    with pytest.raises(FormatError, match=r"corpus has changed .*delete .* or choose another"):
        run(audio, tmp_path / "s")
    assert run(audio, tmp_path / "s", overwrite=True).resumed_shards == 0
    assert "new" in open_store(tmp_path / "s")


def test_a_corpus_that_changes_meanwhile_is_refused(
    audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scan_and_add(corpus: Corpus) -> Scan:
        found = scan(corpus)
        soundfile.write(audio / "sub/zz.wav", wave(0.1, 8000, 0), 8000)
        return found

    scan = Corpus.scan
    monkeypatch.setattr(Corpus, "scan", scan_and_add)
    with pytest.raises(FormatError, match="changed while it was read"):
        run(audio, tmp_path / "s")
