"""What made the artefacts in this folder: written by 0.1.0, and run once, with the code of that time.

    python -m tests.data.v0_1.make OUT

Its imports are those of 0.1.0. A later codectok writes other files; that it reads these is what
``tests/test_old_artefacts.py`` holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import torch
from click.testing import CliRunner
from codectok.units.tokenizer import UnitTokenizer
from codectok.units.vocoder_folder import save_vocoder

from codectok import Tokens, load
from codectok.cli.main import main
from codectok.codec.dac import DacCodec, DacCodecConfig
from codectok.codec.encodec import EncodecCodec, EncodecCodecConfig
from codectok.codec.folder import save_codec
from codectok.codec.harmonic import HarmonicCodec, HarmonicCodecConfig
from codectok.codec.mimi import MimiCodec, MimiCodecConfig
from codectok.llm.vocab import AudioVocab
from codectok.store import open_store
from codectok.store.names import FORMATS, SINGLE_STREAM
from codectok.units import load_encoder
from codectok.units.vocoder import UnitVocoder, VocoderConfig
from tests.contract.subjects import save_encoder, settle, unit_streams
from tests.llm import tiny_models

CLIPS = {"five": "0145-7", "minutes": "0189-mon-5", "queue": "0281-q-p"}
MINI = Path(__file__).parents[3] / "benchmarks/mini/cc/allison"
HARMONIC = {
    "dim": 16, "depth": 1, "code_dim": 16, "parts": [1, 1, 1, 1], "part_dims": [4, 2, 4, 4],
    "codebook_sizes": [16, 12, 8, 8], "mels": 16, "noise_frames": 5,
}  # fmt: skip
MIMI = {"dim": 8, "filters": 2, "transformer_layers": 1, "heads": 2, "hidden": 8, "window": 10, "code_dim": 4}
SMALL = {
    "harmonic": (HarmonicCodec, HarmonicCodecConfig(**HARMONIC)),
    "encodec": (EncodecCodec, EncodecCodecConfig(dim=8, filters=2, codebook_sizes=[16, 12])),
    "mimi": (MimiCodec, MimiCodecConfig(**MIMI, codebook_sizes=[16, 12])),
    "dac": (DacCodec, DacCodecConfig(filters=2, latent_dim=8, code_dim=4, codebook_sizes=[16, 12])),
}


def run(*arguments: str) -> None:
    """A command of codectok, here and now."""
    result = CliRunner().invoke(main, list(arguments))
    if result.exit_code not in (0, 1):
        raise SystemExit(f"{arguments}: {result.output}")


def corpus() -> None:
    """Three clips and a file that is none."""
    Path("audio").mkdir()
    for name, source in CLIPS.items():
        shutil.copy(MINI / f"{source}.opus", f"audio/{name}.opus")
    Path("audio/bad.wav").write_text("no audio\n")
    rows = [f"audio/{name}.{'wav' if name == 'bad' else 'opus'},{name} it is,allison" for name in [*CLIPS, "bad"]]
    Path("corpus.csv").write_text("path,text,speaker\n" + "\n".join(rows) + "\n")


def tokens() -> None:
    """Of one clip, by the default codec at two depths, units with and without runs, mu-law samples."""
    for name, options in {"speech-6": ["--codebooks", "6"], "speech-24": []}.items():
        run("encode", "audio/five.opus", "-o", f"ctk/{name}.ctk", *options)
    run("encode", "audio/five.opus", "-o", "ctk/units.ctk", "--tokenizer", "units")
    Tokens.load("ctk/units.ctk").dedup().save("ctk/units-dedup.ctk")
    pcm, units = load("pcm"), load("units")
    wave = units.decode(Tokens.load("ctk/units.ctk"))
    pcm.encode(wave[: units.sample_rate // 4], units.sample_rate).save("ctk/pcm.ctk")


def stores() -> None:
    """Speech and units in every format; a store merged from two parts."""
    for form in FORMATS:
        flat = ["--flatten"] if form in SINGLE_STREAM else []
        common = ["corpus.csv", "--format", form, "--shard-size", "2", "--workers", "1"]
        run("tokenize", *common, "-o", f"stores/speech-{form}", "--codebooks", "6", *flat)
        run("tokenize", *common, "-o", f"stores/units-{form}", "--tokenizer", "units", "--dedup")
    for part in ("1/2", "2/2"):
        run("tokenize", "corpus.csv", "-o", f"part{part[0]}", "--codebooks", "2", "--shard-size", "2", "--shard", part)
    run("merge", "part1", "part2", "-o", "stores/speech-merged")
    for part in ("part1", "part2"):
        shutil.rmtree(part)


def language_model() -> None:
    """A tiny Llama with the tokens of units, all of its facts but the weights, and a dataset packed for it."""
    tiny_models.folder(Path("text-model"))
    run("llm", "extend", "text-model", "-o", "model", "--tokenizer", "units", "--languages", "en,de",
        "--timestamps", "51")  # fmt: skip
    run("llm", "extend", "text-model", "-o", "preset", "--preset", "orpheus")
    Path("vocab-orpheus").mkdir()
    shutil.move("preset/audio_vocab.json", "vocab-orpheus")
    run("tokenize", "corpus.csv", "-o", "plain", "--tokenizer", "units", "--workers", "1")
    run("llm", "pack", "plain", "-o", "pack", "--model", "model", "--text", "corpus.csv", "--length", "256")
    shutil.rmtree("plain")
    shutil.rmtree("text-model")
    shutil.rmtree("preset")


def unit_models() -> None:
    """Merges of units; k-means units over a random encoder; a voice for units."""
    run("units", "bpe", "stores/units-parquet", "--vocab-size", "502", "-o", "bpe")
    save_encoder("hubert-base", Path("km/encoder"))
    encoder = load_encoder("km/encoder", [1, 3])
    UnitTokenizer(encoder, unit_streams(encoder), "km").save_pretrained("km")
    torch.manual_seed(1)
    config = VocoderConfig(
        [30], [320, 1], ["a", "b"], "b", vars(SMALL["harmonic"][1]), dim=8, depth=1, kernel=3, ahead=2
    )
    save_vocoder(UnitVocoder(config), "vocoder", torch.float16)


def codecs() -> None:
    """A random codec of each family."""
    for name, (kind, config) in SMALL.items():
        torch.manual_seed(0)
        save_codec(settle(kind(config)), f"codecs/{name}", torch.float16)


def digest(codes: torch.Tensor) -> str:
    """Of codes, int64 [K, T]."""
    return hashlib.sha256(codes.contiguous().numpy().astype("<i8").tobytes()).hexdigest()[:16]


def facts() -> None:
    """What the test compares: fingerprints, and codes by their shape and digest."""
    found: dict[str, dict[str, object]] = {"ctk": {}, "stores": {}, "models": {}, "vocabularies": {}}
    for path in sorted(Path("ctk").glob("*.ctk")):
        one = Tokens.load(path)
        found["ctk"][path.stem] = [one.fingerprint, one.num_samples, list(one.codes.shape), digest(one.codes)]
    for path in sorted(Path("stores").iterdir()):
        store = open_store(path)
        rows = [[key, t.num_samples, list(t.codes.shape), digest(t.codes)] for key, t in store]
        found["stores"][path.name] = {"fingerprint": store.fingerprint, "rows": rows}
    wave = load("units").decode(Tokens.load("ctk/units.ctk"))
    for path in ["km", *(f"codecs/{name}" for name in SMALL), "units", "speech"]:
        tok = load(path)
        one = tok.encode(wave, load("units").sample_rate)
        found["models"][path] = [tok.fingerprint, list(one.codes.shape)]
    for path in ("model", "vocab-orpheus"):
        vocab = AudioVocab.load(path)
        found["vocabularies"][path] = [
            vocab.fingerprint,
            vocab.base_id,
            vocab.rows,
            digest(torch.tensor(vocab.id_mask)),
        ]
    Path("expected.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True)
    os.chdir(sys.argv[1])
    torch.set_num_threads(1)
    for step in (corpus, tokens, stores, language_model, unit_models, codecs, facts):
        step()
