"""What a vocoder learns from: the units of every clip, and the latents that a harmonic codec has for it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from codectok.codec.harmonic import HarmonicCodec
from codectok.codec.tokenizer import CodecTokenizer
from codectok.files.atomic import atomic_path
from codectok.items.tables import table_rows
from codectok.tokenizer import Tokenizer
from train_codec.data import ClipArray
from train_codec.watch.progress import RunProgress


@dataclass
class Pairs:
    """All clips one after another."""

    codes: np.ndarray
    """int32 [units, K]."""
    unit_starts: np.ndarray
    """int64 [clips + 1]."""
    latents: np.ndarray
    """float16 [code frames, width], dequantized: what the decoder was trained on."""
    latent_starts: np.ndarray
    """int64 [clips + 1]."""

    @property
    def frames(self) -> np.ndarray:
        """Code frames of each clip."""
        return np.diff(self.latent_starts)


def open_pairs(clips: ClipArray, tokenizer: Tokenizer, decoder: CodecTokenizer, folder: Path) -> Pairs:
    """Encode all clips with both, once: the results are kept in ``folder``."""
    codec = decoder.model
    assert isinstance(codec, HarmonicCodec)
    rate, few, width = codec.sample_rate, sum(codec.config.parts[:3]), codec.config.waveform_at

    def codes(audio: np.ndarray) -> np.ndarray:
        return tokenizer.encode(audio, rate).codes.T.to(torch.int32).numpy()

    def latents(audio: np.ndarray) -> np.ndarray:
        z = codec.dequantize(decoder.encode(audio, rate, num_codebooks=few).codes[None])[0]
        return z[:, :width].numpy().astype(np.float16)

    return Pairs(*_rows(clips, tokenizer, codes, folder), *_rows(clips, decoder, latents, folder))


@torch.inference_mode()
def _rows(
    clips: ClipArray, tokenizer: Tokenizer, make: Callable[[np.ndarray], np.ndarray], folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Rows that ``tokenizer`` makes of each clip, [N, ...] of all clips, and where each clip's begin, [clips + 1]."""
    facts = [tokenizer.fingerprint, clips.fingerprint, [c.length for c in clips.clips]]
    path = folder / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]}.npz"
    if not path.is_file():
        progress = RunProgress(len(clips), every=200)
        progress.note(f"encoding {len(clips)} clips with {tokenizer.name}, once")
        rows = []
        for i, clip in enumerate(clips.clips, start=1):
            rows.append(make(clips.read(clip)))
            progress.update(i, {})
        progress.close()
        with atomic_path(path) as temporary:
            np.savez(temporary, rows=np.concatenate(rows), starts=np.cumsum([0, *map(len, rows)]).astype(np.int64))
    with np.load(path) as stored:
        return stored["rows"], stored["starts"]


def speakers_of(clips: ClipArray, splits: str | os.PathLike[str]) -> list[str]:
    """The speaker of each clip: the splits' column ``speaker``, or else the folder that the clip lies in."""
    named: dict[str, str] = {}
    if os.fspath(splits):
        named = {r["path"]: r["speaker"] for _, r in table_rows(Path(splits), ("path",)) if r.get("speaker")}
    return [named.get(c.path) or Path(c.path).parent.name or "speaker" for c in clips.clips]
