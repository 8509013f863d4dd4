"""The fuzz targets, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.fuzz.audio import Flac, Mp3, Ogg, Wav
from tests.fuzz.corpora import Manifest, Tar
from tests.fuzz.ctk import Ctk
from tests.fuzz.folders import Config, Vocab
from tests.fuzz.stores import AnyStore
from tests.fuzz.target import Target

TARGETS: Mapping[str, Callable[[Path], Target]] = {
    kind.name: kind for kind in (Ctk, AnyStore, Tar, Config, Vocab, Manifest, Wav, Flac, Ogg, Mp3)
}
