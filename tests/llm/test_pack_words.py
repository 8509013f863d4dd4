"""Alignments into packed sequences: words and speech in turns, words after their times; and the data set's card."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from codectok.llm.sequence.interleave import Word, interleave_by_words
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.store import open_store

from .test_pack_cli import PRINT, SIZES, make_store, run, sequences
from .text_tokenizers import with_audio

WORDS = {f"book0/u{i}": [("good", 0.1, 0.35), ("day", 0.4, 0.8), (f"n{i}", 0.9, 1.2)] for i in range(4)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tokenizer, vocab = with_audio("byte-level", SIZES, tokenizer_fingerprint=PRINT)
    (folder / "model").mkdir()
    tokenizer.save_pretrained(folder / "model")
    vocab.save(folder / "model")
    make_store(folder / "store", [20] * 4)
    lines = [f"{key} 1 {a} {b - a:.6f} {word}" for key, words in WORDS.items() for word, a, b in words]
    (folder / "words.ctm").write_text("\n".join(lines) + "\n")
    return folder


def test_words_take_turns_with_their_speech(home: Path, tmp_path: Path) -> None:
    result = run(home, tmp_path / "out", "--task", "interleaved", "--text", str(home / "words.ctm"), "--length", "400")
    assert result.exit_code == 0, result.output
    tokenizer, vocab = with_audio("byte-level", SIZES)
    store = open_store(home / "store")
    kinds = set()
    for key, (ids, labels) in sequences(tmp_path / "out").items():
        timed = [Word(*w) for w in WORDS[key]]
        runs = interleave_by_words(timed, 20, store.info.frame_rate, seed=zlib.crc32(key.encode()))
        wanted: list[int] = [tokenizer.bos_token_id]
        for piece in runs:
            kinds.add(piece.kind)
            if piece.kind == "text":
                text = " ".join(w.text for w in timed[piece.first : piece.last])
                wanted += tokenizer.encode(text, add_special_tokens=False)
            else:
                codes = store[key].codes[:, piece.start : piece.stop]
                audio = vocab.ids(codes).T.reshape(-1).tolist()
                wanted += [vocab.markers["begin"], *audio, vocab.markers["end"]]
        assert ids == [*wanted, tokenizer.eos_token_id]
        assert labels[1:] == ids[1:]
    assert kinds == {"text", "speech"}


def test_words_are_said_after_their_times(home: Path, tmp_path: Path) -> None:
    out, text = tmp_path / "out", ("--text", str(home / "words.ctm"), "--length", "400")
    result = run(home, out, "--task", "asr-times", *text, "--time-weight", "2")
    assert result.exit_code == 0, result.output
    tokenizer, vocab = with_audio("byte-level", SIZES)
    assert vocab.timestamps is not None
    for key, (ids, _) in sequences(out).items():
        said = ids[ids.index(vocab.markers["end"]) + 1 : -1]
        times = [t for id in said if (t := vocab.timestamps.seconds(id)) is not None]
        assert times == pytest.approx([*(start for _, start, _ in WORDS[key]), WORDS[key][-1][2]], abs=0.0101)
        words = tokenizer.decode([id for id in said if not vocab.owns(np.array([id]))[0]])
        assert words.split() == [word for word, _, _ in WORDS[key]]
    bare = run(home, tmp_path / "none", "--task", "asr-times", "--length", "400")
    assert bare.exit_code == 2
    assert "no word times" in bare.stderr


def test_the_card_says_what_is_in_it(home: Path, tmp_path: Path) -> None:
    result = run(home, tmp_path / "out", "--task", "asr", "--text", str(home / "words.ctm"), "--length", "400")
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out/README.md").read_text()
    card = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, flags=re.M))
    vocab = AudioVocab.load(home / "model")
    ids: list[int] = []
    for path in (tmp_path / "out/data").glob("*.parquet"):
        ids += [id for row in pq.read_table(path).to_pylist() for id in row["input_ids"]]
    own = int(vocab.owns(np.array(ids)).sum())
    assert card["sequences"] == "4"
    assert card["tokens"] == str(len(ids))
    assert card["share of audio"] == f"{4 * 20 * 4 / len(ids):.1%}"
    assert card["share of text"] == f"{1 - own / len(ids):.1%}"
    assert card["hours of audio"] == f"{4 * 20 / 12.5 / 3600:.4g}"
    assert card["tokens a second of audio"] == "50"
    assert card["items left out"] == "0"
    assert PRINT in text
    assert json.loads((tmp_path / "out/pack.json").read_text())["frame_rate"] == "25/2"
