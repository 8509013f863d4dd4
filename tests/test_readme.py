"""What the README says, run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def test_python_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), names)
    tokens, wave, audio = names["tokens"], names["wave"], names["audio"]
    assert tokens.codes.shape[0] == 24  # type: ignore[attr-defined]
    assert wave.shape == audio.shape  # type: ignore[attr-defined]
    pieces = [names[n].codes.shape[1] for n in ("first", "rest", "last")]  # type: ignore[attr-defined]
    assert sum(pieces) == tokens.codes.shape[1]  # type: ignore[attr-defined]


def test_commands_run(tmp_path: Path) -> None:
    speech = sorted((ROOT / "benchmarks/speech").rglob("*.opus"))
    (tmp_path / "corpus").mkdir()
    for name, source in zip(("a.flac", "b.mp3", "corpus/c.opus"), speech, strict=False):
        if name.endswith(".opus"):
            (tmp_path / name).write_bytes(source.read_bytes())
        else:
            from codectok import read_audio, write_audio

            write_audio(tmp_path / name, *read_audio(source))
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    commands = [c for c in lines if c.startswith("codectok") and not c.startswith("codectok train")]
    assert len(commands) >= 5
    for command in commands:
        arguments = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "codectok", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert (tmp_path / "store/store.json").exists()


def test_links_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if not target.startswith(("http", "reference/")):  # the reference is made with the site
                assert (path.parent / target).exists(), f"{path.name} links to {target}"
