"""A causal codec as a Tokenizer: block-by-block execution, batches in lockstep, exact tails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from codectok.codec.folder import save_codec
from codectok.codec.model import CodecModel, State
from codectok.codec.state_trees import take_rows
from codectok.errors import CodectokError
from codectok.files.atomic import copy_file
from codectok.files.model_folder import read_weights
from codectok.fingerprint import learn
from codectok.streaming import StreamState
from codectok.tokenizer import Tokenizer

LOCKSTEP = 8
"""Most clips of a batch that run together: more gain nothing on a CPU and cost memory."""


class CodecTokenizer(Tokenizer):
    """Any :class:`CodecModel` behind the Tokenizer interface.

    Args:
        model: the codec; moved to ``device`` and set to evaluation.
        name: how messages call it.
        fingerprint: of the code space.
        decoder_fingerprint: of the decoder.
        former: gives the fingerprint that version 0.1 gave the same model, for tokens written then.
        block_seconds: audio run at a time; None for what suits the model. The codes do not depend on it.
    """

    causal = True

    def __init__(
        self,
        model: CodecModel,
        name: str,
        fingerprint: str,
        *,
        decoder_fingerprint: str = "",
        former: Callable[[], str] | None = None,
        device: str = "cpu",
        block_seconds: float | None = None,
    ) -> None:
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.name = name
        self.fingerprint, self.decoder_fingerprint, self._former = fingerprint, decoder_fingerprint, former
        self.sample_rate = model.sample_rate
        self.frame_rate = Fraction(model.sample_rate, model.frame_size)
        self.codebook_sizes = model.codebook_sizes
        self.feature_dim = model.latent_dim
        self.can_decode = model.can_decode
        self.block_seconds = model.block_seconds if block_seconds is None else block_seconds
        self.least_block_frames = model.first_frames
        self.block_frames = max(model.first_frames, round(self.block_seconds * model.sample_rate / model.frame_size))

    def knows(self, fingerprint: str) -> bool:
        """Whether tokens of that fingerprint are of this code space, those of version 0.1 included."""
        if not super().knows(fingerprint) and self._former is not None:
            # A hash of all weights: only where something else than today's name asks for it, and once.
            learn(self._former(), self.fingerprint)
            self._former = None
        return super().knows(fingerprint)

    def num_frames(self, num_samples: int) -> int:
        """The model's formula."""
        return self.model.num_frames(num_samples)

    def decoded_codebooks(self, num_codebooks: int) -> int:
        """The model's."""
        return self.model.decoded_codebooks(num_codebooks)

    def code_distances(self, feature: Tensor, codes: Tensor, level: int) -> Tensor:
        """See :class:`~codectok.abilities.ExplainsCodes`."""
        return self.model.quantizer.distances(feature, codes, level)

    # -- offline ----------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _encode(self, clips: list[np.ndarray], num_codebooks: int) -> list[Tensor]:
        parts: list[list[Tensor]] = [[] for _ in clips]
        for rows, latents in self._latent_blocks(clips):
            codes = self.model.quantize(latents, num_codebooks).cpu()
            for row, c in zip(rows, codes, strict=True):
                parts[row].append(c)
        return [torch.cat(p, 1) for p in parts]

    @torch.inference_mode()
    def _features(self, clips: list[np.ndarray]) -> list[Tensor]:
        parts: list[list[Tensor]] = [[] for _ in clips]
        for rows, latents in self._latent_blocks(clips):
            for row, z in zip(rows, latents.float().cpu(), strict=True):
                parts[row].append(z)
        return [torch.cat(p) for p in parts]

    @torch.inference_mode()
    def _decode(self, codes: list[Tensor], num_samples: list[int]) -> list[np.ndarray]:
        parts = [[torch.zeros(0)] for _ in codes]
        # A quantizer may treat its levels apart, so only items with as many codebooks run together.
        for depth in sorted({len(c) for c in codes}):
            chosen = [i for i, c in enumerate(codes) if len(c) == depth and c.shape[1]]
            columns = [codes[i].T for i in chosen]

            def step(block: Tensor, state: State, final: bool) -> tuple[Tensor, State]:
                return self.model.decode_step(self.model.dequantize(block.mT), state, final)

            for rows, samples in self._lockstep(columns, self.block_frames, step):
                for row, x in zip(rows, samples.float().cpu(), strict=True):
                    parts[chosen[row]].append(x)
        return [self._trim(torch.cat(p), n) for p, n in zip(parts, num_samples, strict=True)]

    @torch.inference_mode()
    def _decode_features(self, features: Tensor, num_samples: int) -> np.ndarray:
        if not self.can_decode:
            raise CodectokError(f"{self.name} cannot decode: it has no decoder or vocoder")
        parts = [torch.zeros(0)]
        if len(features):
            blocks = self._lockstep([features], self.block_frames, self.model.decode_step)
            parts += [x[0].float().cpu() for _, x in blocks]
        return self._trim(torch.cat(parts), num_samples)

    @torch.inference_mode()
    def _code_vectors(self, codebook: int) -> Tensor:
        # Of the sum over levels, the part of one: what code 0 at the levels before it gives is taken away.
        codes = torch.zeros(1, codebook + 1, self.codebook_sizes[codebook], dtype=torch.int64, device=self.device)
        codes[0, codebook] = torch.arange(codes.shape[2])
        vectors = self.model.quantizer.decode(codes)[0]
        if codebook:
            vectors = vectors - self.model.quantizer.decode(codes[:, :codebook, :1])[0]
        return vectors.float().cpu()

    @torch.inference_mode()
    def _quantized_features(self, codes: Tensor) -> Tensor:
        return self.model.dequantize(codes[None].to(self.device))[0].float().cpu()

    @staticmethod
    def _trim(samples: Tensor, num_samples: int) -> np.ndarray:
        # Tokens built by hand may have fewer frames than their num_samples say: silence, not a short array.
        return F.pad(samples[:num_samples], (0, max(0, num_samples - len(samples)))).numpy()

    def _latent_blocks(self, clips: list[np.ndarray]) -> Iterator[tuple[list[int], Tensor]]:
        signals = [torch.from_numpy(np.ascontiguousarray(c)) for c in clips]
        return self._lockstep(signals, self.block_frames * self.model.frame_size, self.model.encode_step)

    def _lockstep(
        self, items: list[Tensor], block: int, step: Callable[[Tensor, State, bool], tuple[Tensor, State]]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """Run ``step`` over items [N, ...] in blocks; yields the items' indices and the block's output.

        Items run side by side only while each has a whole block left. Each tail runs with the items of the very same
        tail length, so nothing is ever padded and no item can see another.
        """
        order = sorted(range(len(items)), key=lambda i: -len(items[i]))
        for first in range(0, len(order), LOCKSTEP):
            rows, state, start = order[first : first + LOCKSTEP], None, 0
            while rows:
                going = [i for i, r in enumerate(rows) if len(items[r]) - start > block]
                tails: dict[int, list[int]] = {}
                for i, r in enumerate(rows):
                    if i not in going:
                        tails.setdefault(len(items[r]) - start, []).append(i)
                for chosen in tails.values():
                    x = torch.stack([items[rows[i]][start:] for i in chosen]).to(self.device)
                    out, _ = step(x, None if state is None else take_rows(state, chosen), True)
                    yield [rows[i] for i in chosen], out
                if not going:
                    break
                if len(going) < len(rows) and state is not None:
                    state = take_rows(state, going)
                rows = [rows[i] for i in going]
                x = torch.stack([items[r][start : start + block] for r in rows]).to(self.device)
                out, state = step(x, state, False)
                yield rows, out
                start += block

    # -- streaming --------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode_step(
        self, state: StreamState, chunk: Tensor, num_codebooks: int, final: bool = False
    ) -> tuple[StreamState, Tensor]:
        """``state`` is (samples not yet used, model state or None)."""
        held, carried = cast("tuple[Tensor, State]", state or (chunk.new_zeros(0), None))
        held = torch.cat([held, chunk.float()])
        size = self.model.frame_size
        need = size * (self.model.first_frames if carried is None else 1)
        used = len(held) if final else len(held) // size * size if len(held) >= need else 0
        if used == 0 and not final:
            return (held, carried), torch.zeros(num_codebooks, 0, dtype=torch.int64)
        latents, carried = self.model.encode_step(held[None, :used].to(self.device), carried, final)
        codes = self.model.quantize(latents, num_codebooks)[0].cpu()
        return (held[used:], carried), codes

    @torch.inference_mode()
    def decode_step(self, state: StreamState, codes: Tensor, final: bool = False) -> tuple[StreamState, Tensor]:
        """``state`` is (code frames held back, model state or None)."""
        held, carried = cast("tuple[Tensor, State]", state or (codes[:, :0], None))
        held = torch.cat([held, codes], 1)
        need = self.model.first_frames if carried is None else 1
        waiting = carried is not None and self.model.decoder_waits
        if held.shape[1] < need and not (final and (held.shape[1] or waiting)):
            return (held, carried), torch.zeros(0)
        z = self.model.dequantize(held[None].to(self.device))
        samples, carried = self.model.decode_step(z, carried, final)
        return (held[:, :0], carried), samples[0].float().cpu()

    # -- files ------------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write ``config.json`` and ``model.safetensors``, and ``bpe.json`` where there is a BPE.

        Weights that are still as they were opened are written as they were stored: the fingerprint stays.
        """
        whole = self.folder is not None and (self.folder / "model.safetensors").is_file()
        save_codec(self.model, folder, stored=read_weights(self.folder) if whole and self.folder else None)
        if self.folder is not None and (self.folder / "bpe.json").is_file():
            copy_file(self.folder / "bpe.json", Path(folder) / "bpe.json")

    def _move(self, device: torch.device) -> None:
        self.model.to(device)

    def __repr__(self) -> str:
        facts = {"name": self.name, "sample_rate": self.sample_rate, "codebooks": len(self.codebook_sizes)}
        return f"CodecTokenizer({json.dumps(facts)})"
