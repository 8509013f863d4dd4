"""Labels of formats of lines: in the files beside the units that their own readers expect, a line an utterance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from codectok.items.labels import Label
from codectok.store.formats.line_file import LineFile
from codectok.store.ids import WHITE_SPACE, IdEscape
from codectok.store.info import Row, StoreInfo


@dataclass(frozen=True)
class LabelFile(LineFile):
    """A file of one label.

    Attributes:
        word: whether a value is one word, so that blanks in it are escaped; line ends always are.

    Where lines have ids, an utterance without the label has no line; where they have none, an empty one.
    """

    word: bool = False

    @cached_property
    def values(self) -> IdEscape:
        """How values are spelled here."""
        return IdEscape(WHITE_SPACE if self.word else "")


def write_labels(shard: Path, rows: Sequence[Row], info: StoreInfo, files: Mapping[str, LabelFile]) -> None:
    """Write the files of the labels that the store keeps."""
    if info.labels is None:
        return
    found = [info.labels_of(row) for row in rows]
    for name in info.labels.types:
        file, lines = files[name], []
        for (key, _), labels in zip(rows, found, strict=True):
            if name in labels:
                lines.append((key, file.values.escape(info.labels.spell(name, labels[name]))))
            elif not file.separator:
                lines.append((key, ""))
        file.write(shard, lines)


class ShardLabels:
    """The labels of a shard, read from such files.

    Raises:
        FormatError: a file that is damaged.
        ValueError: by ``of``, a label that is not of its type.
    """

    def __init__(self, shard: Path, info: StoreInfo, files: Mapping[str, LabelFile]) -> None:
        self._info = info
        self._lines: dict[str, dict[str, str]] = {}
        self._texts: dict[str, list[str]] = {}
        for name in () if info.labels is None else info.labels.types:
            lines = files[name].read(shard)
            if files[name].separator:
                self._lines[name] = _restored(lines, files[name])
            else:
                self._texts[name] = [files[name].values.restore(text) for _, text in lines]

    def of(self, row: int, key: str) -> dict[str, Label]:
        """Of a row, by its number or its id."""
        labels = self._info.labels
        if labels is None:
            return {}
        found = {name: lines[key] for name, lines in self._lines.items() if key in lines}
        found |= {name: texts[row] for name, texts in self._texts.items() if texts[row]}
        return labels.read({name: labels.parse(name, text) for name, text in found.items()})


def _restored(lines: Iterable[tuple[str | None, str]], file: LabelFile) -> dict[str, str]:
    return {key: file.values.restore(text) for key, text in lines if key is not None}
