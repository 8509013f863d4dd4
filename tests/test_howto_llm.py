"""What docs/llm.md says, run: the how-to in its small form, its long form on a few clips, the pieces of Python."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from codectok.cli.main import main
from codectok.metrics.intelligibility import word_edits

for _package in ("transformers", "datasets", "accelerate", "jiwer"):
    pytest.importorskip(_package)
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/llm.md").read_text(encoding="utf-8")
CLIP = "benchmarks/speech/allison/0419-vm-rec-name.opus"
WORDS = "After the tone say your name and then press the pound key."


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.S)


SMALL, LISTEN, LONG, MERGED, STREAMS, HEARS = blocks("sh")


def commands(block: str, **variables: str) -> list[list[str]]:
    """The commands of a block as bash reads them: words, quotes and variables resolved, nothing run."""
    shown = "{ printf '%s\\0' \"$FUNCNAME\" \"$@\"; printf '\\001\\0'; }\n"
    show = f"codectok() {shown} python() {shown}"
    done = subprocess.run(["bash", "-euc", show + block], capture_output=True, text=True, check=True, env=variables)
    return [command.rstrip("\0").split("\0") for command in done.stdout.split("\001\0") if command]


def run(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run one command in this process; what it printed."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)  # one precision a process otherwise
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(words[1:]) if words[0] == "codectok" else module(*words)
    said = capsys.readouterr()
    assert left.value.code == 0, f"{' '.join(words)}: {said.err}"
    return said.out


def module(python: str, option: str, name: str, *arguments: str) -> None:
    assert (python, option) == ("python", "-m")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        runpy.run_module(name, run_name="__main__")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices and a busy machine: threads that wait for each other take several times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that looks like the root of the repository and is not."""
    folder = tmp_path_factory.mktemp("howto")
    for name in ("benchmarks", "codectok"):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.fixture
