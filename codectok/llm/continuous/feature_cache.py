"""Features kept on disk: by the encoder's fingerprint and layer, and a hash of the audio; no file is half-written."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codectok.files.atomic import atomic_path
from codectok.fingerprint import fingerprint
from codectok.llm.continuous.heard_audio import AudioFrontEnd


class FeatureCache:
    """What frozen encoders make of clips. Runs that share a folder, also at the same time, compute nothing twice.

    Args:
        folder: of the files, ``FOLDER/<encoder>/<ab>/<audio>.npy``; made when the first is written.
        hearing: what makes them.
    """

    def __init__(self, folder: str | os.PathLike[str], hearing: AudioFrontEnd) -> None:
        self.folder, self.hearing, self.found, self.made = Path(folder), hearing, 0, 0
        chosen = hearing.input
        kind = "continuous" if chosen.input == "shuffled" else chosen.input
        vocab = hearing.prompter.vocab.fingerprint if hearing.prompter else ""
        # The fingerprint of an encoder covers its layer; of a tokenizer, its codes, which its features decide.
        self._keys = [
            fingerprint(
                {"encoder": own, "kind": kind, "codebooks": chosen.codebooks * (kind != "continuous"), "vocab": vocab}
            )
            for own in hearing.fingerprints
        ]

    def path(self, index: int, samples: np.ndarray) -> Path:
        """Where the features of one encoder and clip, float32 [S], are or will be."""
        mark = hashlib.blake2b(np.ascontiguousarray(samples, dtype=np.float32).data, digest_size=16).hexdigest()
        return self.folder / self._keys[index] / mark[:2] / f"{mark}.npy"

    def keep(self, index: int, samples: np.ndarray) -> Path:
        """Compute what is not there yet; returns where it lies.

        Raises:
            AudioError: samples that the encoder cannot use.
        """
        path = self.path(index, samples)
        if path.is_file():
            self.found += 1
            return path
        values = self.hearing.one(index, samples).numpy()
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.save(file, values, allow_pickle=False)
        self.made += 1
        return path


def read_features(path: Path) -> Tensor:
    """What :class:`FeatureCache` wrote: float32 [T, D], or int64 [N]."""
    return torch.from_numpy(np.load(path, allow_pickle=False))
