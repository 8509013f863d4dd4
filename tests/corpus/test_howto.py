"""What docs/corpora.md says, run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from codectok.cli.main import main
from codectok.store import open_store
from tests.store.test_merge import content

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/corpora.md").read_text(encoding="utf-8")


def commands(block: str, **variables: str) -> list[list[str]]:
    """The commands of a block as bash reads them: words, quotes and variables resolved, nothing run."""
    show = "codectok() { printf '%s\\0' \"$@\"; printf '\\001\\0'; }\n"
    environment = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(["bash", "-euc", show + block], capture_output=True, text=True, check=True, env=environment)
    return [command.rstrip("\0").split("\0") for command in done.stdout.split("\001\0") if command]


def run(words: list[str], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(words)
    said = capsys.readouterr()
    assert left.value.code == status, f"{' '.join(words)}: {said.err}"
    return said.out + said.err


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the root of the repository, with some of its speech."""
    (tmp_path / "benchmarks/speech").mkdir(parents=True)
    clips = sorted((ROOT / "benchmarks/speech").rglob("*.opus"))[:12]
    for i, clip in enumerate(clips):
        (tmp_path / f"benchmarks/speech/{i:02}.opus").symlink_to(clip)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_commands_run_and_the_stores_are_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = [c for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S) for c in commands(block)]
    ray = [c for c in blocks if "ray" in c]
    assert (len(blocks), len(ray)) == (9, 1)
    said = [run(words, capsys) for words in blocks if words not in ray]
    assert "hours of audio" in said[0]
    assert "all as written" in said[2]
    assert "5 items tokenized again, " in said[3]
    assert "all equal" in said[3]
    assert len(open_store("tokens/all")) == 12
    assert content(place / "tokens/merged") == content(place / "tokens/all")


def test_the_job_array_makes_its_parts(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [script] = re.findall(r"```bash\n(#!.*?)```", PAGE, flags=re.S)
    assert "#SBATCH --array=1-16\n" in script
    assert "PARTS=16\n" in script
    slurm = {"CORPUS": "benchmarks/speech", "OUT": "array", "SLURM_CPUS_PER_TASK": "1"}
    for task in ("1", "16"):
        [words] = commands(script, SLURM_ARRAY_TASK_ID=task, **slurm)
        run(words, capsys)
        assert open_store(f"array/part-{task}").part == f"{task}/16"
    [words] = commands(script, SLURM_ARRAY_TASK_ID="0", **slurm)
    assert "1 to N" in run(words, capsys, status=2)
    shifted = "codectok --shard $((SLURM_ARRAY_TASK_ID + 1))/$PARTS"
    assert shifted.removeprefix("codectok ") in PAGE
    assert commands(shifted, SLURM_ARRAY_TASK_ID="0", PARTS="16") == [["--shard", "1/16"]]


@pytest.mark.slow
def test_ray_says_and_does_the_same(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    blocks = [c for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S) for c in commands(block)]
    [spread] = [c for c in blocks if "ray" in c]
    said = run([*spread, "--workers", "2"], capsys)
    assert said.startswith("wrote tokens/ray")
    assert "INFO" not in said
    assert "Traceback" not in said
    local = next(c for c in blocks if "tokens/all" in c and "--dry-run" not in c)
    run(local, capsys)
    assert content(place / "tokens/ray") == content(place / "tokens/all")
    assert json.loads((place / "tokens/ray/stats.json").read_text())["run"]["workers"] >= 1
