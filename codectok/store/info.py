"""What a store is made of: its description, its rows, and the protocol of its formats."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from codectok.errors import FormatError
from codectok.extras import need
from codectok.items.labels import Label, Labels
from codectok.store.label_columns import LabelColumns
from codectok.tokens import Tokens
from codectok.transforms.unit_transform import UnitTransform

STORE_VERSION = 1
BPE_VERSION = 2
"""Of a store that holds BPE ids: what reads version 1 alone would take them for codes."""


class _Pair(NamedTuple):
    id: str
    tokens: Tokens


class Row(_Pair):
    """An id and its tokens, as stored (deduplicated where the store is): a pair that has labels beside it.

    ``for key, tokens in store`` goes on, and ``row.labels`` is what the corpus says of the utterance.
    """

    labels: Labels

    def __new__(cls, id: str, tokens: Tokens, labels: Labels | None = None) -> Row:  # noqa: D102
        row = super().__new__(cls, id, tokens)
        row.labels = {} if labels is None else labels
        return row

    def __eq__(self, other: object) -> bool:
        """Of a plain pair, labels are not asked."""
        return tuple.__eq__(self, other) is True and (not isinstance(other, Row) or self.labels == other.labels)

    def __ne__(self, other: object) -> bool:  # or that of a tuple would be asked, which knows no labels
        return not self == other

    def _replace(self, **changes: Any) -> Row:
        """The same row but for some of ``id``, ``tokens`` and ``labels``."""
        return Row(**{"id": self.id, "tokens": self.tokens, "labels": self.labels, **changes})

    __hash__ = tuple.__hash__


@dataclass(frozen=True)
class StoreOptions:
    """How the codes were arranged before they were written.

    Attributes:
        dedup: runs of equal columns are merged and their lengths kept.
        flatten: the K codebooks are interleaved into one stream (single-stream formats only).
        items_per_shard: manifest items to a shard, failed ones included.
        batch_seconds: most audio that was tokenized together, padding included: what is in a batch may decide a tie.
        device: kind of device that models ran on ("cpu", "cuda"): each adds floats in its own order, which may decide
            a tie too.
        strict: audio that is damaged and could yet be read was refused.

    Examples:
        >>> from codectok.store import open_store
        >>> open_store("store").info.options.items_per_shard
        1000
    """

    dedup: bool = False
    flatten: bool = False
    items_per_shard: int = 1000
    batch_seconds: float = 60.0
    device: str = "cpu"
    strict: bool = False


@dataclass(frozen=True)
class StoreInfo:
    """What ``store.json`` says of every shard: enough to read one back without the tokenizer.

    Attributes:
        format: name of the format.
        tokenizer: name of the tokenizer.
        fingerprint: of the tokenizer.
        sample_rate: Hz, the tokenizer's.
        frame_rate: frames per second, exact.
        codebook_sizes: of the stored codebooks.
        options: see :class:`StoreOptions`.
        manifest: sha256 of the corpus's items, without their labels.
        labels: that are kept; None where there are none, as in a store of 0.1.
        transform: where the store holds BPE ids, what makes them of codes; its ``bpe.json`` lies beside.

    Examples:
        >>> from codectok.store import open_store
        >>> info = open_store("store").info
        >>> info.format, info.tokenizer, info.frame_rate
        ('parquet', 'random', Fraction(25, 1))
    """

    format: str
    tokenizer: str
    fingerprint: str
    sample_rate: int
    frame_rate: Fraction
    codebook_sizes: tuple[int, ...]
    options: StoreOptions
    manifest: str
    labels: LabelColumns | None = None
    transform: UnitTransform | None = None

    @property
    def unit_transform(self) -> UnitTransform:
        """What was done to the frames, whether that is BPE or not."""
        dedup = self.options.dedup
        return self.transform or UnitTransform(self.fingerprint, self.codebook_sizes, dedup)

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``store.json``."""
        rate = f"{self.frame_rate.numerator}/{self.frame_rate.denominator}"
        return {
            "format": self.format,
            "version": STORE_VERSION if self.transform is None else BPE_VERSION,
            "tokenizer": self.tokenizer,
            "fingerprint": self.fingerprint,
            "sample_rate": self.sample_rate,
            "frame_rate": rate,
            "codebook_sizes": list(self.codebook_sizes),
            "options": {k: v for k, v in asdict(self.options).items() if k != "strict" or v},
            "manifest": self.manifest,
            **({} if self.labels is None else {"labels": self.labels.to_json()}),
            **({} if self.transform is None else {"transform": self.transform.to_dict()}),
        }

    @staticmethod
    def from_json(entry: dict[str, Any], where: object) -> StoreInfo:
        """The inverse of ``to_json``; ``where`` names the file in errors.

        Raises:
            FormatError: another version, or a key that is missing or malformed.
        """
        version = STORE_VERSION if entry.get("transform") is None else BPE_VERSION
        if entry.get("version") != version:
            raise FormatError(
                f"{where} is of store version {entry.get('version')}, this codectok reads version {version}: "
                "use the codectok that wrote it"
            )
        try:
            return StoreInfo(
                format=str(entry["format"]),
                tokenizer=str(entry["tokenizer"]),
                fingerprint=str(entry["fingerprint"]),
                sample_rate=_sample_rate(entry["sample_rate"]),
                frame_rate=_rate(entry["frame_rate"]),
                codebook_sizes=_sizes(entry["codebook_sizes"]),
                options=StoreOptions(**entry["options"]),
                manifest=str(entry["manifest"]),
                labels=LabelColumns.from_json(entry.get("labels")),
                transform=None if entry.get("transform") is None else UnitTransform.from_dict(entry["transform"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as e:
            raise FormatError(f"{where} is damaged ({type(e).__name__}: {e}): make the store again") from e

    def tokens(self, codes: Any, num_samples: int, durations: Any) -> Tokens:
        """Tokens of one row: codes [K, T], samples at ``sample_rate``, durations [T] or None."""
        return Tokens(
            codes, num_samples, self.sample_rate, self.frame_rate, self.codebook_sizes, self.fingerprint, durations
        )

    def labels_of(self, row: tuple[str, Tokens]) -> dict[str, Label]:
        """The labels of a row that are kept.

        Raises:
            FormatError: one is of another type than the store's.
        """
        return {} if self.labels is None else self.labels.of(getattr(row, "labels", {}))

    def read_labels(self, found: Any) -> dict[str, Label]:
        """Labels as a file of the store has them, by name; None is none.

        Raises:
            ValueError: they are not what ``store.json`` says.
        """
        return {} if self.labels is None or found is None else self.labels.read(found)


WARNING = "AudioWarning"
"""The kind of a line of ``errors.jsonl`` whose item is in a shard: its file is damaged, and was read all the same."""


def _rate(text: Any) -> Fraction:
    """Of ``25/2``: a fraction of Python takes 1e999999999 too, and years over it."""
    if not re.fullmatch(r"\d{1,9}(/\d{1,9})?", str(text)) or (rate := Fraction(str(text))) == 0:
        raise ValueError("no frame rate")
    return rate


def _sample_rate(rate: Any) -> int:
    if isinstance(rate, bool) or not isinstance(rate, int) or not 1 <= rate < 2**31:
        raise ValueError("no sample rate")
    return rate


def _sizes(sizes: Any) -> tuple[int, ...]:
    found = tuple(int(n) for n in sizes)
    if not found or not all(1 <= n < 2**31 for n in found):
        raise ValueError("no codebook sizes")
    return found


@dataclass(frozen=True)
class ItemError:
    """An item of the corpus that is in none of the shards, and why; or a warning of one that is.

    Attributes:
        id: of the item.
        path: of its audio file.
        kind: class of the error.
        message: one line.

    Examples:
        >>> from codectok.store import open_store
        >>> [(error.id, error.kind) for error in open_store("store").errors]
        [('broken', 'AudioError')]
    """

    id: str
    path: str
    kind: str
    message: str

    @property
    def warns(self) -> bool:
        """Whether the item is in a shard all the same."""
        return self.kind == WARNING

    def to_line(self) -> str:
        """A line of ``errors.jsonl``."""
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


class StoreFormat(Protocol):
    """One way to write a shard: a writer, and the reader that gives back the same rows.

    A class that inherits it takes what it says nothing of from here: any label, and no file beside the shards.
    """

    name: str
    suffixes: tuple[str, ...]
    """Of all files that a shard may have, with the dot; the first is the one that a reader is given."""
    extras: tuple[str, ...] = ()
    """Names of the files that ``write_extras`` writes."""
    labels: tuple[str, ...] | None = None
    """Names of the labels that it has a place for; None, any."""
    label_suffixes: tuple[str, ...] = ()
    """Of the files that a shard has only where the store has labels."""
    bpe_ids: bool = False
    """Whether it can hold BPE ids: one codebook, beside which there are more or fewer durations than ids."""

    def check(self, info: StoreInfo) -> None:
        """Refuse what this format cannot hold.

        Raises:
            FormatError: with what to do about it.
        """

    def write_shard(self, path: Path, rows: Sequence[Row], info: StoreInfo) -> None:
        """Write ``path`` and its sister files of the other suffixes, each whole or not at all.

        Of labels, those of ``info.labels_of(row)``.

        The same rows and ``info`` give the same bytes, wherever the store lies.
        """

    def read_shard(self, path: Path, info: StoreInfo) -> Iterator[Row]:
        """Yield the rows of a shard.

        Raises:
            FormatError: a damaged file.
        """

    def write_extras(self, folder: Path, info: StoreInfo) -> None:
        """Write what the format needs once a store, such as a dictionary; all shards lie there."""


@runtime_checkable
class ReadsLabels(Protocol):
    """A format whose labels can be read without its codes."""

    def read_labels(self, path: Path, info: StoreInfo) -> Iterator[tuple[str, Labels]]:
        """Yield ids and labels of a shard, in order."""


def shard_path(folder: Path, shard: int, suffix: str) -> Path:
    """``shards/00000.EXT`` of a store."""
    return folder / "shards" / f"{shard:05d}{suffix}"


def sister(path: Path, suffix: str) -> Path:
    """Another file of the same shard."""
    return path.with_name(path.name.split(".", 1)[0] + suffix)


def need_pyarrow() -> None:
    """Make sure that pyarrow can be imported.

    Raises:
        MissingPackageError: it is not installed.
    """
    need("token stores need", "scale", "pyarrow")
