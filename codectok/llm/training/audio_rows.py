"""A manifest of audio as training rows: the audio of a clip, a prompt, and the label that is to be said."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from codectok.errors import CodectokError, FormatError
from codectok.items.clips import read_clip
from codectok.items.corpus import read_corpus
from codectok.items.item import Item
from codectok.items.labels import find_text
from codectok.llm.continuous.audio_input import AudioInput
from codectok.llm.continuous.feature_cache import FeatureCache, read_features
from codectok.llm.continuous.heard_audio import Heard, collate_heard
from codectok.llm.continuous.speech_model import SpeechModel
from codectok.llm.sequence.loss_labels import IGNORE
from codectok.llm.training.data import epoch_order

CHECKED_RATE = 16000
"""Hz at which a clip is read that only has to be readable."""
Tell = Callable[[str], None]


def read_items(manifest: str, chosen: AudioInput) -> list[Item]:
    """Items of a manifest that have the label which is to be said.

    Raises:
        CodectokError: none has, or one lacks the transcript that the CTC projector learns from.
    """
    every = list(read_corpus(manifest))
    items = [item for item in every if find_text(item.labels, chosen.target)]
    if not items:
        there = sorted({name for item in every for name in item.labels})
        raise FormatError(
            f"no clip of {manifest} has a label {chosen.target!r}, which the model is to say: its labels are "
            f"{', '.join(there) or 'none'} (target=LABEL)",
            path=manifest,
        )
    if chosen.with_ctc and (without := sum(not find_text(item.labels, chosen.transcripts) for item in items)):
        raise FormatError(
            f"projector ctc learns from transcripts, and {without} of {len(items)} clips of {manifest} have no label "
            f"{chosen.transcripts!r}: name the one that has them (transcripts=LABEL), or take another projector",
            path=manifest,
        )
    twice = [name for name, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise FormatError(f"the id {twice[0]!r} comes twice in {manifest}: ids must be unique", path=manifest)
    return items


def letters_of(items: Sequence[Item], label: str) -> str:
    """All letters of the transcripts, in lower case, in order: the labels of a CTC projector."""
    return "".join(sorted({letter for item in items for letter in find_text(item.labels, label).lower()}))


class AudioRows:
    """Rows of a manifest; which of them make up a batch is a function of seed and step, for every input the same.

    Args:
        items: of the manifest, each with its label.
        speech: the model that will be trained.
        cache: folder of features.
        tell: called with a line for every clip that is left out.

    Raises:
        CodectokError: no clip can be used.
    """

    def __init__(self, items: Sequence[Item], speech: SpeechModel, cache: Path, tell: Tell) -> None:
        chosen = speech.input
        self._read: list[Callable[[], Heard]] = []
        kept: list[Item] = []
        features = FeatureCache(cache, speech.hearing)
        for item in items:
            try:
                self._read.append(_reader(item, speech, features))
                kept.append(item)
            except (CodectokError, OSError) as error:
                tell(f"left out {item.id}: {' '.join(str(error).split())}")
        if not kept:
            raise CodectokError("no clip of the manifest can be used: see what was said of each")
        if chosen.input == "shuffled":
            self._read = _shuffled(self._read)
        if features.made or features.found:
            tell(f"features of {len(kept)} clips: {features.made} made, {features.found} were there")
        encode = speech.text_encoder()
        prompt = encode(chosen.prompt, False).tolist()
        answers = encode.batch([find_text(item.labels, chosen.target) for item in kept], False)
        self._texts = [torch.tensor([*prompt, *answer, speech.end]) for answer in answers]
        self._prompt = len(prompt)
        places = {letter: i + 1 for i, letter in enumerate(speech.letters)}
        self._letters = [
            torch.tensor([places[one] for one in find_text(item.labels, chosen.transcripts).lower() if one in places])
            for item in (kept if speech.letters else [])
        ]

    def __len__(self) -> int:
        return len(self._read)

    def heard(self, index: int) -> Heard:
        """The audio of a row."""
        return self._read[index]()

    def batch(self, seed: int, step: int, size: int) -> dict[str, Tensor]:
        """The batch of a step: what :meth:`codectok.llm.continuous.listening.ListeningModel.forward` takes."""
        places = [divmod(step * size + i, len(self)) for i in range(size)]
        rows = [int(epoch_order(len(self), seed, epoch)[i]) for epoch, i in places]
        texts = [self._texts[row] for row in rows]
        labels = [torch.cat([torch.full((self._prompt,), IGNORE), text[self._prompt :]]) for text in texts]
        found = {
            "texts": pad_sequence(texts, batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORE),
            "lengths": torch.tensor([len(text) for text in texts]),
            **collate_heard([self.heard(row) for row in rows]),
        }
        if self._letters:
            letters = [self._letters[row] for row in rows]
            found["transcripts"] = pad_sequence(letters, batch_first=True)
            found["transcript_lengths"] = torch.tensor([len(one) for one in letters])
        return found


def _reader(item: Item, speech: SpeechModel, cache: FeatureCache) -> Callable[[], Heard]:
    """What reads the audio of a row; of frozen encoders it is computed here, once."""
    tokenizers = speech.hearing.tokenizers
    if speech.input.encoder_train != "frozen" or not tokenizers:
        read_clip(item, CHECKED_RATE)  # whatever the input, what cannot be read is left out: all have the same rows
        return lambda: speech.hearing(partial(read_clip, item))
    paths = [cache.keep(i, read_clip(item, tok.sample_rate)) for i, tok in enumerate(tokenizers)]
    return partial(_read_all, paths)


def _read_all(paths: Sequence[Path]) -> Heard:
    return tuple(map(read_features, paths))


def _shuffled(readers: list[Callable[[], Heard]]) -> list[Callable[[], Heard]]:
    """Each row with the audio of another: a cycle in a fixed order, so that none keeps its own.

    Raises:
        CodectokError: there is no other.
    """
    if len(readers) < 2:
        raise CodectokError("input shuffled gives each clip the audio of another: the manifest has one clip")
    order = list(range(len(readers)))
    random.Random(0).shuffle(order)
    given = list(readers)
    for place, source in zip(order, order[1:] + order[:1], strict=True):
        given[place] = readers[source]
    return given
