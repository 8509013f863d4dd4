"""The text that ESPnet's asr2 recipes train on: a Chinese character a unit, ``chr(0x4e00 + unit)``.

A shard is ``00000.text`` (``103-1240-0000 丑伨且``), ``00000.utt2num_samples`` and, where runs were merged,
``00000.durations`` (``103-1240-0000 2 1 1``). ``distinct_cjk_token_lists`` beside ``store.json`` has a line a unit:
``0 一``. Merged runs are what the recipes call ``src_case rm``.
Where the corpus has text and speakers, they are in ``00000.text.ts``, which the recipes call ``text.ts.LANGUAGE``, and
``00000.utt2spk``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.errors import FormatError
from codectok.files.atomic import atomic_path
from codectok.store.flat import need_one_stream
from codectok.store.formats.label_files import LabelFile
from codectok.store.formats.line_file import LineFile
from codectok.store.formats.lines import LineFormat
from codectok.store.info import StoreInfo

FIRST = 0x4E00
UNITS = 0xA000 - FIRST
"""Characters of the block "CJK Unified Ideographs". What follows is other scripts, which text normalisation may change,
and from unit 35328 on surrogates, which are no characters at all."""
TOKEN_LIST = "distinct_cjk_token_lists"


class EspnetFormat(LineFormat):
    """The text that ESPnet's asr2 recipes train on: a Chinese character a unit, ``chr(0x4e00 + unit)``."""

    extras: tuple[str, ...] = (TOKEN_LIST,)

    def __init__(self) -> None:
        samples, runs = LineFile(".utt2num_samples", " "), LineFile(".durations", " ")
        beside = {"text": LabelFile(".text.ts", " "), "speaker": LabelFile(".utt2spk", " ", word=True)}
        super().__init__("espnet", samples, LineFile(".text", " "), runs, beside)

    def check(self, info: StoreInfo) -> None:
        """Refuse more than one stream, and more units than there are characters."""
        need_one_stream(self.name, info)
        units = sum(info.codebook_sizes)
        if units > UNITS:
            fewer = "--codebooks with fewer of them, " if len(info.codebook_sizes) > 1 else ""
            raise FormatError(
                f"espnet text spells a unit as one of {UNITS} Chinese characters and there are {units} units: "
                f"use {fewer}a tokenizer with a smaller codebook, or --format kaldi, which holds numbers"
            )

    def spell(self, units: Tensor) -> str:
        """Units as characters."""
        return (units.numpy() + FIRST).astype("<u4").tobytes().decode("utf-32-le")

    def parse(self, line: str) -> Tensor:
        """The inverse of ``spell``."""
        return torch.from_numpy(np.frombuffer(line.encode("utf-32-le"), "<u4").astype(np.int64) - FIRST)

    def write_extras(self, folder: Path, info: StoreInfo) -> None:
        """Write the token list."""
        with atomic_path(folder / TOKEN_LIST) as partial:
            lines = (f"{unit} {chr(FIRST + unit)}\n" for unit in range(sum(info.codebook_sizes)))
            partial.write_text("".join(lines), encoding="utf-8", newline="\n")
