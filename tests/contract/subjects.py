"""The tokenizers that the contract is run over: all that ship, and small random models of every shape."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch

from codectok import Tokenizer, load
from codectok.codec.dac import DacCodec, DacCodecConfig
from codectok.codec.encodec import EncodecCodec, EncodecCodecConfig
from codectok.codec.envelope import EnvelopeCodec, EnvelopeCodecConfig
from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
from codectok.codec.mimi import MimiCodec, MimiCodecConfig
from codectok.codec.model import CodecModel
from codectok.codec.tokenizer import CodecTokenizer
from codectok.testing import voice
from codectok.units import SpeechEncoder, load_encoder
from codectok.units.kmeans.product import GroupedStream
from codectok.units.kmeans.stream import Stream
from codectok.units.kmeans.tokenizer import UnitTokenizer
from codectok.units.kmeans.unit_stream import UnitStream

FAMILIES = ("hubert-base", "wavlm-large", "wav2vec2-base", "data2vec", "w2v-bert", "whisper")
"""Of speech encoders: those with group norm over time, layer norms, mel filterbanks and windows of fixed length."""


@dataclass(frozen=True)
class Subject:
    """One row of the matrix."""

    name: str
    make: Callable[[], Tokenizer]


@torch.no_grad()
def settle(model: CodecModel, seed: int = 0) -> CodecModel:
    """Draw the codebooks of a random model around its own latents, so that many codes are in use."""
    latents, _ = model.eval().encode_step(
        torch.from_numpy(voice(model.sample_rate * 3, model.sample_rate, seed))[None], None, True
    )
    generator = torch.Generator().manual_seed(seed)
    if isinstance(model, DacCodec):
        model.quantizer.fit(latents, seed=seed)
    for quantizer, view in model.residual_quantizers():
        residual = view(latents).flatten(0, 1)
        for level in quantizer.levels:
            spread = residual.std(0)
            noise = torch.randn(level.vectors.shape, generator=generator) * spread + residual.mean(0)
            level.set_vectors(noise, torch.ones(len(noise)))
            residual = residual - level.vectors[level.search(residual)]
    return model


def _tiny(kind: type[CodecModel], config: object, gain: float = 1.0) -> Callable[[], Tokenizer]:
    def make() -> Tokenizer:
        torch.manual_seed(0)
        model = kind(config)  # type: ignore[call-arg]
        with torch.no_grad():
            for name, weight in model.named_parameters():
                # Fresh weights give nearly constant latents, on which hardly any mistake would show.
                weight.mul_(30.0 if "scale" in name else gain if weight.dim() > 1 else 1.0)
        return CodecTokenizer(settle(model), kind.__name__, "0" * 32, block_seconds=0.5)

    return make


def unit_streams(encoder: SpeechEncoder, seed: int = 0) -> list[Stream]:
    """Random centroids amid an encoder's own features: residual on its first layer, two groups on its last."""
    rate = encoder.sample_rate
    features = torch.cat([encoder.features(voice(rate * 3, rate, seed + i)) for i in range(2)])
    generator = torch.Generator().manual_seed(seed)

    def drawn(x: torch.Tensor, size: int) -> torch.Tensor:
        frames = x[torch.randperm(len(x), generator=generator)[:size]]
        return frames + 0.1 * x.std(0) * torch.randn(frames.shape, generator=generator)

    dim = encoder.layer_dim
    first, last = features[:, :dim], features[:, -dim:]
    mean, scale = first.mean(0), first.std(0)
    standard = (first - mean) / scale
    top = drawn(standard, 60)
    nearest = UnitStream(0, [top]).encode(standard)[0]
    residual = UnitStream(0, [top, drawn(standard - top[nearest], 50)], mean, scale)
    groups = [drawn(part, 40) for part in last.split([dim // 2, dim - dim // 2], 1)]
    return [residual, GroupedStream(len(encoder.layers) - 1, groups)]


def save_encoder(family: str, folder: Path) -> None:
    """A tiny random encoder as a Hugging Face folder."""
    from tests.units.conftest import MAKERS

    torch.manual_seed(0)
    model, extractor = MAKERS[family]()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)


def _units(family: str) -> Tokenizer:
    with tempfile.TemporaryDirectory() as folder:
        save_encoder(family, Path(folder))
        tail = 0.1 if family == "whisper" else None
        encoder = load_encoder(folder, [1, 3], window_seconds=1.0, overlap_seconds=0.4, tail_seconds=tail)
    return UnitTokenizer(encoder, unit_streams(encoder), f"{family}-units")


HARMONIC = HarmonicCodecConfig(
    dim=32,
    depth=2,
    code_dim=48,
    parts=[1, 1, 1, 1],
    part_dims=[6, 2, 8, 8],
    codebook_sizes=[64, 64, 50, 128],
    mels=16,
    noise_frames=31,
)
ENVELOPE = EnvelopeCodecConfig(
    bands=10,
    encoder_dim=32,
    encoder_depth=2,
    decoder_dim=32,
    decoder_depth=2,
    semantic_dim=24,
    semantic_depth=2,
    mels=16,
    parts=[1, 1, 2, 3],
    part_dims=[6, 4, 12, 16],
    codebook_sizes=[64, 64, 50, 64, 128, 64, 50],
    source_bins=30,
    noise_frames=31,
)
ENCODEC = EncodecCodecConfig(dim=16, filters=4, codebook_sizes=[64, 64, 50, 128])
MIMI = MimiCodecConfig(
    dim=32,
    filters=4,
    transformer_layers=2,
    heads=4,
    hidden=64,
    window=20,
    code_dim=16,
    codebook_sizes=[64, 50, 64, 128],
)
DAC = DacCodecConfig(filters=4, latent_dim=24, code_dim=6, codebook_sizes=[64, 64, 50, 128])
SUBJECTS = [
    Subject("speech-1", lambda: load("speech-1")),
    Subject("speech-2", lambda: load("speech-2")),
    Subject("units", lambda: load("units")),
    Subject("pcm", lambda: load("pcm")),
    Subject("random", lambda: load("random")),
    Subject("harmonic-shaped", _tiny(HarmonicCodec, HARMONIC)),
    Subject("harmonic-beam", _tiny(HarmonicCodec, replace(HARMONIC, search="beam-4"))),
    Subject("envelope-shaped", _tiny(EnvelopeCodec, ENVELOPE)),
    Subject("envelope-beam", _tiny(EnvelopeCodec, replace(ENVELOPE, search="beam-4"))),
    Subject("encodec-shaped", _tiny(EncodecCodec, ENCODEC, 1.6)),
    Subject("mimi-shaped", _tiny(MimiCodec, MIMI, 2.0)),
    Subject("dac-shaped", _tiny(DacCodec, DAC, 0.85)),
]
if find_spec("transformers"):
    SUBJECTS += [Subject(f"{family}-units", partial(_units, family)) for family in FAMILIES]
