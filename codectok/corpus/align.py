"""Word times of a corpus with texts, by the CTC model of a folder or hub id: wav2vec 2.0, HuBERT, WavLM and others."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codectok.corpus.forced import forced_path
from codectok.errors import CodectokError, FormatError
from codectok.extras import need
from codectok.files.atomic import atomic_path
from codectok.items.clips import read_clip
from codectok.items.corpus import Corpus
from codectok.items.labels import as_text
from codectok.items.word_times import Timed, words_label
from codectok.items.written import audio_path, json_line

DELIMITER = "|"
"""Between words, in the vocabularies of wav2vec 2.0 and its kin."""


@dataclass
class Aligned:
    """What came of a corpus.

    Attributes:
        items: that are aligned.
        words: in them.
        seconds: of audio.
        failed: id and reason of the others.
    """

    items: int = 0
    words: int = 0
    seconds: float = 0.0
    failed: list[tuple[str, str]] = field(default_factory=list)


class CtcAligner:
    """A CTC model that tells when each word of a text is said.

    Args:
        name: folder or hub id of a model with letters, as transformers' ``AutoModelForCTC`` opens it.
        device: where it runs.

    Raises:
        FormatError: no such model, or a vocabulary without letters.
    """

    def __init__(self, name: str | os.PathLike[str], device: str = "cpu") -> None:
        need("codectok corpus align needs", "units", "transformers")
        from transformers import AutoFeatureExtractor, AutoModelForCTC, AutoTokenizer

        name = os.fspath(name)
        keys: dict[str, Any] = {"local_files_only": os.path.isdir(name)}
        try:
            model: Any = AutoModelForCTC.from_pretrained(name, use_safetensors=True, trust_remote_code=False, **keys)
            self._extractor: Any = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False, **keys)
            tokenizer: Any = AutoTokenizer.from_pretrained(name, trust_remote_code=False, **keys)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise FormatError(f"no CTC model with a tokenizer in {name} ({reason})", path=name) from None
        self._model = model.to(device).eval()
        self.sample_rate: int = self._extractor.sampling_rate
        self._letters: dict[str, int] = tokenizer.get_vocab()
        self._blank: int = tokenizer.pad_token_id
        self._hop: int = model.config.inputs_to_logits_ratio
        self._upper = "A" in self._letters
        if self._blank is None or not {"a", "A"} & self._letters.keys():
            raise FormatError(f"{name} has no blank or no letters: give a model that writes letters", path=name)

    def align(self, samples: np.ndarray, text: str) -> list[Timed]:
        """The words of a text and their times in s.

        Letters that the model does not know are passed over; a word of none stands where the word before it ends.

        Args:
            samples: float32 [S] at ``sample_rate``.
            text: what is said in it.

        Raises:
            FormatError: a text without letters that the model knows, or of more than fit into the audio.
        """
        words = text.split()
        targets: list[int] = []
        owners: list[int] = []
        for number, word in enumerate(words):
            known = [self._letters[c] for c in (word.upper() if self._upper else word.lower()) if c in self._letters]
            if known and targets and DELIMITER in self._letters:
                targets.append(self._letters[DELIMITER])
                owners.append(-1)
            targets += known
            owners += [number] * len(known)
        inputs = self._extractor(samples, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.inference_mode():
            device = next(self._model.parameters()).device
            log_probs = self._model(inputs.input_values.to(device)).logits[0].float().log_softmax(-1).cpu()
        path = forced_path(log_probs, targets, self._blank)
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        for frame, place in enumerate(path):
            if place >= 0 and owners[place] >= 0:
                first.setdefault(owners[place], frame)
                last[owners[place]] = frame + 1
        hop, end, found = self._hop / self.sample_rate, 0.0, []
        for number, word in enumerate(words):
            start = first[number] * hop if number in first else end
            end = min(last[number] * hop, len(samples) / self.sample_rate) if number in last else end
            found.append((word, start, max(start, end)))
        return found


def align_corpus(
    corpus: Corpus, output: Path, aligner: CtcAligner, progress: Callable[[int], None] = lambda n: None
) -> Aligned:
    """Write a JSONL manifest of the corpus's items with a label ``words``; what has no text or fails is left out.

    Args:
        corpus: with texts.
        output: .jsonl file.
        aligner: the model.
        progress: told the items done.

    Raises:
        CodectokError: another ending, or not one item could be aligned; nothing is written.
        FormatError: an id that comes twice.
    """
    target, made = output.absolute(), Aligned()
    if target.suffix.lower() != ".jsonl":
        raise CodectokError(f"{target} must end in .jsonl")
    corpus.scan()
    with atomic_path(target) as path, open(path, "w", encoding="utf-8") as file:
        for item in corpus:
            try:
                text = as_text(item.labels.get("text"))
                if not text:
                    raise FormatError("it has no text: give a manifest with one")
                samples = read_clip(item, aligner.sample_rate)
                words = aligner.align(samples, text)
                entry = {"id": item.id, "path": audio_path(item.path, str(target.parent)), "offset": item.offset}
                entry |= {"duration": item.duration, "member": item.member, **item.labels, "words": words_label(words)}
                file.write(json_line({key: value for key, value in entry.items() if value is not None}))
                made.items, made.words = made.items + 1, made.words + len(words)
                made.seconds += len(samples) / aligner.sample_rate
            except (CodectokError, OSError) as error:
                made.failed.append((item.id, " ".join(str(error).split())))
            progress(1)
        if not made.items:
            raise CodectokError(f"nothing could be aligned in {corpus.source} ({made.failed[0][1]})")
    return made
