"""Tokens: codes, and everything needed to read them back."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from codectok.errors import CodeRangeError, FingerprintError, FormatError
from codectok.files.limits import check_frames
from codectok.fingerprint import same
from codectok.tokens.ctk_reader import CtkReader
from codectok.tokens.ctk_writer import CtkWriter
from codectok.tokens.rates import nominal_bitrate
from codectok.tokens.runs import merged_runs


@dataclass(frozen=True, eq=False, repr=False)
class Tokens:
    """One utterance as integers.

    Attributes:
        codes: int64 [K, T] on the CPU: K codebooks, T frames (or T runs, once deduplicated).
        num_samples: length of the audio at ``sample_rate``.
        sample_rate: Hz, the tokenizer's.
        frame_rate: frames per second, exact.
        codebook_sizes: number of codes of each of the K codebooks.
        fingerprint: of the tokenizer that made the codes.
        durations: int64 [T], frames in each run, where ``dedup`` merged repeats; None otherwise.

    Raises:
        CodeRangeError: a code outside its codebook.
        FormatError: shapes that do not fit together.

    Examples:
        >>> tokens = codectok.load("random").encode("a.wav", num_codebooks=2)
        >>> tokens
        Tokens(2 x 25 codes, 1.00 s, 0.5 kbit/s at 25 frames/s, of ...)
        >>> tokens.num_frames, tokens.duration, tokens.bitrate, tokens.token_rate
        (25, 1.0, 0.5, 50.0)
        >>> codectok.Tokens.cat([tokens[:10], tokens[10:]]) == tokens
        True
    """

    codes: Tensor
    num_samples: int
    sample_rate: int
    frame_rate: Fraction
    codebook_sizes: tuple[int, ...]
    fingerprint: str
    durations: Tensor | None = None

    def __post_init__(self) -> None:
        given = torch.as_tensor(self.codes)
        if given.numel() and (given.is_floating_point() or given.is_complex()):
            raise FormatError(f"codes of type {given.dtype} are not integers")
        codes = given.to("cpu", torch.int64)
        if codes.is_inference():
            codes = codes.clone()  # autograd refuses inference tensors: an embedding of these codes could not train
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "frame_rate", Fraction(self.frame_rate))
        object.__setattr__(self, "codebook_sizes", tuple(int(n) for n in self.codebook_sizes))
        if codes.dim() != 2 or codes.shape[0] != len(self.codebook_sizes):
            raise FormatError(
                f"codes of shape {list(codes.shape)} do not match {len(self.codebook_sizes)} codebooks: expected [K, T]"
            )
        sizes = torch.tensor(self.codebook_sizes)[:, None]
        if codes.numel() and bool(((codes < 0) | (codes >= sizes)).any()):
            k, t = ((codes < 0) | (codes >= sizes)).nonzero()[0].tolist()
            raise CodeRangeError(
                f"code {int(codes[k, t])} of codebook {k} at frame {t} is outside 0..{self.codebook_sizes[k] - 1}",
                code=int(codes[k, t]),
                size=self.codebook_sizes[k],
                codebook=k,
            )
        if self.num_samples < 0:
            raise FormatError(f"num_samples is {self.num_samples}: give the length of the audio, 0 or more")
        if self.durations is not None:
            durations = torch.as_tensor(self.durations, dtype=torch.int64).cpu()
            object.__setattr__(self, "durations", durations)
            if durations.shape != (codes.shape[1],) or bool(((durations < 1) | (durations > 2**31)).any()):
                raise FormatError("durations must be one number of frames, 1 to 2^31, for each column of codes")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Tokens):
            return NotImplemented
        if (self.durations is None) != (other.durations is None):
            return False
        same = self.durations is None or torch.equal(self.durations, other.durations)  # type: ignore[arg-type]
        return same and torch.equal(self.codes, other.codes) and self._facts() == other._facts()

    __hash__ = None  # type: ignore[assignment]

    def _facts(self) -> tuple[object, ...]:
        return (self.num_samples, self.sample_rate, self.frame_rate, self.codebook_sizes, self.fingerprint)

    @property
    def num_codebooks(self) -> int:
        """K."""
        return int(self.codes.shape[0])

    @property
    def num_frames(self) -> int:
        """Frames, counting each run by its duration."""
        return int(self.codes.shape[1]) if self.durations is None else int(self.durations.sum())

    @property
    def duration(self) -> float:
        """Length of the audio in seconds."""
        return self.num_samples / self.sample_rate

    @property
    def bitrate(self) -> float:
        """Nominal bitrate in kbit/s: log2 of every codebook's size, times the frame rate."""
        return nominal_bitrate(self.frame_rate, self.codebook_sizes)

    @property
    def token_rate(self) -> float:
        """Tokens per second of audio: all codes, after deduplication where there was one."""
        return self.codes.numel() / self.duration if self.num_samples else 0.0

    def to_numpy(self) -> np.ndarray:
        """The codes as a numpy array of their own, int64 [K, T].

        Examples:
            >>> codectok.load("pcm").encode([0.0, 0.25], 16000).to_numpy()
            array([[128, 223]])
        """
        return self.codes.numpy().copy()

    def __repr__(self) -> str:
        merged = "" if self.durations is None else f" in {self.codes.shape[1]} runs"
        return (
            f"Tokens({self.num_codebooks} x {self.num_frames} codes{merged}, {self.duration:.2f} s, "
            f"{self.bitrate:.3g} kbit/s at {float(self.frame_rate):g} frames/s, of {self.fingerprint[:8]})"
        )

    def __getitem__(self, frames: slice) -> Tokens:
        """Frames ``a`` up to ``b`` as ``tokens[a:b]``, with the samples that they stand for.

        Cut anywhere, the pieces join by :meth:`cat` to what they were cut from. Tokens whose runs are merged are cut by
        frames too, and stay merged.

        Raises:
            FormatError: not a slice of frames in their order.
        """
        if not isinstance(frames, slice) or frames.step not in (None, 1):
            raise FormatError(f"tokens[{frames!r}]: give a slice of frames, tokens[a:b], without a step")
        start, stop, _ = frames.indices(self.num_frames)
        stop = max(start, stop)
        samples = self._samples_before(stop) - self._samples_before(start)
        cut = replace(self.expand(), codes=self.expand().codes[:, start:stop].clone(), num_samples=samples)
        return cut if self.durations is None else cut.dedup()

    def _samples_before(self, frame: int) -> int:
        """Samples that the frames before this one stand for; all of them at the end."""
        if frame >= self.num_frames:
            return self.num_samples
        return min(self.num_samples, math.floor(frame * self.sample_rate / self.frame_rate))

    @staticmethod
    def cat(pieces: Sequence[Tokens]) -> Tokens:
        """Pieces one after another, as one: frames and samples add up.

        Raises:
            FormatError: no pieces, some with merged runs and some without, or another rate or number of codebooks.
            FingerprintError: pieces of different tokenizers.

        Examples:
            >>> tokens = codectok.load("pcm").encode([0.0, 0.25, -0.5], 16000)
            >>> codectok.Tokens.cat([tokens[2:], tokens[:2]]).codes
            tensor([[ 16, 128, 223]])
        """
        if not pieces:
            raise FormatError("there are no tokens to join: give at least one piece")
        first = pieces[0]
        for piece in pieces[1:]:
            if not same(piece.fingerprint, first.fingerprint):
                raise FingerprintError(
                    f"tokens of tokenizer {piece.fingerprint} do not join those of {first.fingerprint}: "
                    "use one for all",
                    wanted=first.fingerprint,
                    found=piece.fingerprint,
                )
            if piece._facts()[1:4] != first._facts()[1:4] or (piece.durations is None) != (first.durations is None):
                raise FormatError(f"{piece!r} does not join {first!r}: make them alike (first, dedup, expand)")
        whole = replace(
            first,
            codes=torch.cat([piece.expand().codes for piece in pieces], 1),
            num_samples=sum(piece.num_samples for piece in pieces),
            durations=None,
        )
        return whole if first.durations is None else whole.dedup()

    def first(self, num_codebooks: int) -> Tokens:
        """The same tokens with the first ``num_codebooks`` codebooks only.

        Raises:
            CodeRangeError: fewer than 1, or more than there are.

        Examples:
            >>> codectok.load("random").encode("a.wav").first(6).bitrate
            1.5
        """
        if not 1 <= num_codebooks <= self.num_codebooks:
            raise CodeRangeError(f"{num_codebooks} codebooks asked for, these tokens have {self.num_codebooks}")
        return replace(self, codes=self.codes[:num_codebooks], codebook_sizes=self.codebook_sizes[:num_codebooks])

    def dedup(self) -> Tokens:
        """Merge runs of equal columns; ``durations`` keeps their lengths. ``expand`` is the exact inverse.

        Examples:
            >>> merged = codectok.load("pcm").encode([0.0, 0.0, 0.0, 0.25], 16000).dedup()
            >>> merged.codes, merged.durations
            (tensor([[128, 223]]), tensor([3, 1]))
        """
        if self.durations is not None:
            return self
        codes, durations = merged_runs(self.codes.numpy())
        return replace(self, codes=torch.from_numpy(codes), durations=torch.from_numpy(durations))

    def expand(self) -> Tokens:
        """Undo ``dedup``: one column a frame again.

        Raises:
            FormatError: more codes than ``CODECTOK_MAX_CODES``, 2^28 where it is not set.

        Examples:
            >>> tokens = codectok.load("pcm").encode([0.0, 0.0, 0.0, 0.25], 16000)
            >>> tokens.dedup().expand() == tokens
            True
        """
        if self.durations is None:
            return self
        check_frames(self.num_codebooks, self.num_frames)
        return replace(self, codes=self.codes.repeat_interleave(self.durations, 1), durations=None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a ``.ctk`` file, whole or not at all.

        Raises:
            FormatError: tokens that the format cannot hold, such as none of a codebook.

        Examples:
            >>> codectok.load("random").encode("a.wav").save("a.ctk")
        """
        args = (self.sample_rate, self.frame_rate, self.codebook_sizes, self.fingerprint)
        with CtkWriter(path, *args, deduplicated=self.durations is not None) as writer:
            writer.write(self.codes, self.durations)
            writer.finish(self.num_samples)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Tokens:
        """Read a ``.ctk`` file.

        Raises:
            FormatError: not a .ctk file, or damaged.

        Examples:
            >>> codectok.load("random").encode("a.wav").save("a.ctk")
            >>> codectok.Tokens.load("a.ctk")
            Tokens(24 x 25 codes, 1.00 s, 6 kbit/s at 25 frames/s, of ...)
        """
        with CtkReader(path) as reader:
            codes, durations = reader.whole()
            facts = (reader.num_samples, reader.sample_rate, reader.frame_rate, reader.codebook_sizes)
            return Tokens(codes, *facts, reader.fingerprint, durations)
