"""One utterance of a corpus."""

from __future__ import annotations

from dataclasses import dataclass, field

from codectok.items.labels import Labels


@dataclass(frozen=True, slots=True)
class Item:
    """One utterance of a corpus.

    Attributes:
        id: unique in the corpus, one line of text.
        path: of the audio file, or of the tar, parquet or arrow file that holds it.
        offset: start of the utterance in the file, in seconds; None is the file's start.
        duration: length in seconds; None is up to the file's end.
        member: which audio inside ``path``, as :mod:`codectok.items.sources` spells it; None is the file itself.
        labels: what the corpus says of it: ``text``, ``speaker`` and ``language`` under these names whatever the
            manifest called them, and every other column under its own. What is not there is not known.
    """

    id: str
    path: str
    offset: float | None = None
    duration: float | None = None
    member: str | None = None
    labels: Labels = field(default_factory=dict, hash=False)

    @property
    def whole(self) -> bool:
        """Whether the item is a whole file (or tar member, or row), not a segment of one."""
        return self.offset is None and self.duration is None
