"""The facts of a tokenizer: rates, codebooks, fingerprints; and all that follows from them alone."""

from __future__ import annotations

import abc
import multiprocessing
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from codectok.errors import AudioError, CodectokError, CodeRangeError, FingerprintError
from codectok.fingerprint import same
from codectok.log import logger
from codectok.shipped import maker_of
from codectok.tokens import Tokens
from codectok.tokens.rates import choose_codebooks, nominal_bitrate

LOG = logger(__name__)


class TokenizerFacts(abc.ABC):
    """What every tokenizer states of itself, and what can be told of its tokens without running it."""

    name: str
    sample_rate: int
    """Hz of the audio it takes and gives."""
    frame_rate: Fraction
    """Frames per second, exact."""
    codebook_sizes: tuple[int, ...]
    """Codes in each codebook, all that it has."""
    fingerprint: str
    """Hash of the code space: what decides the codes, and what they stand for. Tokens are bound to it."""
    decoder_fingerprint: str = ""
    """Hash of the decoder, which may change while the codes stay; "" where there is none, or none of its own."""
    feature_dim: int
    """D of ``features``."""
    causal: bool = False
    """Whether ``stream_encoder`` and ``stream_decoder`` exist and equal the offline results."""
    can_decode: bool
    """Whether there is a decoder; unless a class says otherwise, whether it has the ability ``CanDecode``."""
    block_seconds: float = 1.0
    """Audio worked on at a time: bounds memory and keeps activations in cache. Results do not depend on it."""
    device: torch.device = torch.device("cpu")
    """Where its networks run; audio, tokens and features are on the CPU."""
    folder: Path | None = None
    """The model folder that it was opened from, if it was."""
    _warned_of: int = 0

    @abc.abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """Frames for that many samples at ``sample_rate``: the tokenizer's one length formula.

        Examples:
            >>> codectok.load("random").num_frames(16001)
            26
        """

    def choose_codebooks(self, num_codebooks: int | None, bitrate: float | None) -> int:
        """The number of codebooks meant by a count or by a bitrate in kbit/s (at most one of them).

        Examples:
            >>> codectok.load("random").choose_codebooks(None, bitrate=1.0)
            4
        """
        chosen = choose_codebooks(self.name, self.frame_rate, self.codebook_sizes, num_codebooks, bitrate)
        used = self.decoded_codebooks(chosen)
        if used < chosen != self._warned_of and multiprocessing.parent_process() is None:
            self._warned_of = chosen  # once, and not in each worker
            what = "%s with %d codebooks decodes as with %d: the others cost bits in vain"
            LOG.warning(what, self.name, chosen, used)
        return chosen

    def decoded_codebooks(self, num_codebooks: int) -> int:
        """How many of the first ``num_codebooks`` codebooks its decoder uses: fewer where the last need more beside.

        Examples:
            >>> codectok.load("speech-1").decoded_codebooks(12)
            9
        """
        return num_codebooks

    def bitrate(self, num_codebooks: int | None = None) -> float:
        """Nominal kbit/s of the first ``num_codebooks`` codebooks (default all).

        Examples:
            >>> codectok.load("random").bitrate(2)
            0.5
        """
        return nominal_bitrate(self.frame_rate, self.codebook_sizes[:num_codebooks])

    def knows(self, fingerprint: str) -> bool:
        """Whether a fingerprint is of this tokenizer's code space: its own, or a former one of the same codes.

        Examples:
            >>> tok = codectok.load("random")
            >>> tok.knows(tok.encode("a.wav").fingerprint)
            True
        """
        return same(self.fingerprint, fingerprint)

    def check(self, tokens: Tokens) -> Tokens:
        """Return ``tokens`` if this tokenizer made them.

        Raises:
            FingerprintError: they are another tokenizer's.
            CodeRangeError: codebooks that this tokenizer does not have.
            CodectokError: not Tokens.

        Examples:
            >>> tok = codectok.load("random")
            >>> tok.check(tok.encode("a.wav")).num_codebooks
            24
        """
        if not isinstance(tokens, Tokens):
            raise CodectokError(
                f"a {type(tokens).__name__} is not Tokens: give what encode returned, or tokens(codes, num_samples)"
            )
        if not self.knows(tokens.fingerprint):
            made_by = maker_of(tokens.fingerprint)
            remedy = "the tokenizer that made them" if made_by is None else repr(made_by)
            raise FingerprintError(
                f"these tokens were made by tokenizer {made_by or tokens.fingerprint}, not by {self.name} "
                f"({self.fingerprint}): load {remedy} (--tokenizer on the command line)",
                wanted=self.fingerprint,
                found=tokens.fingerprint,
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

        Examples:
            >>> codectok.load("pcm").check_features(torch.zeros(2, 3))
            Traceback (most recent call last):
            codectok.errors.AudioError: features are [2, 3]: pcm has [T, 1]
        """
        features = torch.as_tensor(features).detach().float()
        if features.dim() != 2 or features.shape[1] != self.feature_dim:
            raise AudioError(f"features are {list(features.shape)}: {self.name} has [T, {self.feature_dim}]")
        if not features.isfinite().all():
            raise AudioError("a feature is NaN or infinite")
        return features

    def tokens(self, codes: Tensor, num_samples: int) -> Tokens:
        """Wrap codes [K, T] of this tokenizer.

        Examples:
            >>> codectok.load("pcm").tokens(torch.tensor([[128, 223]]), num_samples=2)
            Tokens(1 x 2 codes, 0.00 s, 128 kbit/s at 16000 frames/s, of ...)
        """
        return Tokens(
            codes, num_samples, self.sample_rate, self.frame_rate, self.codebook_sizes[: len(codes)], self.fingerprint
        )

    def _need_causal(self) -> None:
        if not self.causal:
            raise CodectokError(f"{self.name} is not causal: it cannot stream; use encode and decode")
