"""Inputs: the grammar, what they give, and audio back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import codectok
from benchmarks.contract import RATE, NotComputed
from benchmarks.inputs import fitted_clips, open_input
from benchmarks.inputs.spec import CLASSES, Spec, choose_codebooks, parse_spec
from benchmarks.inputs.tokenizers import load_once
from codectok.errors import CodectokError, CodeRangeError, UnknownTokenizerError
from codectok.metrics.mel import log_mel
from codectok.shipped import ALIASES, SHIPPED


def clips(*lengths: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [0.1 * draw.standard_normal(n).astype(np.float32) for n in lengths]


@given(
    source=st.sampled_from(["speech", "km:/a/b@c", "a/b", "km:x", "facebook/encodec_24khz", "./folder.1"]),
    view=st.sampled_from(["", ":features", ":quantized"]),
    setting=st.sampled_from(["", "1.5", "k8", "300tok", "12.5tok", "low", "medium", "high", "24"]),
)
def test_specs_are_read_as_they_are_written(source, view, setting):
    if view == ":features":
        setting = ""
    if "@" in source and not setting:
        return
    spec = parse_spec(source + view + (f"@{setting}" if setting else ""))
    assert (spec.source, spec.view, spec.setting) == (source, view[1:] or "tokens", setting)
    assert "/" not in spec.name


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("speech@loud", "@loud is no setting"),
        ("speech@-1", "is no setting"),
        ("speech@k0", "is no setting"),
        ("@1.5", "names no tokenizer"),
        (":features", "names no tokenizer"),
        ("speech:features@1.5", "no bitrate"),
        ("logmel:features", "not a tokenizer"),
        ("logmel@80", "50 or 100"),
        ("original@1", "no setting"),
        ("opus", "give the kbit/s"),
        ("opus@k3", "give the kbit/s"),
    ],
)
def test_what_is_no_spec_says_why(text, words):
    with pytest.raises(CodectokError, match=words):
        open_input(text)


def test_what_cannot_be_opened_says_why():
    with pytest.raises(UnknownTokenizerError, match="no tokenizer 'spech'"):
        open_input("spech@1.5")
    with pytest.raises(CodeRangeError, match=r"at least 0\.25 kbit/s"):
        open_input("speech@0.1")
    with pytest.raises(CodeRangeError, match="24 codebooks"):
        open_input("speech@k25")
    with pytest.raises(CodectokError, match="at least 25 tokens per second"):
        open_input("speech@20tok")
    with pytest.raises(CodectokError, match="no quantized features"):
        open_input("random:quantized")
    with pytest.raises(NotComputed, match="no bitrate of class high"):
        open_input("speech@high")
    with pytest.raises(NotComputed, match="--folder whisper=DIR"):
        open_input("km:{whisper}")


def test_a_folder_is_named_not_shown(tmp_path):
    codectok.load("speech").save_pretrained(tmp_path / "mine")
    opened = open_input("{codec}@k2", folders={"codec": str(tmp_path / "mine")})
    assert (opened.info.spec, opened.info.tokenizer) == ("{codec}@k2", "codec")
    assert str(tmp_path) not in repr(opened.info)
    assert opened.info.fitted_on == "unknown"
    assert opened.info.fingerprint == codectok.load(tmp_path / "mine").fingerprint
    assert not fitted_clips(opened)


@settings(deadline=None)
@given(st.floats(0.25, 24), st.sampled_from(["", "tok", "k"]))
def test_settings_take_the_most_codebooks_that_fit(value, kind):
    tok = load_once("speech", "cpu")
    text = {"": f"{value:.3f}", "tok": f"{value * 100:.1f}tok", "k": f"k{max(1, int(value))}"}[kind]
    k = choose_codebooks(tok, Spec("", "speech", "speech", "tokens", text))
    amount = {"": tok.bitrate, "tok": lambda n: float(tok.frame_rate) * n, "k": float}[kind]
    limit = float(text.strip("tok")) * 1.001
    assert amount(k) <= limit
    assert k == 24 or amount(k + 1) > float(text.strip("tok"))


@pytest.mark.parametrize(("name", "k"), [("low", 6), ("medium", 24)])
def test_classes_are_dasbs(name, k):
    opened = open_input(f"speech@{name}")
    assert len(opened.info.codebook_sizes) == k
    assert CLASSES[name][0] <= opened.info.bitrate_kbps <= CLASSES[name][1]


@pytest.mark.parametrize("spec", ["speech@1.5", "units"])
def test_tokens_are_the_tokenizers(spec):
    opened, audio = open_input(spec), clips(1, 8000, 12345)
    tok, k = codectok.load(opened.info.tokenizer), len(opened.info.codebook_sizes)
    found = opened.extract(audio)
    for codes, clip in zip(found, audio, strict=True):
        assert codes.dtype == torch.int64
        assert torch.equal(codes, tok.encode(clip, RATE, num_codebooks=k).codes)
    assert opened.info.bitrate_kbps == tok.bitrate(k)
    assert opened.info.token_rate == float(tok.frame_rate) * k
    vectors = opened.vectors()
    assert vectors is not None
    assert all(torch.equal(v, tok.code_vectors(i)) for i, v in enumerate(vectors))


def test_random_codes_are_the_clips_own_and_tell_nothing():
    opened, audio = open_input("random@k3"), clips(1, 8000, 8000)
    audio[2] = audio[2][::-1].copy()
    one, two, three = opened.extract(audio)
    assert [x.shape for x in (one, two, three)] == [(3, 1), (3, 13), (3, 13)]
    assert not torch.equal(two, three)  # of one length, so that the length is not told
    assert torch.equal(two, opened.extract(audio[1:2])[0])
    assert torch.equal(two[:2], open_input("random@k2").extract(audio[1:2])[0])
    assert all(x.min() >= 0 and x.max() < opened.info.codebook_sizes[0] for x in (one, two, three))
    assert opened.vectors() is None


def test_views_have_the_frames_of_the_tokens():
    audio = clips(8000, 4321)
    tok = codectok.load("speech")
    codes, features, said = (open_input(s) for s in ("speech@k3", "speech:features", "speech:quantized@k3"))
    assert (codes.info.kind, features.info.kind, said.info.kind) == ("discrete", "continuous", "quantized")
    for c, f, q, clip in zip(*(i.extract(audio) for i in (codes, features, said)), audio, strict=True):
        assert len(f) == len(q) == c.shape[1]
        assert f.shape[1] == q.shape[1] == features.info.dim == said.info.dim == tok.feature_dim
        assert torch.equal(q, tok.quantized_features(tok.encode(clip, RATE, num_codebooks=3)))
    assert features.info.bitrate_kbps is None
    assert said.info.bitrate_kbps == codes.info.bitrate_kbps == 0.75


@pytest.mark.parametrize(("spec", "hop"), [("logmel", 160), ("logmel@100", 160), ("logmel@50", 320)])
def test_log_mel(spec, hop):
    opened, audio = open_input(spec), clips(16000, 1)
    found = opened.extract(audio)
    assert [f.shape for f in found] == [(16000 // hop + 1, 80), (1, 80)]
    wanted = log_mel(audio[0], RATE, 400, hop, 80, 8000.0) / 20
    assert np.abs(found[0].numpy() - wanted).max() < 1e-5
    assert opened.info.frame_rate == RATE // hop
    with pytest.raises(NotComputed):
        opened.to_audio(found, [16000, 1])


@pytest.mark.parametrize("spec", ["original", "pcm", "speech@1.5", "units", "random@1.5"])
def test_audio_comes_back_as_long_as_it_was(spec):
    opened, audio = open_input(spec), clips(1, 7999, 16000)
    found, kbps = opened.resynthesise(audio)
    assert [len(x) for x in found] == [1, 7999, 16000]
    assert all(x.dtype == np.float32 and np.isfinite(x).all() for x in found)
    assert kbps == opened.info.bitrate_kbps
    if spec in ("original", "pcm"):
        assert opened.info.kind == "audio"
        assert (
            max(np.abs(a - b).max() for a, b in zip(found, audio, strict=True))
            < (0 if spec == "original" else 0.02) + 1e-9
        )
        with pytest.raises(NotComputed, match="no probe reads samples"):
            opened.extract(audio)


def test_what_the_shipped_models_were_fitted_on_is_known():
    speech, units = open_input("speech"), open_input("units:features")
    assert "5594 clips" in speech.info.fitted_on
    assert fitted_clips(speech) == fitted_clips(units)
    assert len(fitted_clips(speech)) == 5594
    for name in (*SHIPPED, *ALIASES):
        assert fitted_clips(open_input(name)) == fitted_clips(speech)
    for spec in ("random", "logmel", "pcm", "original"):
        assert open_input(spec).info.fitted_on == "nothing"
