"""Forced alignment against all paths, one by one; the command with a small random wav2vec 2.0."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import codectok
from codectok.cli.main import main
from codectok.corpus.align import CtcAligner
from codectok.corpus.forced import _torchaudio, forced_path, viterbi
from codectok.errors import FormatError
from codectok.testing import voice


def said(path: tuple[int, ...], blank: int) -> list[int]:
    """The text of a path of labels: repeats merged, blanks left out."""
    merged = [label for i, label in enumerate(path) if i == 0 or label != path[i - 1]]
    return [label for label in merged if label != blank]


def labels_of(places: list[int], targets: list[int], blank: int) -> tuple[int, ...]:
    return tuple(blank if place < 0 else targets[place] for place in places)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 6), st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 10**6))
def test_the_path_is_the_best_of_all(frames: int, targets: list[int], seed: int) -> None:
    log_probs = torch.randn(frames, 4, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    every = [path for path in itertools.product(range(4), repeat=frames) if said(path, 0) == targets]
    if not every:
        with pytest.raises(FormatError, match="do not fit"):
            forced_path(log_probs, targets, 0)
        return
    table = log_probs.double()
    best = max(sum(float(table[t, label]) for t, label in enumerate(path)) for path in every)
    for places in (viterbi(log_probs, targets, 0), forced_path(log_probs, targets, 0)):
        path = labels_of(places, targets, 0)
        assert said(path, 0) == targets
        assert [p for p, _ in itertools.groupby(p for p in places if p >= 0)] == list(range(len(targets)))
        assert sum(float(table[t, label]) for t, label in enumerate(path)) == pytest.approx(best, abs=1e-5)


@pytest.mark.skipif(not _torchaudio(), reason="torchaudio cannot be imported")
def test_torchaudio_gives_the_same_path() -> None:
    log_probs = torch.randn(60, 9, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    targets = [1, 1, 5, 3, 8, 8, 2]
    assert forced_path(log_probs, targets, 0) == viterbi(log_probs, targets, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tf = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("ctc") / "model"
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    path.mkdir()
    (path / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tf.Wav2Vec2CTCTokenizer(path / "vocab.json").save_pretrained(path)
    tf.Wav2Vec2FeatureExtractor(feature_size=1, sampling_rate=16000, do_normalize=True).save_pretrained(path)
    torch.manual_seed(0)
    config = tf.Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, pad_token_id=0,
    )  # fmt: skip
    made = tf.Wav2Vec2ForCTC(config)
    with torch.no_grad():
        made.lm_head.weight.mul_(30)  # so that letters depend on what is heard
    made.save_pretrained(path)
    return path


def test_words_are_where_the_best_path_has_their_letters(model: Path) -> None:
    aligner = CtcAligner(model)
    samples = voice(16000, 16000)
    words = aligner.align(samples, "Hello, 42 world it's")
    assert [word for word, _, _ in words] == ["Hello,", "42", "world", "it's"]
    assert words[1][1] == words[1][2] == words[0][2]  # no letter of it is known: it stands where the one before ends
    bounds = [time for _, start, end in words for time in (start, end)]
    assert bounds == sorted(bounds)
    assert bounds[-1] <= 1.0
    # By hand: letters and delimiters through the slow rule, frame by frame.
    import transformers as tf

    ctc = tf.Wav2Vec2ForCTC.from_pretrained(model).eval()
    inputs = tf.Wav2Vec2FeatureExtractor.from_pretrained(model)(samples, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        log_probs = ctc(inputs.input_values).logits[0].log_softmax(-1)
    vocab = json.loads((model / "vocab.json").read_text())
    text = "HELLO|WORLD|IT'S"
    places = viterbi(log_probs, [vocab[c] for c in text], 0)
    for word, i in (("Hello,", 0), ("world", 6), ("it's", 12)):
        inside = [t for t, place in enumerate(places) if i <= place < i + len(word.strip(","))]
        found = next(w for w in words if w[0] == word)
        assert found[1] == pytest.approx(inside[0] * 0.02)
        assert found[2] == pytest.approx((inside[-1] + 1) * 0.02)


def test_command(model: Path, tmp_path: Path) -> None:
    for i in range(2):
        codectok.write_audio(tmp_path / f"{i}.wav", voice(16000, 16000, i), 16000)
    codectok.write_audio(tmp_path / "short.wav", np.zeros(500, np.float32) + 0.01, 16000)
    (tmp_path / "a.csv").write_text(
        "id,path,text,speaker\na,0.wav,good day,x\nb,1.wav,,y\nc,short.wav,far too many letters for it,z\n"
    )
    arguments = ["corpus", "align", str(tmp_path / "a.csv"), "-o", str(tmp_path / "out/words.jsonl"), "--model"]
    done = CliRunner().invoke(main, [*arguments, str(model)])
    assert done.exit_code == 1, done.output
    assert "failed: b: it has no text" in done.stderr
    assert "failed: c: " in done.stderr
    (line,) = (tmp_path / "out/words.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["id"], entry["text"], entry["speaker"]) == ("a", "good day", "x")
    assert [w for w, _, _ in json.loads(entry["words"])] == ["good", "day"]
    from codectok.items.corpus import read_corpus

    (item,) = read_corpus(tmp_path / "out/words.jsonl")
    assert item.path == str(tmp_path / "0.wav")
    written = (tmp_path / "out/words.jsonl").read_bytes()
    (tmp_path / "a.csv").write_text("id,path,text\nb,1.wav,\n")
    nothing = CliRunner().invoke(main, [*arguments, str(model)])
    assert nothing.exit_code == 2
    assert "nothing could be aligned" in nothing.stderr
    assert (tmp_path / "out/words.jsonl").read_bytes() == written
    refused = CliRunner().invoke(main, [*arguments, str(tmp_path)])
    assert refused.exit_code == 2
    assert "no CTC model" in refused.stderr
