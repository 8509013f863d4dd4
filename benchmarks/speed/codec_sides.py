"""The neural codecs behind their two sides: ours, and transformers' with the very same random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codectok.codec.hf import load_hf_codec
from codectok.codec.tokenizer import CodecTokenizer

Call = Callable[[], Any]
Sides = dict[str, tuple[Call, Call]]
"""For "ours" and perhaps "theirs": a call that encodes and one that decodes."""

PACKAGED = ("speech-1", "speech-2", "units")
MODELS = ("encodec", "mimi", *PACKAGED)
CODEBOOKS = 8


def write_peers(folder: Path, names: list[str]) -> None:
    """Write transformers' full-size EnCodec and Mimi, with random weights and codebooks, as model folders."""
    from transformers import EncodecConfig, EncodecModel, MimiConfig, MimiModel

    torch.manual_seed(0)
    for name in names:
        peer: Any = EncodecModel(EncodecConfig()) if name == "encodec" else MimiModel(MimiConfig())
        for tensor_name, tensor in peer.named_buffers():
            if tensor_name.endswith((".embed", ".embed_sum")):
                tensor.normal_()
        peer.save_pretrained(folder / name)


def our_tokenizer(name: str, folder: Path) -> CodecTokenizer:
    """Ours, of that name."""
    if name in PACKAGED:
        from codectok import load

        tokenizer = load(name)
        assert isinstance(tokenizer, CodecTokenizer)
        return tokenizer
    return CodecTokenizer(load_hf_codec(folder / name), name, "0" * 32)


def our_calls(name: str, folder: Path, clips: list[np.ndarray]) -> tuple[Call, Call]:
    """Encode and decode through the Tokenizer interface, as users do."""
    tokenizer = our_tokenizer(name, folder)
    rate = tokenizer.sample_rate
    frames, sizes = tokenizer.num_frames(len(clips[0])), tokenizer.codebook_sizes[:CODEBOOKS]
    codes = torch.stack([torch.randint(size, (frames,)) for size in sizes])
    tokens = [tokenizer.tokens(codes, len(clip)) for clip in clips]
    return (
        lambda: tokenizer.encode_batch(clips, rate, num_codebooks=len(sizes)),
        lambda: tokenizer.decode_batch(tokens),
    )


def their_calls(name: str, folder: Path, clips: list[np.ndarray]) -> tuple[Call, Call]:
    """The same by transformers, all clips in one batch of equal lengths."""
    from transformers import EncodecModel, MimiModel

    x = torch.from_numpy(np.stack(clips))[:, None]
    codes: list[Tensor] = []
    if name == "encodec":
        encodec: Any = EncodecModel.from_pretrained(folder / name).eval()
        return (
            lambda: codes.append(encodec.encode(x, bandwidth=6.0).audio_codes),
            lambda: encodec.decode(codes[-1], [None]),
        )
    mimi: Any = MimiModel.from_pretrained(folder / name).eval()
    return (
        lambda: codes.append(mimi.encode(x, num_quantizers=CODEBOOKS).audio_codes),
        lambda: mimi.decode(codes[-1]),
    )


def make_clips(name: str, count: int, seconds: int) -> list[np.ndarray]:
    """Noise at the codec's rate; what it holds does not change the speed."""
    rng = np.random.default_rng(0)
    rate = 16000 if name in PACKAGED else 24000
    return list((0.1 * rng.standard_normal((count, rate * seconds))).astype(np.float32))
