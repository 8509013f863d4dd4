"""From a sequence of token ids back to codes: what stands in its slot is kept, what does not is dropped and counted.

Models make mistakes: a missing token, one too many, a text token in between. A parser that counts positions shifts
everything behind the mistake into wrong codebooks; one that sorts tokens by codebook pairs codes of different frames.
Here each token must be of the codebook whose turn it is. Where one is not, the unfinished frame is dropped, and reading
goes on at the next token of the first slot: a mistake costs its own frame, or the two that it lies between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.llm.vocab.description import VocabDescription

FOREIGN, MARK = -1, -2


@dataclass(frozen=True)
class ParseReport:
    """What was read, and what was not.

    Attributes:
        frames: frames kept (codes kept, for streams without a common frame).
        dropped: audio tokens that were dropped: out of their slot, or in a frame that was never finished.
        resyncs: unfinished frames that were given up.
        foreign: ids that are no token of the vocabulary, such as text.
        marks: markers, tags, timestamps and free ids.
        first_bad: position of the first token that was dropped or was still waiting for its frame, or None.
    """

    frames: int = 0
    dropped: int = 0
    resyncs: int = 0
    foreign: int = 0
    marks: int = 0
    first_bad: int | None = None

    @property
    def clean(self) -> bool:
        """No audio token was dropped."""
        return self.dropped == 0

    def __str__(self) -> str:
        where = "" if self.first_bad is None else f", the first at {self.first_bad}"
        return f"{self.frames} frames, {self.dropped} audio tokens dropped{where} ({self.resyncs} broken frames)"


class FrameParser:
    """Reads a sequence as it comes: ``push`` gives the frames that are whole, ``flush`` the report.

    Text between two tokens of a frame is passed over; a marker ends the frame.

    Raises:
        FormatError: the streams of this vocabulary have no common frame; ``parse_streams`` reads them.
    """

    def __init__(self, vocab: VocabDescription) -> None:
        if not vocab.framed:
            raise FormatError(f"the streams of {vocab.name} have no common frame: read them with parse_streams()")
        self._vocab = vocab
        self._expected = vocab.layout.blocks
        self._frame: list[tuple[int, int]] = []  # code, position
        self._seen = 0
        self._counts = dict.fromkeys(("frames", "dropped", "resyncs", "foreign", "marks"), 0)
        self._first_bad: int | None = None

    def push(self, ids: Tensor | np.ndarray | Sequence[int]) -> Tensor:
        """Codes int64 [K, n] of the n frames that these ids, [N], complete."""
        blocks, codes = _classify(self._vocab, ids)
        whole: list[list[int]] = []
        for block, code in zip(blocks.tolist(), codes.tolist(), strict=True):
            self._step(block, code, whole)
            self._seen += 1
        found = torch.tensor(whole, dtype=torch.int64).reshape(-1, self._vocab.num_codebooks)
        return found.T.contiguous()

    def flush(self) -> ParseReport:
        """End of the sequence: a frame that is still unfinished counts as dropped."""
        self._drop_frame()
        return ParseReport(**self._counts, first_bad=self._first_bad)

    def _step(self, block: int, code: int, whole: list[list[int]]) -> None:
        if block == FOREIGN:
            self._counts["foreign"] += 1
            return
        if block == MARK:
            self._counts["marks"] += 1
            self._drop_frame()
            return
        if block != self._expected[len(self._frame)]:
            self._drop_frame()
            if block != self._expected[0]:
                self._drop(1, self._seen)
                return
        self._frame.append((code, self._seen))
        if len(self._frame) == len(self._expected):
            whole.append([code for code, _ in self._frame])
            self._counts["frames"] += 1
            self._frame = []

    def _drop_frame(self) -> None:
        if self._frame:
            self._counts["resyncs"] += 1
            self._drop(len(self._frame), self._frame[0][1])
            self._frame = []

    def _drop(self, count: int, position: int) -> None:
        self._counts["dropped"] += count
        if self._first_bad is None:
            self._first_bad = position


def parse(vocab: VocabDescription, ids: Tensor | np.ndarray | Sequence[int]) -> tuple[Tensor, ParseReport]:
    """All whole frames of a flattened sequence: codes int64 [K, T], and the report.

    The inverse of ``vocab.flatten(vocab.ids(codes))``, exact where nothing is missing; text, markers and mistakes may
    stand anywhere. Where the first slot has a codebook of its own, all frames are found at once, without a loop.

    Raises:
        FormatError: the streams of this vocabulary have no common frame.

    Examples:
        >>> from codectok.llm import AudioVocab, parse
        >>> vocab = AudioVocab.create([4, 4], base_id=100)
        >>> codes, report = parse(vocab, [100, 105, 103])  # the second frame lacks a token
        >>> codes
        tensor([[0],
                [1]])
        >>> print(report)
        1 frames, 1 audio tokens dropped, the first at 2 (1 broken frames)
    """
    expected = np.array(vocab.layout.blocks)
    if not vocab.framed or (expected == expected[0]).sum() > 1:
        parser = FrameParser(vocab)
        return parser.push(ids), parser.flush()
    blocks, codes = _classify(vocab, ids)
    kept = np.flatnonzero(blocks != FOREIGN)
    size, slots = len(expected), blocks[kept]
    starts = np.flatnonzero(slots == expected[0])
    starts = starts[starts <= len(slots) - size]
    # No frame can begin inside another, as its first slot's codebook occurs once: every full match is a frame.
    starts = starts[(slots[starts[:, None] + np.arange(size)] == expected).all(axis=1)]
    cells = starts[:, None] + np.arange(size)
    used = np.zeros(len(slots), dtype=bool)
    used[cells] = True
    lost = ~used & (slots >= 0)
    bad = kept[lost]
    report = ParseReport(
        frames=len(starts),
        dropped=int(lost.sum()),
        resyncs=int((lost & (slots == expected[0])).sum()),
        foreign=len(blocks) - len(kept),
        marks=int((slots == MARK).sum()),
        first_bad=int(bad[0]) if len(bad) else None,
    )
    return torch.from_numpy(np.ascontiguousarray(codes[kept][cells].T)), report


def parse_streams(
    vocab: VocabDescription, ids: Tensor | np.ndarray | Sequence[int]
) -> tuple[list[tuple[Tensor, Tensor]], ParseReport]:
    """Codes of vocabularies whose streams have no common frame (Spirit LM, Spark-TTS), by codebook.

    Returns:
        For each of the K codebooks its codes int64 [N_k] and their positions in the sequence, [N_k]; and the report.

    Raises:
        FormatError: a vocabulary of frames; sorting its tokens by codebook would pair codes of different frames.
    """
    if vocab.framed:
        raise FormatError(f"{vocab.name} has frames: read it with parse()")
    blocks, codes = _classify(vocab, ids)
    found = []
    for block in range(vocab.num_codebooks):
        at = np.flatnonzero(blocks == block)
        found.append((torch.from_numpy(codes[at]), torch.from_numpy(at)))
    total = sum(len(codes) for codes, _ in found)
    marks, foreign = int((blocks == MARK).sum()), int((blocks == FOREIGN).sum())
    return found, ParseReport(frames=total, foreign=foreign, marks=marks)


def _classify(vocab: VocabDescription, ids: Tensor | np.ndarray | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    table = np.asarray(ids.detach().cpu() if isinstance(ids, Tensor) else ids)
    if table.size == 0:
        table = table.astype(np.int64)
    if table.dtype.kind not in "iu" or table.ndim != 1:
        raise FormatError(f"ids of shape {list(table.shape)} and type {table.dtype}: expected whole numbers, [N]")
    blocks, codes = vocab.layout.classify(table)
    return np.where((blocks < 0) & vocab.owns(table), MARK, blocks), codes
