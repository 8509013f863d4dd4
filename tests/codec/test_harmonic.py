"""The harmonic codec: explicit state, exact streams, random starts in training, size and files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from codectok import FormatError
from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
from codectok.codec.opening import open_codec
from codectok.codec.state_trees import tree_map
from codectok.codec.tokenizer import CodecTokenizer
from codectok.testing import voice
from tests.codec.harmonic_subject import RATE, melody, tiny
from tests.contract.subjects import HARMONIC

close = torch.testing.assert_close


# -- streams ------------------------------------------------------------------------------------------------------


def pieces(total: int) -> Iterator[int]:
    rng = np.random.default_rng(0)
    while total > 0:
        size = min(total, int(rng.choice([1, 2, 3, 17, 60])))
        total -= size
        yield size


def test_a_long_stream_does_not_drift() -> None:
    """Random codes for over a minute: what a stream gives is what the whole gives, to its last sample."""
    codec = tiny()
    tok = CodecTokenizer(codec, "tiny", "0" * 32)
    codes = melody(codec, 70)[0]
    tokens = tok.tokens(codes, codes.shape[1] * codec.frame_size - 160)
    whole = tok.decode(tokens)
    assert np.abs(whole[-RATE:]).max() > 0.3
    decoder, parts, at = tok.stream_decoder(), [], 0
    for size in pieces(codes.shape[1]):
        parts.append(decoder.push(tok.tokens(codes[:, at : at + size], size * codec.frame_size)))
        at += size
    streamed = np.concatenate([*parts, decoder.flush(tokens.num_samples)])
    assert streamed.shape == whole.shape
    assert np.abs(streamed - whole).max() <= 1e-5 * max(1.0, float(np.abs(whole).max()))


def test_every_bit_of_the_states_is_needed() -> None:
    """So a test that compares streams would notice each of them lost."""
    codec = tiny()
    codes = melody(codec, 1)
    z = codec.dequantize(codes)
    x = torch.from_numpy(voice(RATE, RATE))[None]
    runs = ((codec.decode_step, z[:, :12], z[:, 12:]), (codec.encode_step, x[:, :7680], x[:, 7680:14080]))
    for step, first, second in runs:
        _, state = step(first, None, False)
        expected, _ = step(second, state, False)
        leaves = 0

        def count(leaf: Tensor) -> Tensor:
            nonlocal leaves
            leaves += 1
            return leaf

        tree_map(count, state)
        for lost in range(leaves):
            number = iter(range(leaves))

            def lose(leaf: Tensor, number: Any = number, lost: int = lost) -> Tensor:
                return torch.ones_like(leaf) if next(number) == lost else leaf

            got, _ = step(second, tree_map(lose, state), False)
            assert not torch.allclose(got, expected, atol=1e-4), f"leaf {lost} of the state does nothing"


def test_batches_of_long_clips_decode_as_single_ones() -> None:
    """Items leave the batch at different blocks: each must take its own state along."""
    codec = tiny()
    tok = CodecTokenizer(codec, "tiny", "0" * 32, block_seconds=0.2)
    items = [tok.tokens(melody(codec, s)[0], round(s * RATE) - 160) for s in (2, 1, 0.52, 0.2)]
    for one, many in zip([tok.decode(t) for t in items], tok.decode_batch(items), strict=True):
        assert np.abs(one - many).max() <= 1e-5 * max(1.0, float(np.abs(one).max()))


# -- training -----------------------------------------------------------------------------------------------------


def test_a_random_start_is_of_the_source_only_and_repeats() -> None:
    codec = tiny()
    z = codec.dequantize(melody(codec, 1, batch=2))
    start = codec.decoder.start(2, torch.Generator().manual_seed(3))
    zero = {"phase": torch.zeros(2, 1, dtype=torch.float64), "at": torch.zeros(2, 1, dtype=torch.int64)}
    plain, _ = codec.decoder.step(z, None)
    assert torch.equal(codec.decoder.step(z, None, zero)[0], plain)
    drawn, _ = codec.decoder.step(z, None, start)
    assert drawn.shape == plain.shape
    assert not torch.allclose(drawn, plain, atol=1e-2)
    again = codec.decoder.start(2, torch.Generator().manual_seed(3))
    assert torch.equal(codec.decoder.step(z, None, again)[0], drawn)


def test_transforms_and_source_stay_in_float32_under_autocast() -> None:
    codec = tiny()
    x = torch.from_numpy(voice(6400, RATE))[None]
    z = codec.dequantize(melody(codec, 1))
    features, _ = codec.encoder.analysis.step(x, None)
    sources: list[Tensor] = []
    codec.decoder.source.register_forward_pre_hook(lambda _, inputs: sources.append(inputs[0]))
    _, state = codec.decoder.step(z, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(codec.encoder.analysis.step(x, None)[0], features)
        samples, low = codec.decoder.step(z, None)
        assert codec.encoder.step(x, None)[0].dtype == torch.bfloat16
    assert samples.dtype == torch.float32
    assert samples.shape[1] == 16000 - 160
    assert torch.equal(*sources)
    tree_map(lambda a, b: close(a, b, rtol=0, atol=0), low["excitation"], state["excitation"])


# -- shape, size, files -------------------------------------------------------------------------------------------


def test_fewer_codebooks_leave_slices_at_zero() -> None:
    codec = tiny()
    codes = melody(codec, 1)
    for k, width in ((1, 6), (2, 16), (3, 24), (4, 24)):
        z = codec.dequantize(codes[:, :k])
        assert z.shape[2] == codec.latent_dim
        assert not z[..., width:].any()
        assert torch.equal(z[..., : (0, 6, 16, 16)[k - 1]], codec.dequantize(codes)[..., : (0, 6, 16, 16)[k - 1]])
    for vq, view in codec.residual_quantizers():
        assert view(z).shape[2] == vq.levels[0].vectors.shape[1]


def test_the_default_keeps_its_size_and_cost() -> None:
    codec = HarmonicCodec(HarmonicCodecConfig()).eval()
    assert sum(t.numel() for t in codec.state_dict().values()) == 9_786_782
    x = torch.zeros(1, 10 * RATE)
    with torch.no_grad(), FlopCounterMode(display=False) as encoding:
        codes = codec.quantize(codec.encode_step(x, None, False)[0], 24)
    with torch.no_grad(), FlopCounterMode(display=False) as decoding:
        codec.decode_step(codec.dequantize(codes), None, False)
    for count in (encoding, decoding):
        assert count.get_total_flops() / 2 / 10 <= 0.5e9


def test_a_waveform_of_too_few_codebooks_is_left_out() -> None:
    shape = {**vars(HARMONIC), "parts": [1, 1, 1, 2], "codebook_sizes": [50] * 5}
    codec = HarmonicCodec(HarmonicCodecConfig(**{**shape, "waveform_from": 5})).eval()
    codes = torch.randint(50, (1, 5, 7))
    assert not codec.dequantize(codes[:, :4])[..., codec.config.waveform_at :].any()
    assert torch.equal(codec.dequantize(codes[:, :4]), codec.dequantize(codes[:, :3]))
    assert torch.equal(codec.dequantize(codes), codec.quantizer.decode(codes))


def test_half_precision_weights_open(tmp_path: Path) -> None:
    codec = tiny()
    save_codec(codec, tmp_path, torch.float16)
    opened = open_codec(tmp_path, "tiny")
    codec.load_state_dict({k: v.half().float() for k, v in codec.state_dict().items()})
    mine = CodecTokenizer(codec, "tiny", opened.fingerprint)
    tokens = opened.encode(voice(RATE, RATE), RATE)
    assert torch.equal(tokens.codes, mine.encode(voice(RATE, RATE), RATE).codes)
    assert np.array_equal(opened.decode(tokens), mine.decode(tokens))
    longer = HarmonicCodec(HarmonicCodecConfig(**{**vars(HARMONIC), "noise_frames": 37}))
    save_codec(longer, tmp_path / "longer", torch.float16)
    longer.load_state_dict(codec.state_dict())
    save_codec(longer, tmp_path / "other", torch.float16)
    other = open_codec(tmp_path / "other", "other")
    assert other.fingerprint == opened.fingerprint
    assert other.decoder_fingerprint != opened.decoder_fingerprint, "other noise, other decoder"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parts": [1, 2]}, "give four parts"),
        ({"codebook_sizes": [64] * 5}, "give four parts"),
        ({"part_dims": [6, 2, 7, 8]}, "multiple of"),
        ({"part_dims": [6, 4, 8, 8]}, "must be merge"),
        ({"part_dims": [6, 2, 8, 9]}, "multiple of merge"),
        ({"mels": 18}, "18 mels"),
    ],
)
def test_shapes_that_do_not_fit_say_so(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        HarmonicCodecConfig(**{**vars(HARMONIC), **change})
