"""A small unit codec with a vocoder, for tests."""

from __future__ import annotations

from dataclasses import asdict

import torch

from codectok.codec.harmonic.config import HarmonicCodecConfig
from codectok.codec.tokenizer import CodecTokenizer
from codectok.units.student import UnitCodec, UnitCodecConfig
from codectok.units.vocoder.unit_vocoder import UnitVocoder, VocoderConfig
from tests.contract.subjects import HARMONIC, settle

CONFIG = UnitCodecConfig(mels=20, dim=24, depth=2, ahead=3, latent_dim=12, units=50)


def tiny_vocoder(
    sizes: list[int], hop: tuple[int, int] = (320, 1), ahead: int = 2, decoder: HarmonicCodecConfig = HARMONIC
) -> UnitVocoder:
    """With weights under which units are heard."""
    torch.manual_seed(1)
    config = VocoderConfig(sizes, list(hop), ["a", "b"], "b", asdict(decoder), dim=16, depth=2, kernel=3, ahead=ahead)
    vocoder = UnitVocoder(config)
    with torch.no_grad():
        vocoder.decoder.output.bias.view(4, -1)[:2] += 4
        for name, weight in vocoder.blocks.named_parameters():
            weight.mul_(10.0 if "scale" in name else 1.0)
    return vocoder.eval()


def tiny_codec(config: UnitCodecConfig = CONFIG) -> UnitCodec:
    """With a codebook around its own latents."""
    torch.manual_seed(0)
    codec = UnitCodec(config)
    with torch.no_grad():
        for name, weight in codec.encoder.named_parameters():
            weight.mul_(10.0 if "scale" in name else 1.0)
    settle(codec)
    codec.vocoder = tiny_vocoder([config.units])
    return codec.eval()


def tiny_tokenizer() -> CodecTokenizer:
    return CodecTokenizer(tiny_codec(), "units-shaped", "0" * 32, block_seconds=0.5)
