"""Unit tokenizers: batches, prefixes, frame counts, only what is asked for, fingerprints, decoding, the contract."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from codectok import CodectokError, CodeRangeError
from codectok.testing import CLAUSES, voice
from codectok.units import load_encoder
from codectok.units.kmeans.tokenizer import UnitTokenizer
from codectok.units.kmeans.unit_stream import UnitStream
from tests.contract.subjects import unit_streams
from tests.units.conftest import MAKERS
from tests.units.unit_subject import made

RATE = 16000


@pytest.fixture(scope="module")
def tok(folders: dict[str, Path]) -> UnitTokenizer:
    return made(folders["hubert-base"])


@pytest.mark.parametrize("name", MAKERS)
def test_eight_unequal_lengths_are_exactly_those_alone(folders: dict[str, Path], name: str) -> None:
    tok = made(folders[name], window_seconds=2.0, overlap_seconds=0.5)
    clips = [voice(n, RATE, n) * 0.3 for n in (1, 16000, 401, 9000, 40000, 333, 15999, 5120)]
    alone = [tok.encode(clip, RATE) for clip in clips]
    assert [t.num_frames for t in alone] == [tok.num_frames(len(c)) for c in clips]
    assert all(len(row.unique()) > 12 for row in alone[4].codes)
    for seconds in (0.0, 60.0):  # one by one, and padded to each other where the family allows it
        tok.encoder.batch_seconds = seconds
        assert tok.encode_batch(clips, RATE) == alone


@pytest.mark.parametrize("padding", ["hop", "none"])
def test_frames_follow_the_encoders_formula(folders: dict[str, Path], padding: str) -> None:
    tok = made(folders["wavlm-base"], (1,), padding=padding)
    assert (tok.sample_rate, tok.frame_rate) == (RATE, Fraction(50))
    for n in (1, 399, 400, 401, 719, 720, 721, 6400, 6401):
        frames = -(-n // 320) if padding == "hop" else max(1, (n - 400) // 320 + 1)
        assert tok.num_frames(n) == frames == tok.encode(voice(n, RATE), RATE).num_frames
        assert tok.features(voice(n, RATE), RATE).shape == (frames, tok.feature_dim)


def test_long_clips_never_hold_all_their_features(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    tok = made(folders["wavlm-base"], window_seconds=0.5, overlap_seconds=0.1)
    audio, seen = voice(40000, RATE), []
    expected = tok.units(tok.features(audio, RATE))
    units = tok.units
    monkeypatch.setattr(tok, "units", lambda f, k=None: (seen.append(len(f)), units(f, k))[1])
    assert torch.equal(tok.encode(audio, RATE).codes, expected)
    assert len(seen) > 4
    assert max(seen) <= tok.encoder.window_frames


def test_codes_are_those_of_the_streams_and_features_the_encoders(tok: UnitTokenizer) -> None:
    audio = voice(12345, RATE)
    features, codes = tok.features(audio, RATE), tok.encode(audio, RATE).codes
    assert torch.equal(features, tok.encoder.features(audio))
    assert tok.codebook_sizes == (60, 50, 40, 40)
    assert torch.equal(codes, torch.cat([s.encode(f) for s, f in zip(tok.streams, features.split(16, 1), strict=True)]))
    assert torch.equal(tok.units(features), codes)
    assert torch.equal(tok.units(features, 3), codes[:3])
    with pytest.raises(CodectokError, match=r"\[T, 32\]"):
        tok.units(features[:, :16])


def test_streams_that_are_not_asked_for_are_not_computed(tok: UnitTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    audio, asked = voice(5000, RATE), []

    def spy(self: Any, features: Tensor, count: int) -> Any:
        asked.append((self, count))
        return original[type(self)](self, features, count)

    original = {type(s): type(s)._encode for s in tok.streams}
    for kind in original:
        monkeypatch.setattr(kind, "_encode", spy)
    tok.encode(audio, RATE, num_codebooks=1)
    assert asked == [(tok.streams[0], 1)]


def test_the_first_codebooks_alone_need_a_shorter_encoder(tok: UnitTokenizer) -> None:
    audio = voice(9000, RATE)
    whole = tok.encode(audio, RATE)
    for k in (1, 2, 3, 4):
        part = tok.first(k)
        found = part.encode(audio, RATE)
        assert found == whole.first(k)
        assert part.encoder.layers == ((1,) if k < 3 else (1, 3))
        tok.check(found)
        with pytest.raises(CodeRangeError):
            part.encode(audio, RATE, num_codebooks=k + 1)
    parameters = [sum(p.numel() for p in t.model.parameters()) for t in (tok.first(2), tok)]
    assert parameters[0] < parameters[1]
    assert [s.layer_index for s in tok.streams] == [0, 1]
    turned = UnitTokenizer(tok.encoder, tok.streams[::-1], "turned")
    assert turned.first(2).encoder.layers == (3,)
    assert turned.first(2).encode(audio, RATE) == turned.encode(audio, RATE).first(2)
    with pytest.raises(CodectokError, match="part of the tokenizer"):
        tok.first(2).save_pretrained("/nowhere")
    with pytest.raises(CodeRangeError):
        tok.first(5)


def test_portions_of_a_batch_leave_the_order_alone(tok: UnitTokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = [voice(n, RATE, n) for n in (7000, 300, 16000, 8000, 100)]
    expected = tok.encode_batch(clips, RATE)
    sizes = []
    batch = tok.encoder.features_batch
    monkeypatch.setattr("codectok.units.kmeans.tokenizer.PORTION_SECONDS", 0.6)
    monkeypatch.setattr(tok.encoder, "features_batch", lambda xs: sizes.append([len(x) for x in xs]) or batch(xs))
    assert tok.encode_batch(clips, RATE) == expected
    assert sizes == [[100, 300, 7000], [8000], [16000]]


def test_the_fingerprint_is_of_encoder_and_streams(tok: UnitTokenizer) -> None:
    assert UnitTokenizer(tok.encoder, tok.streams, "another name").fingerprint == tok.fingerprint
    (residual, grouped) = tok.streams
    assert isinstance(residual, UnitStream)
    moved = [c.clone() for c in residual.centroids]
    moved[1][3, 3] += 1e-3
    others = [
        [UnitStream(0, moved, residual.mean, residual.scale), grouped],
        [UnitStream(1, residual.centroids, residual.mean, residual.scale), grouped],
        [UnitStream(0, residual.centroids), grouped],
        [grouped, residual],
        [residual],
    ]
    prints = {UnitTokenizer(tok.encoder, streams, "").fingerprint for streams in others}
    assert len(prints | {tok.fingerprint}) == 6
    longer = load_encoder(tok.encoder.name_or_path, [1, 3], window_seconds=30.0)
    assert UnitTokenizer(longer, tok.streams, "").fingerprint not in prints | {tok.fingerprint}


@pytest.mark.parametrize(
    ("stream", "match"),
    [(UnitStream(0, [torch.zeros(5, 8)]), "width 8"), (UnitStream(2, [torch.zeros(5, 16)]), "layer_index 2")],
)
def test_streams_that_do_not_fit_the_encoder_are_refused(tok: UnitTokenizer, stream: UnitStream, match: str) -> None:
    with pytest.raises(CodectokError, match=match):
        UnitTokenizer(tok.encoder, [stream], "x")
    with pytest.raises(CodectokError, match="at least one"):
        UnitTokenizer(tok.encoder, [], "x")


class Hum:
    """A vocoder that needs no training."""

    def decode(self, codes: Tensor, num_samples: int) -> np.ndarray:
        wave = np.repeat(codes.float().mean(0).numpy() / 100, 320)[:num_samples]
        return np.pad(wave, (0, num_samples - len(wave)))


def test_a_vocoder_decodes(tok: UnitTokenizer) -> None:
    tokens = tok.encode(voice(5000, RATE), RATE)
    with pytest.raises(CodectokError, match="has no vocoder; train_codec can train one"):
        tok.decode(tokens)
    spoken = UnitTokenizer(tok.encoder, tok.streams, "spoken", vocoder=Hum())
    assert spoken.can_decode
    assert spoken.decode(tokens.dedup()).shape == (5000,)
    for name in ("batch", "lengths", "prefix", "bad input"):
        CLAUSES[name](spoken)


@pytest.mark.parametrize("clause", ["batch", "long", "lengths", "prefix"])
def test_the_contract_catches_broken_units(tok: UnitTokenizer, clause: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = made(Path(tok.encoder.name_or_path), window_seconds=1.0, overlap_seconds=0.4).encoder
    broken = UnitTokenizer(encoder, unit_streams(encoder), "broken")
    CLAUSES[clause](broken)
    right, batch, units = encoder.features, encoder.features_batch, broken.units
    if clause == "batch":  # padded to the longest, and cut

        def padded(clips: list[np.ndarray]) -> list[Tensor]:
            top = max(map(len, clips))
            found = batch([np.pad(c, (0, top - len(c))) for c in clips])
            return [f[: encoder.num_frames(len(c))] for f, c in zip(found, clips, strict=True)]

        monkeypatch.setattr(encoder, "features_batch", padded)
    if clause == "long":  # all at once
        blocks = encoder.feature_blocks

        def centred(clip: np.ndarray) -> list[Tensor]:
            found = list(blocks(clip))
            return [f - torch.cat(found).mean(0) for f in found]

        monkeypatch.setattr(encoder, "feature_blocks", centred)
    if clause == "lengths":  # an encoder that loses its last frame
        monkeypatch.setattr(encoder, "features_batch", lambda clips: [f[: max(1, len(f) - 1)] for f in batch(clips)])
        monkeypatch.setattr(encoder, "features", lambda audio: right(audio)[:-1])
    if clause == "prefix":  # counted from the end
        monkeypatch.setattr(broken, "units", lambda f, k: units(f)[-k:])
    with pytest.raises(AssertionError):
        CLAUSES[clause](broken)
