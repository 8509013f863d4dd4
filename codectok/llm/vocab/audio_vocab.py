"""AudioVocab: the declared mapping between (codebook, code) and the token ids of a language model."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FingerprintError, FormatError
from codectok.facts import TokenizerFacts
from codectok.fingerprint import fingerprint, same
from codectok.llm.vocab import token_names, vocab_file
from codectok.llm.vocab.checks import check_vocab
from codectok.llm.vocab.description import VocabDescription
from codectok.llm.vocab.id_layout import Codes
from codectok.llm.vocab.parse import parse
from codectok.llm.vocab.tags import Mark, Tag, TimeTags
from codectok.llm.vocab.token_names import TokenEntry
from codectok.llm.vocab.unit_frames import UnitReader, columns_of
from codectok.tokens import Tokens


@dataclass(frozen=True)
class AudioVocab(VocabDescription):
    """Audio tokens of a language model: names, ids, markers. Frozen, hashable, kept as ``audio_vocab.json``.

    Attributes:
        name: what it is called.
        codebook_sizes: codes of each of the K rows of a code matrix [K, T]; they may differ.
        base_id: id of the first code.
        templates: one name template (see ``name_templates``), or one for each row; () for ids without names.
        first_number: the number {n} of the first code.
        order: "codebook-major" or "code-major" (see ``id_layout``).
        reserved: ids left free behind each codebook.
        slots: the stream of each row, for codecs of several rates ((0, 1, 2, 2, 1, 2, 2) for SNAC in Orpheus);
            () means that each row is a stream.
        shared: rows of one stream take their ids from one block instead of a block each.
        framed: a flattened sequence repeats the K rows frame by frame; False for streams that have no common frame.
        marks: markers, task and language tags, each with its id.
        timestamps: timestamp tokens.
        pad_multiple: the model's rows are padded to a multiple of this.
        tokenizer_fingerprint: of the audio tokenizer whose codes these are.
        transform: what is done to its frames first: duplicates merged, BPE. ``codebook_sizes`` are of what that gives.

    Raises:
        FormatError: a description that contradicts itself, or names that could be mistaken for each other.

    Examples:
        >>> from codectok.llm import AudioVocab
        >>> vocab = AudioVocab.create([4, 4], base_id=100)
        >>> vocab.ids(np.array([[0, 3], [1, 2]]))
        array([[100, 103],
               [105, 106]])
        >>> vocab.token(100), vocab.markers
        ('<|audio_0_0|>', {'begin': 108, 'end': 109})
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_vocab(self)

    @classmethod
    def create(
        cls,
        codebook_sizes: Iterable[int],
        base_id: int,
        *,
        name: str = "audio",
        tags: Iterable[Tag] = (),
        timestamps: int = 0,
        around: tuple[str, str] | None = None,
        known: Mapping[str, int] | None = None,
        **options: Any,
    ) -> AudioVocab:
        """A new vocabulary in one run of ids: codes, <|audio_start|>, <|audio_end|>, tags, timestamps.

        Args:
            codebook_sizes: as of the audio tokenizer.
            base_id: first free id, ``len(tokenizer)``.
            name: what to call it, and its tokens: <|NAME_0_17|>.
            tags: task and language tokens, such as ``whisper_tags()``.
            timestamps: number of timestamp tokens, 50 a second (1501 reach 30 s).
            around: names of the markers around audio, in place of <|NAME_start|> and <|NAME_end|>.
            known: tokens that there are, by name: markers, tags and timestamps among them keep their ids.
            options: other fields of AudioVocab.
        """
        known = known or {}
        codes = cls(name, tuple(codebook_sizes), base_id, **{"templates": (f"<|{name}_{{k}}_{{c}}|>",), **options})
        begin, end = around or (f"<|{name}_start|>", f"<|{name}_end|>")
        listed = [("marker", "begin", begin), ("marker", "end", end), *tags]
        free = count(base_id + codes.size)
        marks = tuple(
            Mark(role, token, known[token] if token in known else next(free), kind) for kind, role, token in listed
        )
        if not timestamps:
            return dataclasses.replace(codes, marks=marks)
        times = TimeTags(0, count=timestamps)
        first = known.get(times.token(0), next(free))
        return dataclasses.replace(codes, marks=marks, timestamps=dataclasses.replace(times, base_id=first))

    @property
    def rows(self) -> int:
        """Rows of the embedding that these ids need, padded to ``pad_multiple``."""
        return -(-self.end_id // self.pad_multiple) * self.pad_multiple

    @cached_property
    def fingerprint(self) -> str:
        """32 hex digits of everything in the description."""
        return fingerprint(self.to_dict())

    @overload
    def ids(self, codes: Tokens) -> Tensor: ...
    @overload
    def ids(self, codes: Codes) -> Codes: ...
    def ids(self, codes: Any) -> Any:
        """Token ids of codes [K, T] or [B, K, T], same shape, int64; numpy for numpy, torch for torch.

        Tokens are merged first, as ``transform`` says; arrays are not.

        Raises:
            CodeRangeError: a code outside its codebook, or another number of rows.
            FingerprintError: Tokens of another audio tokenizer than this vocabulary's.
        """
        if isinstance(codes, Tokens):
            if self.tokenizer_fingerprint is not None and not same(self.tokenizer_fingerprint, codes.fingerprint):
                raise FingerprintError(
                    f"these tokens are of tokenizer {codes.fingerprint}, the vocabulary is of "
                    f"{self.tokenizer_fingerprint}: encode the audio with that one",
                    wanted=self.tokenizer_fingerprint,
                    found=codes.fingerprint,
                )
            if self.transform is not None:
                [columns] = columns_of(self, [codes.expand().codes.numpy()])
                return torch.from_numpy(self.layout.ids(columns))
            codes = codes.codes
        return self.layout.ids(codes)

    def codes(self, ids: Codes) -> Codes:
        """Codes of ids [K, T] or [B, K, T]: the exact inverse of ``ids``. For mixed or generated ids: ``parse``.

        Raises:
            CodeRangeError: an id that is no code of its row.
        """
        return self.layout.codes(ids)

    def stream_ids(self, codebook: int, codes: Codes) -> Codes:
        """Ids of codes [...] of one codebook, for streams that have no common frame."""
        return self.layout.ids(codes, codebook)

    def stream_codes(self, codebook: int, ids: Codes) -> Codes:
        """Undo ``stream_ids``."""
        return self.layout.codes(ids, codebook)

    def to_tokens(
        self,
        ids: Tensor | np.ndarray | Sequence[int],
        tok: TokenizerFacts,
        durations: Sequence[int] | np.ndarray | None = None,
    ) -> Tokens:
        """Tokens of generated ids, [L] or [1, L]: every whole frame in them, whatever text stands around.

        What makes no whole frame is left out; :func:`codectok.llm.parse` says how much that was.

        Args:
            ids: as a model says them, flattened frame by frame.
            tok: the audio tokenizer, for the rates; ``tok.decode`` makes sound of the result.
            durations: frames of each run, where ``transform`` merges them; default the mean of each unit where the BPE
                knows it, else 1.

        Raises:
            FingerprintError: the vocabulary is of another tokenizer.
            FormatError: several sequences, or a vocabulary whose streams have no common frame.

        Examples:
            >>> from codectok.llm import AudioVocab
            >>> vocab = AudioVocab.create([256], base_id=100)
            >>> vocab.to_tokens([5, 356, 228, 323, 357, 7], codectok.load("pcm"))
            Tokens(1 x 2 codes, 0.00 s, 128 kbit/s at 16000 frames/s, of ...)
        """
        table = np.asarray(ids.detach().cpu() if isinstance(ids, Tensor) else ids)
        if table.ndim > 1 and table.size != table.shape[-1]:
            raise FormatError(f"ids of shape {list(table.shape)}: give one sequence at a time")
        if self.tokenizer_fingerprint is not None and not tok.knows(self.tokenizer_fingerprint):
            raise FingerprintError(
                f"the vocabulary is of tokenizer {self.tokenizer_fingerprint}, {tok.name} is {tok.fingerprint}: "
                "load the tokenizer that the vocabulary was made for",
                wanted=self.tokenizer_fingerprint,
                found=tok.fingerprint,
            )
        codes = UnitReader(self).push(parse(self, table.reshape(-1))[0], durations)
        return tok.tokens(codes, int(codes.shape[1] * tok.sample_rate / tok.frame_rate))

    def flatten(self, ids: Codes) -> Codes:
        """Ids [K, T] in the order of a sequence, [K * T]: frame after frame."""
        return ids.T.reshape(-1)

    def token(self, id: int) -> str:
        """Name of one id.

        Raises:
            CodeRangeError: an id that is not of this vocabulary.
            FormatError: an id without a name.
        """
        return token_names.token(self, id)

    def tokens(self) -> list[str]:
        """Names of the code block, in the order of ids: ``size`` of them, free ids named too.

        Raises:
            FormatError: ids without names.
        """
        return token_names.tokens(self)

    def entries(self) -> list[TokenEntry]:
        """All tokens in the order of ids. Codes are not special (decoding keeps them), markers and tags are.

        Raises:
            FormatError: ids without names.
        """
        return token_names.entries(self)

    def id(self, token: str) -> int | None:
        """Id of a name, or None if it is not of this vocabulary."""
        return token_names.token_id(self, token)

    def to_dict(self) -> dict[str, Any]:
        """The description as plain JSON values."""
        return vocab_file.to_dict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> AudioVocab:
        """Undo ``to_dict``.

        Raises:
            FormatError: not the description of a vocabulary, or of another format.
        """
        return vocab_file.from_dict(cls, plain)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write ``audio_vocab.json`` into a folder, beside the tokenizer's files."""
        vocab_file.save(self, folder)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> AudioVocab:
        """Read ``audio_vocab.json`` from a folder.

        Raises:
            FormatError: there is none, or it is damaged.
        """
        return vocab_file.load(cls, folder)
