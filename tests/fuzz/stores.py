"""Token stores of every format: any byte of any file, or the description; half of them of the length they claim."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from pathlib import Path

from codectok.errors import CodectokError
from codectok.store import open_store
from codectok.store.verify import verify_store
from tests.files.mutants import changed_bytes, mutant
from tests.import_graph import ROOT


class AnyStore:
    """The stores of 0.1, one of each format."""

    name = "store"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = [
            {p.relative_to(source): p.read_bytes() for p in source.rglob("*") if p.is_file()}
            for source in sorted((ROOT / "tests/data/v0_1/stores").glob("units-*"))
        ]
        self._write(self.whole[0])

    def _write(self, files: dict[Path, bytes]) -> None:
        shutil.rmtree(self.folder / "s", ignore_errors=True)
        for name, data in files.items():
            path = self.folder / "s" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def change(self, rng: random.Random) -> None:
        """One file of one store."""
        files = dict(rng.choice(self.whole))
        name = rng.choice([n for n in files if n.suffix != ".html"])
        if name.name in ("store.json", "stats.json"):
            files[name] = mutant(json.loads(files[name]), rng).encode(errors="surrogatepass")
        else:
            files[name] = changed_bytes(files[name], rng)
        self._write(files)

    def use(self) -> None:
        """Its rows, index and errors; and what verify says is of one line each."""
        store = open_store(self.folder / "s")
        assert all("\n" not in line for line in verify_store(store))
        for _, tokens in store:
            with contextlib.suppress(CodectokError):  # rows after one whose runs are too long are read too
                tokens.expand()
        list(store.index())
        list(store.iter_errors())
        _ = store.stats
