"""A store format, a kind of manifest, a corpus, and a pattern for language models."""

from dataclasses import dataclass

import torch

from codectok.corpus.prepare.listing import layout_error, listed
from codectok.files.atomic import atomic_path
from codectok.items.item import Item
from codectok.llm.patterns.flatten import FrameMajor
from codectok.store.info import Row


class PlainFormat:
    """A line an utterance: id, samples, and the codes of each codebook, parted by tabs."""

    name, suffixes, extras, labels, label_suffixes = "plain", (".plain",), (), (), ()

    def check(self, info):
        pass

    def write_shard(self, path, rows, info):
        lines = [[key, str(t.num_samples), *(" ".join(map(str, c)) for c in t.codes.tolist())] for key, t in rows]
        with atomic_path(path) as partial:
            partial.write_text("".join("\t".join(line) + "\n" for line in lines))

    def read_shard(self, path, info):
        for line in path.read_text().splitlines():
            key, num_samples, *codes = line.split("\t")
            yield Row(key, info.tokens(torch.tensor([[*map(int, c.split())] for c in codes]), int(num_samples), None))

    def write_extras(self, folder, info):
        pass


def read_pipes(source, root):
    """Files that end in .pipes: path|text a line."""
    for number, line in enumerate(source.read_text().splitlines()):
        path, text = line.split("|")
        yield Item(str(number), f"{root}/{path}", labels={"text": text})


def list_memos(root):
    """Memos: the folder with the folders loud and quiet."""
    if not (root / "loud").is_dir():
        raise layout_error(root, list_memos)
    for path in sorted(root.glob("*/*.wav")):
        yield listed(path.stem, path, path.parent.name, text=path.stem)


@dataclass(frozen=True)
class Reversed(FrameMajor):
    """Frame after frame, the last codebook first."""

    def cells(self, steps, num_codebooks, num_frames=None):
        slot, frame = super().cells(steps, num_codebooks, num_frames)
        return num_codebooks - 1 - slot, frame
