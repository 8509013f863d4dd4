"""What a tokenizer states of itself, and what follows: codebooks, bitrates, whose tokens are its own, its BPE."""

from __future__ import annotations

import math
import numbers
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from codectok.errors import AudioError, CodectokError, CodeRangeError, FingerprintError
from codectok.tokens import Tokens

if TYPE_CHECKING:
    from codectok.transforms.unit_bpe import UnitBPE


class TokenizerFacts:
    """Attributes of every :class:`~codectok.Tokenizer`, set by its subclasses."""

    name: str
    sample_rate: int
    """Hz of the audio it takes and gives."""
    frame_rate: Fraction
    """Frames per second, exact."""
    codebook_sizes: tuple[int, ...]
    """Codes in each codebook, all that it has."""
    fingerprint: str
    """Hash of config and weights."""
    feature_dim: int
    """D of ``features``."""
    causal: bool = False
    """Whether ``stream_encoder`` and ``stream_decoder`` exist and equal the offline results."""
    can_decode: bool = True
    block_seconds: float = 1.0
    """Audio worked on at a time: bounds memory and keeps activations in cache. Results do not depend on it."""
    folder: Path | None = None
    """The model folder that it was opened from, where its ``bpe.json`` is, if there is one."""
    _bpe: UnitBPE | None = None

    def choose_codebooks(self, num_codebooks: int | None, bitrate: float | None) -> int:
        """The number of codebooks meant by a count or by a bitrate in kbit/s (at most one of them)."""
        top = len(self.codebook_sizes)
        if num_codebooks is not None and bitrate is not None:
            raise CodectokError("give num_codebooks or bitrate, not both")
        if num_codebooks is not None and not isinstance(num_codebooks, numbers.Integral):
            raise CodectokError(f"num_codebooks is {num_codebooks!r}: give a whole number")
        if bitrate is not None and not isinstance(bitrate, numbers.Real):
            raise CodectokError(f"bitrate is {bitrate!r}: give a number, in kbit/s")
        if bitrate is not None:
            rates = [self.bitrate(k) for k in range(1, top + 1)]
            # A bitrate typed with two decimals must find its codebooks: 1.1 kbit/s means the 1.1 of 8 x 11 bit.
            num_codebooks = sum(r <= bitrate * 1.0005 for r in rates)
            if num_codebooks == 0:
                raise CodeRangeError(f"{self.name} needs at least {rates[0]:g} kbit/s, {bitrate:g} asked for")
        if num_codebooks is None:
            return top
        if not 1 <= num_codebooks <= top:
            raise CodeRangeError(f"{self.name} has {top} codebooks, {num_codebooks} asked for")
        return num_codebooks

    def bitrate(self, num_codebooks: int | None = None) -> float:
        """Nominal kbit/s of the first ``num_codebooks`` codebooks (default all)."""
        return float(self.frame_rate) * sum(math.log2(n) for n in self.codebook_sizes[:num_codebooks]) / 1000

    def check(self, tokens: Tokens) -> Tokens:
        """Return ``tokens`` if this tokenizer made them.

        Raises:
            FingerprintError: they are another tokenizer's.
            CodeRangeError: codebooks that this tokenizer does not have.
            CodectokError: not Tokens.
        """
        if not isinstance(tokens, Tokens):
            raise CodectokError(
                f"a {type(tokens).__name__} is not Tokens: give what encode returned, or tokens(codes, num_samples)"
            )
        if tokens.fingerprint != self.fingerprint:
            raise FingerprintError(
                f"these tokens were made by tokenizer {tokens.fingerprint}, not by {self.name} ({self.fingerprint}): "
                "load the tokenizer that made them (--tokenizer on the command line)"
            )
        if tokens.codebook_sizes != self.codebook_sizes[: tokens.num_codebooks]:
            raise CodeRangeError(
                f"{self.name} has no first {tokens.num_codebooks} codebooks of these sizes, it has "
                f"{len(self.codebook_sizes)}: give tokens as encode returned them"
            )
        return tokens

    def check_features(self, features: Tensor) -> Tensor:
        """Features as float32 [T, D], if they are of this tokenizer's width.

        Raises:
            AudioError: another shape, or not finite.
        """
        features = torch.as_tensor(features).detach().float()
        if features.dim() != 2 or features.shape[1] != self.feature_dim:
            raise AudioError(f"features are {list(features.shape)}: {self.name} has [T, {self.feature_dim}]")
        if not features.isfinite().all():
            raise AudioError("a feature is NaN or infinite")
        return features

    def tokens(self, codes: Tensor, num_samples: int) -> Tokens:
        """Wrap codes [K, T] of this tokenizer."""
        return Tokens(
            codes, num_samples, self.sample_rate, self.frame_rate, self.codebook_sizes[: len(codes)], self.fingerprint
        )

    @property
    def has_bpe(self) -> bool:
        """Whether ``bpe`` gives one."""
        return self._bpe is not None or (self.folder is not None and (self.folder / "bpe.json").is_file())

    @property
    def bpe(self) -> UnitBPE:
        """BPE over its codes: the one given (``tok.bpe = ...``), else ``bpe.json`` of its model folder.

        Raises:
            CodectokError: it has none, or one over codebooks that it does not have.
            FormatError: a damaged ``bpe.json``.
            FingerprintError: a BPE of another tokenizer's codes.
        """
        if self._bpe is None:
            if not self.has_bpe:
                raise CodectokError(
                    f"{self.name} has no BPE: train one into its model folder (codectok units bpe STORE -o FOLDER), "
                    "or set tok.bpe"
                )
            from codectok.transforms.unit_bpe import UnitBPE

            assert self.folder is not None
            self.bpe = UnitBPE.load(self.folder)
        assert self._bpe is not None
        return self._bpe

    @bpe.setter
    def bpe(self, bpe: UnitBPE) -> None:
        if bpe.tokenizer_fingerprint != self.fingerprint:
            raise FingerprintError(
                f"this BPE is of the codes of tokenizer {bpe.tokenizer_fingerprint}, not of {self.name} "
                f"({self.fingerprint}): train one on this tokenizer's (codectok units bpe)"
            )
        if bpe.codebook_sizes != self.codebook_sizes[: len(bpe.codebook_sizes)]:
            raise CodeRangeError(f"this BPE is over codebooks that {self.name} does not have")
        self._bpe = bpe
