"""One batch: reading it ahead, and encoding it. Engines differ only in which process does so, and when.

What comes of an item is kept as plain arrays, which cost little to send from one process to another.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from codectok.corpus.reading import ClipRead, Failure, attempt, read
from codectok.items.clips import clip_blocks
from codectok.items.item import Item
from codectok.items.sources import open_item
from codectok.tokenizer import Tokenizer
from codectok.tokens import Tokens


@dataclass(frozen=True, slots=True)
class KeptCodes:
    """What is kept of Tokens: ``codes`` int32 [K, T] (int64 for huge codebooks) and ``durations`` int64 [T] or None.

    ``warnings`` are of the audio file.
    """

    codes: np.ndarray
    num_samples: int
    durations: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    @staticmethod
    def of(tokens: Tokens) -> KeptCodes:
        """Without what all tokens of one tokenizer have in common."""
        kind = np.int32 if max(tokens.codebook_sizes) <= 2**31 else np.int64
        durations = None if tokens.durations is None else tokens.durations.numpy()
        return KeptCodes(tokens.codes.numpy().astype(kind), tokens.num_samples, durations)

    def tokens(self, tokenizer: Tokenizer) -> Tokens:
        """The Tokens that ``tokenizer`` made."""
        tokens = tokenizer.tokens(torch.from_numpy(self.codes), self.num_samples)
        return tokens if self.durations is None else replace(tokens, durations=torch.from_numpy(self.durations))


Outcome = KeptCodes | Failure


@dataclass
class BatchDone:
    """A batch's outcomes in the order of its items, and the CPU seconds that reading and encoding took."""

    outcomes: list[Outcome]
    read_seconds: float = 0.0
    encode_seconds: float = 0.0


@dataclass
class Begun:
    """A batch whose audio is being read."""

    items: Sequence[Item]
    streamed: bool
    clips: list[Future[ClipRead]] = field(default_factory=list)


class BatchEncoder:
    """Encodes batches, with the next one's audio read meanwhile.

    Args:
        tokenizer: that encodes.
        num_codebooks: to keep.
        dedup: whether runs of equal columns are merged.
        readers: threads or processes that decode and resample.
        strict: whether damaged files that could yet be read are refused.
    """

    def __init__(
        self, tokenizer: Tokenizer, num_codebooks: int, dedup: bool, readers: Executor, strict: bool = False
    ) -> None:
        self.tokenizer, self.num_codebooks, self.dedup, self.readers = tokenizer, num_codebooks, dedup, readers
        self.strict = strict

    def begin(self, items: Sequence[Item], streamed: bool) -> Begun:
        """Have a batch read. A streamed item is read while it is encoded, so that it is never held whole."""
        if streamed:
            return Begun(items, True)
        rate = self.tokenizer.sample_rate
        return Begun(items, False, [self.readers.submit(read, item, rate, self.strict) for item in items])

    def finish(self, begun: Begun) -> BatchDone:
        """Encode a batch as soon as it is read.

        Raises:
            ImportError: the tokenizer needs a package that is missing, which no item would survive.
        """
        if begun.streamed:
            return self._stream(begun.items[0])
        found = [future.result() for future in begun.clips]
        begun.clips.clear()
        started = time.thread_time()
        clips = {i: clip.samples for i, clip in enumerate(found) if not isinstance(clip.samples, Failure)}
        encoded = dict(zip(clips, self._encode(list(clips.values())), strict=True))
        outcomes = [
            clip.samples if isinstance(clip.samples, Failure) else _warned(encoded[i], clip.warnings)
            for i, clip in enumerate(found)
        ]
        return BatchDone(outcomes, sum(clip.seconds for clip in found), time.thread_time() - started)

    def _encode(self, clips: list[np.ndarray]) -> list[Outcome]:
        """As one batch; if that fails, one by one, so that a bad clip doesn't take its neighbours."""
        tokenizer, rate, k = self.tokenizer, self.tokenizer.sample_rate, self.num_codebooks
        together = attempt(tokenizer.encode_batch, clips, rate, num_codebooks=k)
        many: Sequence[Tokens | Failure] = (
            [attempt(tokenizer.encode, clip, rate, num_codebooks=k) for clip in clips]
            if isinstance(together, Failure)
            else together
        )
        return [tokens if isinstance(tokens, Failure) else self._keep(tokens) for tokens in many]

    def _stream(self, item: Item) -> BatchDone:
        done = BatchDone([])
        started = time.thread_time()

        def run() -> Outcome:
            parts: list[Tokens] = []
            with open_item(item, self.strict) as reader:
                encoder = self.tokenizer.stream_encoder(self.num_codebooks, reader.rate)
                before = time.thread_time()
                for block in clip_blocks(item, reader, self.tokenizer.block_seconds):
                    done.read_seconds += time.thread_time() - before
                    parts.append(encoder.push(block))
                    before = time.thread_time()
                parts.append(encoder.flush())
            codes = torch.cat([part.codes for part in parts], 1)
            kept = self._keep(self.tokenizer.tokens(codes, sum(part.num_samples for part in parts)))
            return _warned(kept, tuple(reader.warnings))

        done.outcomes.append(attempt(run))
        done.encode_seconds = time.thread_time() - started - done.read_seconds
        return done

    def _keep(self, tokens: Tokens) -> KeptCodes:
        return KeptCodes.of(tokens.dedup() if self.dedup else tokens)


def _warned(outcome: Outcome, warnings: tuple[str, ...]) -> Outcome:
    return replace(outcome, warnings=warnings) if warnings and isinstance(outcome, KeptCodes) else outcome
