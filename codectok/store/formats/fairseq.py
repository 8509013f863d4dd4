"""The fairseq format: a single stream of units a line, as HuBERT and unit-LM recipes read it.

A shard is ``00000.tsv`` (the root line ``.``, then ``id<TAB>num_samples``), ``00000.km`` (units, a line an utterance,
in the order of the .tsv) and, where runs were merged, ``00000.dur`` (their lengths). Where the corpus has text, it is
in ``00000.wrd``, and by letters in ``00000.ltr``. ``dict.km.txt`` stands beside ``store.json``: ``<unit> 1`` for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from codectok.files.atomic import atomic_path
from codectok.store.formats.label_files import LabelFile
from codectok.store.formats.line_file import LineFile
from codectok.store.formats.lines import LineFormat
from codectok.store.info import Row, StoreInfo

MANIFEST = LineFile(".tsv", "\t", header=".")
"""The fairseq manifest, also what GSLM and textlesslib start from: the root, then path and samples."""
LETTERS = LineFile(".ltr")
_TEXT = LabelFile(".wrd")


class FairseqFormat(LineFormat):
    """The fairseq format: a single stream of units a line, as HuBERT and unit-LM recipes read it."""

    extras: tuple[str, ...] = ("dict.km.txt",)
    bpe_ids = True

    def __init__(self) -> None:
        super().__init__("fairseq", MANIFEST, LineFile(".km"), LineFile(".dur"), {"text": _TEXT})
        self.label_suffixes = (".wrd", LETTERS.suffix)

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write the files, and the letters of the text, which its recipes train on."""
        super().write_shard(path, rows, info)
        if info.labels is not None:
            texts = (info.labels_of(row).get("text") for row in rows)
            spelled = ("" if text is None else _TEXT.values.escape(str(text)) for text in texts)
            LETTERS.write(path, ((key, _letters(text)) for (key, _), text in zip(rows, spelled, strict=True)))

    def write_extras(self, folder: Path, info: StoreInfo) -> None:
        """Write ``dict.km.txt``."""
        with atomic_path(folder / "dict.km.txt") as partial:
            partial.write_text("".join(f"{u} 1\n" for u in range(sum(info.codebook_sizes))), newline="\n")


def _letters(text: str) -> str:
    """As fairseq's ``libri_labels.py``: ``H I | Y O U |``."""
    return " ".join(text.replace(" ", "|")) + " |" if text else ""
