"""What a corpus is read from: manifests of every kind as text, and tar shards."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from itertools import islice
from pathlib import Path

from codectok.items.clips import read_clip
from codectok.items.corpus import read_corpus
from codectok.store.npy import add_member
from tests.audio.making import encoded, noise
from tests.files.mutants import changed_bytes, mutant

CUT = {
    "id": "a", "start": 0.1, "duration": 0.2, "channel": 0, "type": "MonoCut",
    "supervisions": [{"id": "s", "recording_id": "r", "start": 0.0, "duration": 0.2, "text": "hi", "speaker": "x"}],
    "recording": {
        "id": "r", "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0,
        "sources": [{"type": "file", "channels": [0], "source": "a.wav"}],
    },
}  # fmt: skip
ROW = {"audio_filepath": "a.wav", "offset": 0.1, "duration": 0.2, "text": "hi", "speaker": 3, "id": "x"}
TEXTS = {
    "a.csv": "id,path,start,end,text\nx,a.wav,0.1,0.3,hi\ny,a.wav,0.3,0.4,\"a, b\"\n",
    "a.tsv": ".\na.wav\t16000\n",
    "b.tsv": "path\tstart\tduration\na.wav\t0.1\t0.2\n",
    "wav.scp": "x a.wav\ny a.wav\n",
    "a.txt": "a.wav\nb/{0..3}.wav\n",
    "b.txt": "shards/{000..009}.tar\n",
    "a.csv.gz": "id,path\nx,a.wav\n",
}  # fmt: skip


class Manifest:
    """Tables, lists, JSON lines, Kaldi, fairseq, lhotse, some of them gzipped."""

    name = "manifest"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "a.wav").write_bytes(encoded(folder, noise(16_000), "WAV"))
        self.path = folder / "a.csv"
        self.path.write_text(TEXTS["a.csv"])

    def change(self, rng: random.Random) -> None:
        """A mutant of one kind."""
        name = rng.choice([*TEXTS, "a.jsonl", "b.jsonl", "a.jsonl.gz"])
        if name in TEXTS:
            data = TEXTS[name].encode()
            data = changed_bytes(data, rng) if rng.random() < 0.7 else _numbers(data, rng)
        else:
            lines = [mutant(CUT if name != "b.jsonl" else ROW, rng), json.dumps(ROW)]
            data = "\n".join(lines[:: rng.choice((1, -1))]).encode(errors="surrogatepass")
        if name.endswith(".gz"):
            data = gzip.compress(data, mtime=0)
            data = data if rng.random() < 0.7 else changed_bytes(data, rng)
        self.path.unlink(missing_ok=True)
        self.path = self.folder / name
        self.path.write_bytes(data)

    def use(self) -> None:
        """All items, as a run scans them."""
        read_corpus(self.path).scan()


def _numbers(data: bytes, rng: random.Random) -> bytes:
    """With its numbers grown: times of a thousand million seconds, braces of as many names."""
    odd = (b"1e9", b"-1", b"nan", b"inf", b"1e308", b"999999999999", b"9" * 400, b"{0..1000000000}", b"0x10", b"")
    for digit in (b"0.1", b"0.3", b"0.2", b"0..3", b"000..009", b"16000"):
        if rng.random() < 0.6:
            data = data.replace(digit, rng.choice(odd))
    return data


class Tar:
    """Shards as webdataset has them: headers changed, half of them with a checksum that is right."""

    name = "tar"

    def __init__(self, folder: Path) -> None:
        audio = encoded(folder, noise(1_600), "WAV")
        self.whole = []
        for format in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
                for key in ("a", "b/ä", "n" * 90):
                    add_member(tar, f"{key}.wav", audio)
                    add_member(tar, f"{key}.json", json.dumps(ROW).encode())
                    add_member(tar, f"{key}.txt", b"hi")
            self.whole.append(stream.getvalue())
        self.path = folder / "a.tar"
        self.path.write_bytes(self.whole[0])

    def change(self, rng: random.Random) -> None:
        """One header or more, or any byte."""
        data = bytearray(rng.choice(self.whole))
        if rng.random() < 0.3:
            data = bytearray(changed_bytes(bytes(data), rng))
        heads = [at for at in range(0, len(data) - 511, 512) if data[at + 257 : at + 262] == b"ustar"]
        for at in rng.sample(heads, min(len(heads), rng.choice((0, 1, 1, 2)))):
            block = bytearray(changed_bytes(bytes(data[at : at + 512]), rng)[:512].ljust(512, b"\0"))
            if rng.random() < 0.3:
                block[124:136] = rng.choice((b"77777777777\0", b"-0000000001\0", b"\x80" + b"\xff" * 11, b"\xff" * 12))
            if rng.random() < 0.3:
                block[156:157] = rng.choice((b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"x", b"g", b"L", b"K", b"S"))
            if rng.random() < 0.8:
                block[148:156] = b" " * 8
                block[148:156] = b"%06o\0 " % sum(block)
            data[at : at + 512] = block
        self.path.write_bytes(data)

    def use(self) -> None:
        """All items, then the audio of some."""
        corpus = read_corpus(self.path)
        corpus.scan()
        for item in islice(corpus, 4):
            read_clip(item, 16_000)
