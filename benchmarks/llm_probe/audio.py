"""What a clip is to the language model: ids of codes, or features for a projector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from codectok.fingerprint import same
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.transforms.unit_bpe import bpe_of

from ..contract import Example, InputInfo, NotComputed
from .options import LLMOptions


class Hearing(Protocol):
    """Makes what stands in the prompt of an example: ids int64 [N], or features float32 [T, D]."""

    def __call__(self, example: Example) -> Tensor:
        """Of one example."""


class Nothing:
    """No audio at all."""

    def __call__(self, example: Example) -> Tensor:
        """Int64 [0]."""
        return torch.zeros(0, dtype=torch.int64)


class CodeIds:
    """Codes [K, T] as ids of a vocabulary: subsampled, runs merged, flattened frame after frame; or merged by BPE.

    Args:
        info: of a discrete input.
        options: subsample, dedup and bpe are read.
        tokenizer: of the input, where its BPE is taken from.
        base_id: of the first code, behind all ids of text.

    Raises:
        NotComputed: BPE is asked for, and the tokenizer has none for these codes.
    """

    def __init__(self, info: InputInfo, options: LLMOptions, tokenizer: Any, base_id: int) -> None:
        self.step, self.dedup = max(1, options.subsample), options.dedup
        self.bpe = _bpe(info, options, tokenizer) if options.bpe else None
        if self.bpe is not None:
            self.dedup = self.bpe.dedup
        sizes = info.codebook_sizes if self.bpe is None else (self.bpe.vocab_size,)
        self.vocab = AudioVocab.create(sizes, base_id)

    def __call__(self, example: Example) -> Tensor:
        """Ids int64 [N]."""
        codes = example.x.long()[:, :: self.step]
        if self.dedup:
            codes = torch.unique_consecutive(codes, dim=1)
        if self.bpe is not None:
            from codectok.transforms.code_orders import arrange

            symbols = arrange(codes.numpy(), self.bpe.codebook_sizes, self.bpe.pattern)
            codes = torch.from_numpy(np.asarray(self.bpe.encode_ids([symbols])[0]).astype(np.int64))[None]
        return self.vocab.flatten(self.vocab.ids(codes))


def _bpe(info: InputInfo, options: LLMOptions, tokenizer: Any) -> Any:
    found = bpe_of(tokenizer) if tokenizer is not None else None
    if found is None:
        raise NotComputed(f"{info.label} has no BPE: train one with codectok units bpe, or leave the option bpe out")
    if not same(found.tokenizer_fingerprint, info.fingerprint) or found.codebook_sizes != info.codebook_sizes:
        raise NotComputed(
            f"the BPE of {info.tokenizer} is over {len(found.codebook_sizes)} codebooks, not {info.label}"
        )
    if options.bpe is True:
        return found
    if not found.num_symbols <= options.bpe <= found.vocab_size:
        raise NotComputed(
            f"the BPE of {info.tokenizer} has vocabularies from {found.num_symbols} to {found.vocab_size}, "
            f"not {options.bpe}"
        )
    return found.truncate(options.bpe)


class Features:
    """Features [T, D] with mean 0 and deviation 1 in every dimension, by the training clips; pooled where so asked.

    Both arms that have a projector are brought to one scale so, each by its own features.

    Args:
        train: examples that the mean and deviation are of.
        pool: frames of which the mean is taken.

    Raises:
        NotComputed: features of several layers.
    """

    def __init__(self, train: Sequence[Example], pool: int) -> None:
        if any(example.x.dim() != 2 for example in train):
            raise NotComputed("the LLM probe reads features of one layer, [T, D]: choose one")
        frames = torch.cat([example.x.float() for example in train])
        self.mean, self.std = frames.mean(0), frames.std(0, correction=0).clamp_min(1e-5)
        self.pool = pool

    def __call__(self, example: Example) -> Tensor:
        """Float32 [ceil(T / pool), D]."""
        x = (example.x.float() - self.mean) / self.std
        if self.pool == 1 or not len(x):
            return x
        return F.avg_pool1d(x.T[None], self.pool, ceil_mode=True)[0].T
