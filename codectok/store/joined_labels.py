"""Labels of a manifest joined to a store by id."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from codectok.errors import FormatError
from codectok.items.item import Item
from codectok.items.label_files import read_labels
from codectok.items.labels import Label, LabelHash, LabelTypes
from codectok.store.info import Row
from codectok.store.label_columns import LabelColumns
from codectok.store.reader import Store


@dataclass(frozen=True)
class JoinedLabels:
    """What the labels of a store will be.

    Attributes:
        columns: names, types and hash; None where there are none at all.
    """

    columns: LabelColumns | None
    _given: Mapping[str, Item]

    @staticmethod
    def read(store: Store, manifest: str | os.PathLike[str]) -> JoinedLabels:
        """Read a manifest, and the labels that the store has.

        The hash is of the manifest's labels, as a store that is made from it has it; where the store has labels of its
        own, of what they become together.

        Raises:
            FormatError: no utterance of the store is in the manifest.
        """
        given = read_labels(manifest)
        types, ours, theirs, matched = LabelTypes(), LabelHash(), LabelHash(), False
        for key, labels in store.iter_labels():
            found = _merged(given, key, labels)
            types.add(found)
            ours.add(key, found)
            matched = matched or key in given
        if not matched:
            first = next(row.id for row in store.index()) if len(store) else "none"
            raise FormatError(
                f"{manifest} has none of the utterances of {store.folder}: their ids are like {first!r}, those of the "
                f"manifest like {next(iter(given))!r}",
                path=manifest,
            )
        for key, item in given.items():
            theirs.add(key, item.labels)
        digest = theirs if store.info.labels is None else ours
        columns = LabelColumns(types.types(), digest.hexdigest()) if types.types() else None
        return JoinedLabels(columns, given)

    def of(self, row: Row) -> dict[str, Label]:
        """The labels of a row of the store."""
        return _merged(self._given, row.id, row.labels)


def _merged(given: Mapping[str, Item], key: str, labels: Mapping[str, Label]) -> dict[str, Label]:
    return {**labels, **(given[key].labels if key in given else {})}
