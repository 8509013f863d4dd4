"""Sound before the sequence ends: when the first of it comes, and that it is what the file has in the end."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

import codectok
from codectok.audio.live import LiveSound
from codectok.cli.llm_spoken import stream_answer
from codectok.llm.generate.events import AudioPiece
from codectok.llm.generate.stream_generation import generate_streams
from codectok.llm.heads.stream_model import StreamModel
from codectok.llm.model.folder import open_model
from codectok.llm.patterns import read_plan
from codectok.llm.vocab.audio_vocab import AudioVocab
from tests.commands import done, refused, run
from tests.llm.stream_work import BOOKS, extend

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extended model, and one of each plan with random heads."""
    root = tmp_path_factory.mktemp("live")
    extend(root)
    vocab = AudioVocab.load(root / "model")
    for name in ("delay", "depth", "grouped", "valle"):
        plan = read_plan(name, vocab.codebook_sizes)
        assert plan is not None
        torch.manual_seed(0)
        (root / name).mkdir()
        StreamModel(open_model(root / "model"), vocab, plan, 32, 1).save_pretrained(root / name)
        for file in (root / "model").iterdir():
            if not (root / name / file.name).exists():
                (root / name / file.name).write_bytes(file.read_bytes())
    return root


SAY = ("--max-seconds", 0.4, "--temperature", 1, "--seed", 2)


@pytest.mark.parametrize(("name", "steps"), [("depth", 1), ("delay", BOOKS), ("grouped", 1)])
def test_the_first_sound_comes_after_the_first_frame(work: Path, name: str, steps: int, monkeypatch: Any) -> None:
    from codectok.llm.heads.stream_folder import open_streams

    model, tok = open_streams(work / name, AudioVocab.load(work / "model")), codectok.load("speech")
    count, said = 0, model.heads.draw

    def counted(*arguments: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        return said(*arguments)

    monkeypatch.setattr(model.heads, "draw", counted)
    events = generate_streams(model, None, [5, 9], tok=tok, min_frames=12, max_frames=12, chunk_seconds=0)
    first = next(event for event in events if isinstance(event, AudioPiece) and event.samples is not None)
    assert first.samples is not None
    assert len(first.samples) > 0
    assert count == steps
    pieces = [first, *(event for event in events if isinstance(event, AudioPiece))]
    assert count == model.plan.pattern.length(12, BOOKS)
    codes = torch.cat([piece.codes for piece in pieces], 1)
    whole = tok.decode(tok.tokens(codes, int(12 * tok.sample_rate / tok.frame_rate)))
    joined = np.concatenate([piece.samples for piece in pieces if piece.samples is not None])
    np.testing.assert_allclose(joined, whole, atol=1e-5)


@pytest.mark.parametrize("name", ["delay", "depth", "grouped"])
def test_streamed_files_are_those_written_whole(work: Path, tmp_path: Path, name: str) -> None:
    command = ("llm", "generate", work / name, *SAY)
    done(*command, "-o", tmp_path / "whole.wav")
    told = done(*command, "--stream", "-o", tmp_path / "live.wav")
    assert "; first sound after " in told
    whole, rate = soundfile.read(tmp_path / "whole.wav", dtype="int16")
    live, live_rate = soundfile.read(tmp_path / "live.wav", dtype="int16")
    assert rate == live_rate == 16000
    assert len(live) == len(whole)
    assert abs(live.astype(int) - whole).max() <= 1  # rounding of samples within 1e-5
    done(*command, "--stream", "-o", tmp_path / "live.pcm")
    assert (tmp_path / "live.pcm").read_bytes() == live.astype("<i2").tobytes()
    result = run(*command, "--stream", "-o", "-")
    assert result.exit_code == 0
    assert "wrote stdout" in result.stderr
    assert result.stdout_bytes[:4] == b"RIFF"
    assert result.stdout_bytes[44:] == live.astype("<i2").tobytes()
    done(*command, "-o", tmp_path / "whole.ctk")
    tok, tokens = codectok.load("speech"), codectok.Tokens.load(tmp_path / "whole.ctk")
    assert tokens.codes.shape[0] == BOOKS
    assert abs(tok.decode(tokens) - whole / 32768).max() < 1e-4


def test_a_file_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    """Each piece is there as soon as it is said, and a stop in the middle leaves a whole file of what was said."""
    piece = np.full(800, 0.25, np.float32)

    def events() -> Any:
        yield AudioPiece(torch.zeros(1, 1), piece, 16000, False)
        assert len(codectok.read_audio(tmp_path / "a.wav")[0]) == 800
        yield AudioPiece(torch.zeros(1, 1), piece, 16000, False)
        assert len(soundfile.read(tmp_path / "a.wav")[0]) == 1600
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stream_answer(events(), tmp_path / "a.wav")
    assert soundfile.info(tmp_path / "a.wav").frames == 1600
    assert (tmp_path / "a.wav").stat().st_size == 44 + 3200


def test_a_pipe_has_no_sizes() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe, file = Pipe(), io.BytesIO()
    for target in (pipe, file):
        with LiveSound(target, 24000) as live:
            live.write(np.zeros(5, np.float32))
    assert pipe.getvalue()[4:8] == b"\xff" * 4 == pipe.getvalue()[40:44]
    assert file.getvalue()[40:44] == (10).to_bytes(4, "little")
    assert pipe.getvalue()[44:] == file.getvalue()[44:]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("valle", ["--stream", "-o", "a.wav"], "says all frames at the end"),
        ("delay", ["--stream"], "say where to"),
        ("delay", ["--stream", "-o", "a.ctk"], "--stream writes a .wav"),
        ("delay", ["-o", "-"], "give --stream with it"),
        ("delay", ["-o", "a.mp3"], "ends in .wav"),
    ],
)
def test_what_cannot_be_streamed_is_one_line(work: Path, name: str, options: list[str], message: str) -> None:
    result = run("llm", "generate", work / name, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_model_of_one_stream_streams_too(work: Path, tmp_path: Path) -> None:
    command = ("llm", "generate", work / "model", *SAY, "--max-tokens", 60)
    done(*command, "-o", tmp_path / "whole.wav")
    done(*command, "--stream", "-o", tmp_path / "live.wav")
    whole, live = (soundfile.read(tmp_path / f"{n}.wav", dtype="int16")[0].astype(int) for n in ("whole", "live"))
    assert len(whole) == len(live) > 0
    assert abs(whole - live).max() <= 1


def test_a_folder_is_not_streamed(work: Path, tmp_path: Path) -> None:
    assert "one prompt" in run("llm", "generate", work / "model", "--audio", tmp_path, "--stream", "-o", "x").stderr
    assert refused("llm", "generate", work / "valle", "--stream", "-o", tmp_path / "a.wav")
