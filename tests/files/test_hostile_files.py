"""Hostile descriptions: every mutant opens and works, or ends as one error of ours, soon and in little memory."""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import codectok
from codectok.codec.envelope import EnvelopeCodec
from codectok.codec.envelope.config import EnvelopeCodecConfig
from codectok.codec.folder import save_codec
from codectok.errors import CodectokError, FormatError
from codectok.llm import AudioVocab
from codectok.settings.values import read
from codectok.store import open_store
from codectok.units.vocoder.folder import open_vocoder
from tests.files.mutants import mutant
from tests.import_graph import ROOT

OLD = ROOT / "tests/data/v0_1"
MUTANTS = 300
SECONDS = 5.0
"""Of one mutant: a hundred times what it takes alone, for a machine that does other things too."""
GROWTH = 768 << 20
"""Bytes, over all mutants of a kind."""


def use_codec(folder: Path) -> None:
    assert codectok.load(str(folder)).frame_rate > 0


def use_vocoder(folder: Path) -> None:
    assert open_vocoder(folder).config.codebook_sizes


def use_store(folder: Path) -> None:
    store = open_store(folder)
    for _, tokens in store:
        assert tokens.num_samples >= 0
    assert list(store.index()) is not None


def use_vocab(folder: Path) -> None:
    vocab = AudioVocab.load(folder)
    assert vocab.rows >= 0
    assert vocab.fingerprint


def use_settings(folder: Path) -> None:
    read([str(folder / "recipe.yaml")], [])


def small_envelope(folder: Path) -> Path:
    torch.manual_seed(0)
    config = EnvelopeCodecConfig(
        encoder_dim=16, encoder_depth=1, decoder_dim=16, decoder_depth=1, semantic_dim=16, semantic_depth=1,
        parts=[1, 1, 1, 1], codebook_sizes=[8] * 4,
    )  # fmt: skip
    save_codec(EnvelopeCodec(config), folder)
    return folder


def sources(name: str, folder: Path) -> tuple[Path, str, Callable[[Path], None]]:
    """A folder to copy, the file in it that is changed, and what uses it."""
    if name == "envelope":
        return small_envelope(folder), "config.json", use_codec
    if name in ("dac", "encodec", "mimi", "harmonic"):
        return OLD / "codecs" / name, "config.json", use_codec
    if name == "km":
        return OLD / "km", "config.json", use_codec
    if name == "vocoder":
        return OLD / "vocoder", "config.json", use_vocoder
    if name == "store":
        return next((OLD / "stores").glob("*/store.json")).parent, "store.json", use_store
    if name == "vocab":
        return OLD / "vocab-orpheus", "audio_vocab.json", use_vocab
    folder.mkdir()
    shutil.copy(next((ROOT / "train_codec").rglob("tiny.yaml")), folder / "recipe.yaml")
    return folder, "recipe.yaml", use_settings


@pytest.mark.parametrize(
    "name", ["store", "settings", "vocoder", "vocab", "dac", "harmonic", "envelope", "encodec", "mimi"]
)
def test_every_mutant_opens_or_is_one_error(tmp_path: Path, name: str) -> None:
    source, file, use = sources(name, tmp_path / "source")
    folder = tmp_path / "mutant"
    shutil.copytree(source, folder)
    text = (folder / file).read_text()
    use(folder)
    value: Any = {"a": [1, "b", {"c": 1e-3}], "d": {"e": None}} if name == "settings" else json.loads(text)
    rng = random.Random(20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = lines = 0

    def late(*_: Any) -> None:
        raise AssertionError("a mutant hangs")

    old = signal.signal(signal.SIGALRM, late)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # What a mutant asks for beyond this fails at once, and takes no machine down.
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + 2 * GROWTH, hard))
    try:
        for number in range(MUTANTS):
            changed = mutant(value, rng)
            (folder / file).write_text(changed)
            started = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, 4 * SECONDS)
            try:
                use(folder)
            except CodectokError as error:
                refused += 1
                lines += str(error).count("\n")
            except BaseException as error:
                error.add_note(f"mutant {number}: {changed[:3000]}")
                raise
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert time.monotonic() - started < SECONDS, (number, changed[:3000])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, old)
    assert refused > MUTANTS // 8
    assert lines == 0
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak) << 10 < GROWTH


@pytest.mark.parametrize("name", ["harmonic", "km", "vocoder"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.index_fill(0, torch.tensor([0]), float("nan")), "NaN"),
        (lambda t: t.index_fill(0, torch.tensor([0]), float("-inf")), "NaN or infinite"),
        (lambda t: t > 0, "type bool"),
        (lambda t: t.to(torch.int8), "type int8"),
        (lambda t: t.to(torch.complex64), "type complex64"),
    ],
)
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, name: str, change: Any, words: str) -> None:
    source, _, use = sources(name, tmp_path / "source")
    folder = tmp_path / "spoilt"
    shutil.copytree(source, folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    last = sorted(tensors)[-1]
    tensors[last] = change(tensors[last])
    save_file(tensors, file)
    with pytest.raises(FormatError, match=words) as caught:
        use(folder)
    assert last in str(caught.value)
