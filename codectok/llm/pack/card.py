"""The card of a packed data set: what is in it, for who finds the folder. README.md, as Hugging Face shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from codectok.llm.vocab.audio_vocab import AudioVocab

FILE = "README.md"


@dataclass
class Kinds:
    """Tokens by what they are.

    Attributes:
        audio: codes.
        marks: markers, tags, times.
        text: all others.
        frames: that the codes stand for, as far as ids tell (:func:`frames_by_id`).
    """

    audio: int = 0
    marks: int = 0
    text: int = 0
    frames: float = 0.0

    def add(self, vocab: AudioVocab, ids: np.ndarray) -> None:
        """Count some ids."""
        is_audio = (ids >= vocab.base_id) & (ids < vocab.base_id + vocab.size)
        audio = int(is_audio.sum())
        by_id = frames_by_id(vocab)
        if vocab.transform is None:  # as many ids each frame
            self.frames += audio / vocab.num_codebooks
        elif by_id is not None:
            self.frames += float(by_id[ids[is_audio] - vocab.base_id].sum())
        own = int(vocab.owns(ids).sum())
        self.audio, self.marks, self.text = self.audio + audio, self.marks + own - audio, self.text + len(ids) - own


@lru_cache(maxsize=4)
def frames_by_id(vocab: AudioVocab) -> np.ndarray | None:
    """Frames that each audio id stands for, float [vocab.size]; None where ids of merged runs do not tell.

    It is a part of a frame where a frame has several ids. Runs whose lengths are left out count with their means, where
    the BPE knows these.
    """
    steps = vocab.transform
    if steps is None:
        return np.full(vocab.size, 1 / vocab.num_codebooks)
    if steps.bpe is None:
        return None
    bpe = steps.units()
    if not bpe.dedup:
        return bpe.heads[1] / len(bpe.codebook_sizes)
    if bpe.mean_durations is None:
        return None
    return np.array([bpe.mean_durations[list(piece)].sum() for piece in bpe.pieces()])


def card(kinds: Kinds, counts: Mapping[str, Any], vocab: AudioVocab, about: Mapping[str, Any]) -> str:
    """The text of the card.

    Args:
        kinds: tokens of the rows.
        counts: as in ``pack.json``.
        vocab: of the audio tokens.
        about: task, tokenizer, fingerprints; ``frame_rate`` in Hz, where hours can be told.
    """
    total = max(1, kinds.audio + kinds.marks + kinds.text)
    rows = [("sequences", f"{counts['items']:,}"), ("rows", f"{counts['rows']:,}"), ("tokens", f"{counts['tokens']:,}")]
    rows += [("of these learned", f"{counts['labels'] / max(1, counts['tokens']):.1%}")]
    rate = about.get("frame_rate")
    if rate is not None and frames_by_id(vocab) is not None:
        seconds = kinds.frames / float(Fraction(rate))
        guessed = vocab.transform is not None and vocab.transform.lossy
        rows.append((f"hours of audio{', by mean lengths of runs' * guessed}", f"{seconds / 3600:.4g}"))
        if seconds:
            rows.append(("tokens a second of audio", f"{kinds.audio / seconds:.4g}"))
            rows.append(("all tokens a second of audio", f"{total / seconds:.4g}"))
    for name, count in (("audio", kinds.audio), ("text", kinds.text), ("markers, tags and times", kinds.marks)):
        rows.append((f"share of {name}", f"{count / total:.1%}"))
    rows.append(("items left out", f"{sum(counts['dropped'].values()):,}"))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    return (
        "---\ntags: [speech, audio-tokens, codectok]\n---\n"
        f"# Packed sequences: {about.get('task', 'speech')}\n\n"
        f"Token sequences for a language model, packed from a store of `{about.get('tokenizer')}` "
        f"(fingerprint `{about.get('tokenizer_fingerprint')}`).\n\n"
        f"| | |\n|---|---|\n{table}\n\n"
        "`pack.json` has every option, `dropped.jsonl` each item that was left out with its reason.\n"
    )
