"""The card of a packed data set: what is in it, for who finds the folder. README.md, as Hugging Face shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
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
    """

    audio: int = 0
    marks: int = 0
    text: int = 0

    def add(self, vocab: AudioVocab, ids: np.ndarray) -> None:
        """Count some ids."""
        audio = int(((ids >= vocab.base_id) & (ids < vocab.base_id + vocab.size)).sum())
        own = int(vocab.owns(ids).sum())
        self.audio, self.marks, self.text = self.audio + audio, self.marks + own - audio, self.text + len(ids) - own


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
    if rate is not None and vocab.transform is None:  # ids of merged frames do not say how many they are
        seconds = kinds.audio / vocab.num_codebooks / float(Fraction(rate))
        rows.append(("hours of audio", f"{seconds / 3600:.4g}"))
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
