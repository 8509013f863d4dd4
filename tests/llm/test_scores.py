"""Scores of spoken language models, against a slow reference: one prefix at a time, in double precision."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from codectok.cli.main import main
from codectok.controls import PcmTokenizer
from codectok.errors import CodectokError, FormatError
from codectok.llm.model.folder import open_model, open_text_tokenizer
from codectok.llm.scores.continuations import TextScore, continue_speech, score_text
from codectok.llm.scores.likelihood import SpeechLM
from codectok.llm.scores.pairs import SpokenPair, read_pairs, score_pair
from codectok.llm.scores.report import Scores
from codectok.llm.scores.seconds import score_seconds
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.metrics.judge import WhisperJudge
from codectok.tokens import Tokens
from tests.llm.tiny_models import folder

pytest.importorskip("transformers")


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["llm", *map(str, arguments)])


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scores")
    folder(path / "text", "llama")
    done = run("extend", path / "text", "-o", path / "out", "--tokenizer", "pcm", "--init", "normal")
    assert done.exit_code == 0, done.output
    return path / "out"


@pytest.fixture(scope="module")
def lm(extended: Path) -> SpeechLM:
    return SpeechLM(open_model(extended), open_text_tokenizer(extended), AudioVocab.load(extended), PcmTokenizer())


def clip(path: Path, seed: int, samples: int = 60) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).uniform(-0.5, 0.5, samples), 16000)
    return path


def slow(lm: SpeechLM, tokens: Tokens) -> list[float]:
    """Log probability of each audio id, by a softmax over the whole vocabulary after each prefix."""
    vocab = lm.vocab
    ids = [lm.text_tokenizer.bos_token_id, vocab.markers["begin"], *vocab.flatten(vocab.ids(tokens.codes)).tolist()]
    found = []
    for i in range(2, len(ids)):
        with torch.no_grad():
            logits = lm.model(torch.tensor([ids[:i]])).logits[0, -1].double()
        top = max(logits.tolist())
        found.append(float(logits[ids[i]]) - top - math.log(sum(math.exp(x - top) for x in logits.tolist())))
    return found


def test_log_probs_equal_the_slow_reference(lm: SpeechLM, tmp_path: Path) -> None:
    tokens = lm.encode(clip(tmp_path / "a.wav", 1))
    wanted = slow(lm, tokens)
    assert lm.of_speech(tokens).flatten().tolist() == pytest.approx(wanted, abs=1e-4)
    assert lm.of_speech(tokens[50:60], tokens[:50]).tolist() == pytest.approx(wanted[50:], abs=1e-4)
    with pytest.raises(FormatError, match="nothing to score"):
        lm.of_speech(tokens[0:0], tokens)


def test_pairs_equal_the_slow_reference(lm: SpeechLM, tmp_path: Path) -> None:
    outcomes = []
    for seed in range(6):
        good, bad = clip(tmp_path / f"{seed}g.wav", seed, 40), clip(tmp_path / f"{seed}b.wav", 100 + seed, 44)
        a, b = slow(lm, lm.encode(good)), slow(lm, lm.encode(bad))
        score = score_pair(lm, SpokenPair("x", good, bad))
        assert score.total == float(sum(a) > sum(b))
        assert score.mean == float(sum(a) / len(a) > sum(b) / len(b))
        turned = score_pair(lm, SpokenPair("x", bad, good))
        assert (turned.total, turned.mean) == (1 - score.total, 1 - score.mean)
        outcomes.append(score.mean)
    assert 0 < sum(outcomes) < 6  # neither always right nor always wrong: the comparison is seen
    same = score_pair(lm, SpokenPair("x", good, good))
    assert (same.total, same.mean) == (0.5, 0.5)


def test_endings_are_scored_after_their_context(lm: SpeechLM, tmp_path: Path) -> None:
    context, good, bad = (clip(tmp_path / f"{name}.wav", i, 30) for i, name in enumerate(("c", "g", "b")))
    both = [slow(lm, Tokens.cat([lm.encode(context), lm.encode(end)]))[30:] for end in (good, bad)]
    score = score_pair(lm, SpokenPair("x", good, bad, context))
    assert score.total == float(sum(both[0]) > sum(both[1]))


def test_bits_a_second_do_not_depend_on_how_it_is_cut(lm: SpeechLM, tmp_path: Path) -> None:
    tokens = lm.encode(clip(tmp_path / "a.wav", 3, 100))
    score = score_seconds(lm, tokens)
    nats = -sum(slow(lm, tokens))
    assert score.nats == pytest.approx(nats, rel=1e-5)
    assert score.bits_per_second == pytest.approx(nats / math.log(2) / (100 / 16000), rel=1e-5)
    assert score.perplexity == pytest.approx(math.exp(nats / 100), rel=1e-5)
    assert score.by_second == pytest.approx([nats], rel=1e-5)
    twice = score + score
    assert twice.bits_per_second == pytest.approx(score.bits_per_second)
    assert twice.tokens == 200
    # Longer than the model's 256 positions: in windows that do not know each other, each after its own beginning.
    long = lm.encode(clip(tmp_path / "b.wav", 4, 300))
    wanted = sum(slow(lm, long[:254])) + sum(slow(lm, long[254:]))
    assert score_seconds(lm, long).nats == pytest.approx(-wanted, rel=1e-5)
    with pytest.raises(FormatError, match="positions"):
        lm.of_speech(long)


def test_seconds_are_told_one_by_one(lm: SpeechLM) -> None:
    """At a rate of 40 frames a second: 2.5 s of audio in 100 tokens."""
    tokens = PcmTokenizer().tokens(torch.arange(100)[None], 100)
    slowly = replace(tokens, sample_rate=40, frame_rate=tokens.frame_rate / 400)
    score = score_seconds(lm, slowly)
    wanted = [-x for x in slow(lm, tokens)]
    assert score.seconds == 2.5
    assert score.by_second == pytest.approx([sum(wanted[:40]), sum(wanted[40:80]), sum(wanted[80:])], rel=1e-4)
    assert score.heard == (1.0, 1.0, 0.5)


def test_texts_equal_the_slow_reference(lm: SpeechLM) -> None:
    text = "the fox and the fox and the dog"
    ids = [lm.text_tokenizer.bos_token_id, *lm.text_tokenizer(text, add_special_tokens=False)["input_ids"]]
    with torch.no_grad():
        wanted = sum(float(-lm.model(torch.tensor([ids[:i]])).logits[0, -1].double().log_softmax(-1)[ids[i]])
                     for i in range(1, len(ids)))  # fmt: skip
    score = score_text(lm.model, lm.text_tokenizer, text)
    assert score.nats == pytest.approx(wanted, rel=1e-5)
    assert score.tokens == len(ids) - 1
    assert score.auto_bleu_2 == 6 / 7  # the fox, fox and, and the, twice each; the dog once
    assert TextScore().perplexity is None


def test_continuations_are_new_speech(lm: SpeechLM, tmp_path: Path) -> None:
    prompt = lm.encode(clip(tmp_path / "a.wav", 5, 40))
    said = continue_speech(lm, prompt, 50 / 16000, do_sample=True, seed=1)
    assert 1 <= len(said) <= 50
    again = continue_speech(lm, prompt, 50 / 16000, do_sample=True, seed=1)
    assert np.array_equal(said, again)


def test_continuations_are_heard_and_judged(lm: SpeechLM, tmp_path: Path) -> None:
    class Ear:
        """Hears how much there is."""

        def transcribe(self, clips: Any, rate: int, languages: Any) -> list[str]:
            assert (rate, languages, len(clips)) == (16000, ["en"], 1)
            return ["the fox " * len(clips[0])]

    paths = [clip(tmp_path / f"{i}.wav", i, 60) for i in range(2)]
    scores, ear = Scores(), cast("WhisperJudge", Ear())
    draw = {"do_sample": True, "seed": 2}
    limits = {"prompt_seconds": 40 / 16000, "max_seconds": 5 / 16000}
    clips = [*paths, tmp_path / "no.wav"]
    judges = ear, (lm.model, lm.text_tokenizer)
    scores.continuations(lm, clips, *judges, lambda: None, language="en", **limits, **draw)
    said = [continue_speech(lm, lm.encode(path)[:40], 5 / 16000, do_sample=True, seed=2) for path in paths]
    assert scores.more["continuations"] == {str(p): "the fox " * len(s) for p, s in zip(paths, said, strict=True)}
    judged = [score_text(lm.model, lm.text_tokenizer, "the fox " * len(s)) for s in said]
    assert scores.rows[0]["value"] == (judged[0] + judged[1]).perplexity
    assert scores.rows[0]["items"] == 2
    assert [item for item, _ in scores.failed] == [str(tmp_path / "no.wav")]


def test_command(extended: Path, lm: SpeechLM, tmp_path: Path) -> None:
    rows = ["id\tgood\tbad\tgroup"]
    for i in range(4):
        clip(tmp_path / f"{i}g.wav", i, 40)
        clip(tmp_path / f"{i}b.wav", 50 + i, 44)
        rows.append(f"p{i}\t{i}g.wav\t{i}b.wav\t{'ab'[i % 2]}")
    (tmp_path / "swuggy.tsv").write_text("\n".join(rows) + "\n")
    clip(tmp_path / "clips/a.wav", 7, 100)
    done = run("score", extended, "--pairs", tmp_path / "swuggy.tsv", "--audio", tmp_path / "clips", "--tokenizer",
               "pcm", "-o", tmp_path / "scores.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    scores = {row["measure"]: row for row in json.loads((tmp_path / "scores.json").read_text())["scores"]}
    wanted = [score_pair(lm, pair) for pair in read_pairs(tmp_path / "swuggy.tsv")]
    assert scores["swuggy: accuracy, mean token"]["value"] == np.mean([s.mean for s in wanted])
    assert scores["swuggy: accuracy, mean token"]["items"] == 4
    assert scores["swuggy a: accuracy, whole"]["value"] == np.mean([s.total for s in wanted[::2]])
    assert scores["tokens a second"]["value"] == 16000
    assert "swuggy b: accuracy, whole" in done.stdout
    (tmp_path / "2b.wav").unlink()
    part = run("score", extended, "--pairs", tmp_path / "swuggy.tsv", "--tokenizer", "pcm", "--json")
    assert part.exit_code == 1
    assert "failed: p2: " in part.stderr
    assert json.loads(part.stdout)["scores"][0]["items"] == 3


def test_merged_units_cost_what_they_are_in_a_second(extended: Path, tmp_path: Path) -> None:
    """Runs of equal frames are one id: fewer tokens, over as many seconds as before."""
    done = run("extend", extended.parent / "text", "-o", tmp_path / "merged", "--tokenizer", "pcm", "--dedup")
    assert done.exit_code == 0, done.output
    vocab = AudioVocab.load(tmp_path / "merged")
    lm = SpeechLM(open_model(tmp_path / "merged"), open_text_tokenizer(tmp_path / "merged"), vocab, PcmTokenizer())
    tokens = PcmTokenizer().tokens((torch.arange(90) // 3)[None], 90)
    score = score_seconds(lm, tokens)
    merged = replace(tokens, codes=tokens.codes[:, ::3], num_samples=30)
    assert score.tokens == 30
    assert score.seconds == 90 / 16000
    assert score.by_second == ()
    frames = SpeechLM(lm.model, lm.text_tokenizer, replace(vocab, transform=None), lm.tok)
    assert score.nats == pytest.approx(-sum(slow(frames, merged)), rel=1e-5)


def test_refusals(extended: Path, tmp_path: Path) -> None:
    assert "nothing to score" in run("score", extended).stderr
    assert "go together" in run("score", extended, "--continue", tmp_path).stderr
    for text, reason in (("good,worse\na,b\n", "bad"), ("good,bad\na,\n", "lacks"), ("good,bad\n", "no pairs")):
        (tmp_path / "x.csv").write_text(text)
        with pytest.raises(CodectokError, match=reason):
            read_pairs(tmp_path / "x.csv")
