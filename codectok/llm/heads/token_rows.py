"""The rows of a language model's tables that stand for the ids of each stream.

Streams need no tables of their own: code c of codebook k is the token of the vocabulary that says so, in the embedding
and in the head. So ``llm extend --init`` holds for streams, ``new-rows`` trains them, and audio in a prompt is the same
audio. Start and end are the markers around speech.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codectok.errors import FormatError
from codectok.llm.patterns.stream_plan import StreamPlan
from codectok.llm.vocab.audio_vocab import AudioVocab


def check_vocab_for_streams(vocab: AudioVocab) -> None:
    """Check that a vocabulary's codes can be said in several streams.

    Raises:
        FormatError: merged units, streams of several rates, or no markers.
    """
    if vocab.transform is not None:
        raise FormatError(
            "merged units are one stream: pack with --pattern flatten, or extend without --dedup and --bpe"
        )
    if vocab.slots != tuple(range(vocab.num_codebooks)):
        raise FormatError(f"codebooks of {vocab.name} have several rates: pack with --pattern flatten")
    if not {"begin", "end"} <= vocab.markers.keys():
        raise FormatError(f"vocabulary {vocab.name} has no markers around speech, which begin and end streams")


class TokenRows(nn.Module):
    """Rows of both tables by row of a plan and local id. Holds no parameters.

    Local ids of a row of n codes: 0 to n - 1, then start (also: no text), then end.

    Args:
        plan: of the streams.
        vocab: of the audio tokens.
    """

    table: Tensor

    def __init__(self, plan: StreamPlan, vocab: AudioVocab) -> None:
        super().__init__()
        check_vocab_for_streams(vocab)
        if vocab.codebook_sizes[: len(plan.sizes)] != plan.sizes:
            raise FormatError(f"streams of {list(plan.sizes)} codes, a vocabulary of {list(vocab.codebook_sizes)}")
        begin, end = vocab.markers["begin"], vocab.markers["end"]
        blocks = [vocab.stream_ids(k, np.arange(size)) for k, size in enumerate(plan.sizes)]
        special = [[begin, end] for _ in blocks]
        if plan.text:
            blocks.insert(0, np.arange(plan.text - 1))
            special.insert(0, [begin, begin, end])
        self._views = [_view(block) for block in blocks]
        self._special = special
        each = [np.append(block, more) for block, more in zip(blocks, special, strict=True)]
        self._first = np.cumsum([0, *map(len, each)])[:-1].tolist()
        self.register_buffer("table", torch.from_numpy(np.concatenate(each)), persistent=False)

    def ids(self, row: int, local: Tensor) -> Tensor:
        """Ids of the vocabulary, of local ids of a row."""
        return self.table[local + self._first[row]]

    def logits(self, head: Tensor, row: int, state: Tensor, special: bool = True) -> Tensor:
        """Logits [..., n + 2] of a row's local ids, by states [..., D] and the table [V, D] of the head.

        Without ``special``, [..., n]: of codes alone.
        """
        codes = F.linear(state, head[self._views[row]])
        return torch.cat([codes, F.linear(state, head[self._special[row]])], -1) if special else codes


def _view(ids: np.ndarray) -> slice:
    """Ids that count up evenly, as those of a codebook do in either order: a view of a table, where ids would copy."""
    step = int(ids[1] - ids[0]) if len(ids) > 1 else 1
    return slice(int(ids[0]), int(ids[-1]) + 1, step)
