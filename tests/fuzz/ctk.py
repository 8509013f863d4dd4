""".ctk files: half of the mutants with checksums that are right, since what they protect must hold without them."""

from __future__ import annotations

import random
import zlib
from itertools import islice
from pathlib import Path

from codectok.tokens import Tokens
from codectok.tokens.ctk_layout import BLOCK, CRC, FOOT, read_header
from codectok.tokens.ctk_reader import CtkReader
from tests.files.mutants import changed_bytes
from tests.import_graph import ROOT

BLOCKS = 16
"""That are expanded: a run may stand for any number of frames."""


def pieces_of(path: Path) -> list[bytes]:
    """Header, blocks and footer, without their checksums."""
    data = path.read_bytes()
    with open(path, "rb") as file:
        read_header(file)
        at = file.tell()
    pieces, end = [data[: at - CRC.size]], len(data) - FOOT.size - CRC.size
    while at < end:
        after = at + BLOCK.size + BLOCK.unpack_from(data, at)[1]
        pieces.append(data[at:after])
        at = after + CRC.size
    return [*pieces, data[end : end + FOOT.size]]


def joined(pieces: list[bytes]) -> bytes:
    """A file of pieces, each with its checksum."""
    first, *blocks, foot = pieces
    head = crc = zlib.crc32(first)
    out = [first, CRC.pack(crc)]
    for block in blocks:
        crc = zlib.crc32(block, crc)
        out += [block, CRC.pack(crc)]
    foot = foot[: -CRC.size] + CRC.pack(crc)
    return b"".join([*out, foot, CRC.pack(zlib.crc32(foot, head))])


class Ctk:
    """The files of 0.1, plain and with runs merged."""

    name = "ctk"

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.ctk"
        found = sorted((ROOT / "tests/data/v0_1/ctk").glob("*.ctk"))
        self.whole = [pieces_of(path) for path in found]
        self.path.write_bytes(joined(self.whole[0]))

    def change(self, rng: random.Random) -> None:
        """One or more pieces changed, and joined; or any byte."""
        pieces = list(rng.choice(self.whole))
        if rng.random() < 0.3:
            self.path.write_bytes(changed_bytes(joined(pieces), rng))
            return
        for _ in range(rng.choice((1, 1, 2))):
            at = rng.randrange(len(pieces))
            pieces[at] = changed_bytes(pieces[at], rng)
        self.path.write_bytes(joined(pieces))

    def use(self) -> None:
        """Columns, frames, and some frames block by block."""
        tokens = Tokens.load(self.path)
        with CtkReader(self.path) as reader:
            for block in islice(reader.blocks(), BLOCKS):
                assert block.shape[0] == len(reader.codebook_sizes)
        assert tokens.expand().num_frames == tokens.num_frames
