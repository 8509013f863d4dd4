"""Frames of several codebooks as one sequence of symbols, and back.

Code c of codebook k is the symbol ``offset_k + c`` with ``offset_k`` the sum of the sizes before it, so each symbol
knows its codebook. A BPE is over symbols in one of these orders, which its ``bpe.json`` names (here K = 2, T = 3)::

    single            a0 a1 a2               K = 1 only
    flatten           a0 b0 a1 b1 a2 b2      frame by frame; a token may span frames
    frame             a0 b0|a1 b1|a2 b2      the same, but no token spans frames
    codebook-major    a0 a1 a2|b0 b1 b2      codebook by codebook; no token spans codebooks

Over a bar nothing is merged in training. As that bar lies between the same two codebooks wherever it stands, no merge
has ever both sides of it, and encoding needs no bars.
"""

from __future__ import annotations

import numpy as np

from codectok.errors import CodectokError, FormatError

PATTERNS = ("single", "flatten", "frame", "codebook-major")


def check_pattern(pattern: str, num_codebooks: int) -> None:
    """Make sure that there is such a pattern for so many codebooks.

    Raises:
        CodectokError: there is not.
    """
    if pattern not in PATTERNS:
        raise CodectokError(f"no pattern {pattern!r} of BPE: choose one of {', '.join(PATTERNS)}")
    if pattern == "single" and num_codebooks != 1:
        raise CodectokError(
            f"pattern single is for one codebook, there are {num_codebooks}: take the first (tokens.first(1), "
            "--codebooks 1) or another pattern, such as flatten"
        )
    if pattern == "frame" and num_codebooks == 1:
        raise CodectokError("pattern frame merges within a frame, which needs two codebooks: use single")


def offsets(codebook_sizes: tuple[int, ...]) -> np.ndarray:
    """First symbol of each codebook, int64 [K, 1]."""
    return np.cumsum([0, *codebook_sizes[:-1]], dtype=np.int64)[:, None]


def arrange(codes: np.ndarray, codebook_sizes: tuple[int, ...], pattern: str) -> np.ndarray:
    """Codes [K, T] as symbols, int64 [K * T]."""
    symbols = codes + offsets(codebook_sizes)
    return symbols.ravel() if pattern == "codebook-major" else symbols.T.ravel()


def words(symbols: np.ndarray, num_codebooks: int, pattern: str) -> list[np.ndarray]:
    """What training sees of an arranged utterance: the pieces between bars."""
    if pattern == "frame":
        return list(symbols.reshape(-1, num_codebooks))
    if pattern == "codebook-major":
        return list(symbols.reshape(num_codebooks, -1))
    return [symbols]


def restore(symbols: np.ndarray, codebook_sizes: tuple[int, ...], pattern: str) -> np.ndarray:
    """The inverse of :func:`arrange`: codes int64 [K, T].

    Raises:
        FormatError: the symbols do not spell whole frames.
    """
    k = len(codebook_sizes)
    if len(symbols) % k:
        raise FormatError(f"{len(symbols)} symbols are no whole frames of {k} codebooks: keep or cut all of a frame")
    rows = symbols.reshape(k, -1) if pattern == "codebook-major" else symbols.reshape(-1, k).T
    codes = rows - offsets(codebook_sizes)
    wrong = (codes < 0) | (codes >= np.array(codebook_sizes)[:, None])
    if wrong.any():
        row, frame = np.argwhere(wrong)[0].tolist()
        raise FormatError(
            f"symbol {rows[row, frame]} stands where frame {frame} has its codebook {row}: the symbols are not in the "
            f"order of pattern {pattern}"
        )
    return codes