def small(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The small form up to its trained model, once."""
    monkeypatch.chdir(place)
    if not (place / "tiny/model").exists():
        said = [run(words, capsys) for words in commands(SMALL)]
        assert "wrote tiny/known.tsv, 4 prompts" in said[0]
        assert "all rules kept" in said[4]
    return place


def test_the_whole_walk_is_short() -> None:
    """From clips to sound in under 20 lines: tokens, a model for them, three tasks, training, generation."""
    lines = (SMALL + LISTEN).splitlines()
    assert len(lines) < 20
    tasks = re.findall(r"--task (\w+) --", SMALL)
    assert tasks == ["asr", "tts", "interleaved"]


def test_it_hears_and_speaks(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listen, speak, again, score = commands(LISTEN)
    assert CLIP in listen
    assert run(listen, capsys).strip() == WORDS
    seconds = float(re.findall(r"wrote tiny/said.wav, ([\d.]+) s", run(speak, capsys))[0])
    samples, rate = soundfile.read(small / "tiny/said.wav")
    assert rate == 16000
    assert seconds == pytest.approx(len(samples) / rate, abs=0.01)
    recording = soundfile.info(CLIP)  # 4.3 s; 8 s is where speech is cut
    assert abs(len(samples) - recording.frames) <= 320  # a frame of units
    assert abs(samples).max() > 0.01
    edits = word_edits(WORDS, run(again, capsys))
    assert edits.total <= edits.length / 2
    table = [line.split() for line in run(score, capsys).splitlines()]
    own, other = (next(cells for cells in table if cells[:1] == [name]) for name in ("own", "other"))
    assert float(own[1]) < 20
    assert float(own[-1]) >= 75  # without error, %
    assert float(other[1]) > 60
    assert float(other[-1]) == 0


def test_merged_units_speak(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [run(words, capsys) for words in commands(MERGED)]
    seconds = float(re.findall(r"wrote tiny/bpe-said.wav, ([\d.]+) s", said[-1])[0])
    assert 2 < seconds < 7
    import codectok
    from codectok.llm.vocab.audio_vocab import AudioVocab
    from codectok.store import open_store

    vocab, tok = AudioVocab.load("tiny/bpe-model"), codectok.load("units")
    assert vocab == AudioVocab.load("tiny/bpe-extended")
    for _, tokens in open_store("tiny/merged"):
        ids = vocab.flatten(vocab.ids(tokens))
        assert len(ids) < tokens.codes.shape[1] < tokens.num_frames
        assert tokens.durations is not None
        assert vocab.to_tokens(ids, tok, tokens.durations.numpy()).codes.equal(tokens.expand().codes)


def test_several_streams_speak(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = [run(words, capsys) for words in commands(STREAMS)]
    assert "wrote tiny/delay-said.wav, 4.32 s" in said[-2]  # as long as the recording, in frames of 40 ms
    first, last = map(float, re.findall(r"first sound after ([\d.]+) s, all after ([\d.]+) s", said[-1])[0])
    assert first < last / 3
    samples, rate = soundfile.read(small / "tiny/delay-said.wav")
    from codectok import load
    from codectok.store import open_store

    known = next(tokens for key, tokens in open_store("tiny/codes") if "vm-rec-name" in key)
    decoded = load("speech").decode(known)[: len(samples)]
    assert rate == 16000
    assert abs(samples[: len(decoded)] - decoded).max() < 1e-3  # it is the recording, code for code
    assert abs(soundfile.read(small / "tiny/delay-live.wav")[0] - samples).max() < 1e-4


def test_features_in_place_of_tokens(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, listen, train_codes, listen_codes = commands(HEARS)
    run(train, capsys)
    assert run(listen, capsys).strip() == WORDS
    run(train_codes, capsys)
    answers = dict(line.split("\t") for line in run(listen_codes, capsys).splitlines())
    assert answers[CLIP] == WORDS


def test_python_runs(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "llm.md", "exec"), names)
    assert (names["codes"] == names["tokens"].codes).all()
    assert names["report"].clean
    assert not names["vocab"].owns(names["hostile"].ids.numpy()).any()
    assert names["logits"].shape[:2] == (1, 3 + -(-names["features"].shape[1] // 5))
    text = "".join(re.findall(r"TextPiece\(text=(?:'|\")(.*?)(?:'|\")\)", capsys.readouterr().out))
    assert text == WORDS


def test_the_long_form_runs(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Its commands, on the four clips: two known, two held out, three steps of training."""
    monkeypatch.chdir(place)
    lines = (ROOT / "benchmarks/speech/manifest.tsv").read_text(encoding="utf-8").splitlines()
    clips = [line.split("\t") for line in lines[1:] if "\ten-US\t" in line]
    speech = place / "speech"
    speech.mkdir()
    (speech / "allison").symlink_to(ROOT / "benchmarks/speech/allison")
    rows = [f"{c[0]}\tallison\ten-US\t{c[3]}\n" for c in clips]
    (speech / "manifest.tsv").write_text("path\tspeaker\tlanguage\ttranscript\n" + "".join(rows), encoding="utf-8")
    uses = [f"{c[0]}\t{use}\n" for c, use in zip(clips, ("fit", "mini-test") * 2, strict=True)]
    (speech / "splits.tsv").write_text("path\tuse\n" + "".join(uses), encoding="utf-8")
    splits = "codectok/pretrained/speech/splits.tsv"
    assert (ROOT / splits).exists()
    block = re.sub("steps: [0-9]+", "steps: 3", LONG.replace(splits, "$SPEECH/splits.tsv"))
    said = [run(words, capsys) for words in commands(block, SPEECH=str(speech))]
    assert "wrote long/held-out.tsv, 2 prompts" in said[1]
    assert "2 prompts of long/held-out.tsv" in said[-1]


def test_stages_of_the_page_are_settings(tmp_path: Path) -> None:
    from codectok.llm.training import read_settings

    (yaml,) = blocks("yaml")
    (tmp_path / "stages.yaml").write_text(yaml)
    stages = read_settings([str(tmp_path / "stages.yaml")]).stages
    assert [stage.trainable for stage in stages] == ["new-rows", "lora+new-rows", "all"]


def test_presets_and_tasks_of_the_page_are_all() -> None:
    from codectok.llm.sequence.task_table import CHAT, TASKS
    from codectok.llm.vocab.presets import PRESETS

    listed = re.search(r"Presets \(`--preset`\): `(.*?)`", PAGE, flags=re.S)
    assert listed is not None
    assert set(listed[1].split()) == set(PRESETS)
    table = PAGE.partition("| task | given | said |")[2].partition("\n\n")[0]
    first = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert {name for cell in first for name in re.findall("`(.*?)`", cell)} == {*TASKS, CHAT}
