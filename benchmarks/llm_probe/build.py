"""Puts the parts of one arm together: text model, new rows or projector, LoRA."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn

from codectok.errors import FormatError
from codectok.llm.continuous import PROJECTORS, Projector, build_projector
from codectok.llm.model.extend import ExtendOptions, extend_model
from codectok.llm.sequence.text_only import TextEncoder
from codectok.llm.training.settings import TrainSettings, TrainStage
from codectok.llm.training.trainable import new_ids, prepare
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.text_tokenizer import add_to, next_id

from ..contract import Example, InputInfo, NotComputed
from .arms import Arm
from .audio import CodeIds, Features, Hearing, Nothing
from .model import SpeechReader
from .options import LLMOptions
from .text_model import TextModel


@dataclass(frozen=True)
class ArmParts:
    """One arm, ready to be trained.

    Attributes:
        hear: what of an example stands in the prompt.
        build: the untrained model; draws from torch's generator, but for the language model, which is always the same.
        encode: a text as ids, none of them special or audio, whatever it spells.
        base_id: ids below are of the text model.
        notes: words for the row.
    """

    hear: Hearing
    build: Callable[[], nn.Module]
    encode: Callable[[str], Tensor]
    base_id: int
    notes: dict[str, str]


def open_parts(
    arm: Arm,
    info: InputInfo,
    options: LLMOptions,
    base: TextModel,
    cue: str,
    train: Sequence[Example],
    seed: int,
    tokenizer: Any,
) -> ArmParts:
    """The parts of an arm.

    Args:
        arm: which.
        info: of the input.
        options: of the suite.
        base: the text model.
        cue: text between audio and label.
        train: training examples, for the scale of features.
        seed: of new rows.
        tokenizer: of the input, None where it has none: its BPE and its code vectors.

    Raises:
        NotComputed: no BPE.
        FormatError: code vectors asked for merged codes.
        CodectokError: no such projector or initialisation, or a language model that cannot be extended.
    """
    if options.bpe and base.init == "codebook":
        raise FormatError("LLM probe: init codebook goes without bpe: merged codes have no vectors of a codebook")
    free = next_id(base.tokenizer)
    codes = CodeIds(info, options, tokenizer, free) if arm.hears and info.kind == "discrete" else None
    # Text is encoded alike in all arms: by a tokenizer that knows audio tokens, and from which they are then taken.
    vocab = codes.vocab if codes else AudioVocab.create((1,), free)
    known = copy.deepcopy(base.tokenizer)
    add_to(known, vocab)
    encoder = TextEncoder(known, vocab)
    start = base.tokenizer.bos_token_id
    head, behind = torch.tensor([] if start is None else [start]).long(), torch.from_numpy(encoder(cue, False))
    notes: dict[str, str] = {}
    config, pool = _projector_options(options)
    hear: Hearing = Nothing()
    if codes:
        hear = codes
        merged = "" if codes.bpe is None else f", BPE of {codes.bpe.vocab_size}"
        notes["codes"] = f"{codes.vocab.size} new tokens{merged}{', runs merged' if codes.dedup else ''}"
    elif arm.hears:
        hear = Features([e for e in train if e.x.shape[0]], pool)
        notes["projector"] = options.projector

    def build() -> nn.Module:
        model = base.make()
        if codes:
            init = ExtendOptions(init=base.init, seed=seed)
            vectors = tokenizer if base.init == "codebook" else None
            extend_model(model, copy.deepcopy(base.tokenizer), codes.vocab, init, vectors)
        if options.tune == "lora":
            stage = TrainStage("lora+new-rows" if codes else "lora", 1, 1.0)
            settings = TrainSettings(lora_rank=options.rank, lora_alpha=2 * options.rank)
            model = prepare(model, stage, settings, new_ids(codes.vocab) if codes else torch.zeros(0).long())
        else:
            model.requires_grad_(True)
        projector: Projector | None = None
        sample = None
        if isinstance(hear, Features):
            width = model.get_input_embeddings().weight.shape[1]
            projector = build_projector(options.projector, info.dim, width, **config)
            sample = torch.cat([hear(example) for example in train[:8]])
        positions = options.max_positions or getattr(model.config, "max_position_embeddings", None) or 1 << 30
        end = base.tokenizer.eos_token_id
        return SpeechReader(model, projector, head, behind, end, free, positions, sample)

    def encode(text: str) -> Tensor:
        # A space ahead, as in running text: the pieces of most vocabularies begin with it.
        return torch.from_numpy(encoder(f" {text}", False))

    return ArmParts(hear, build, encode, free, notes)


def _projector_options(options: LLMOptions) -> tuple[dict[str, Any], int]:
    """Options of the projector, and of how many frames the mean is taken ahead of it."""
    config = dict(options.projector_options)
    kind = PROJECTORS.get(options.projector)
    own = kind is not None and "ratio" in {f.name for f in fields(kind.Config)}
    if own and options.subsample:
        if "ratio" in config:
            raise NotComputed(f"projector {options.projector} has a ratio in its options and a subsample: give one")
        return config | {"ratio": options.subsample}, 1
    return config, 1 if own else max(1, options.subsample)
