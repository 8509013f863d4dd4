"""Making a speech model of a language model that never heard anything, and opening one that was saved."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from codectok.abilities import TrainsEncoder
from codectok.errors import CodectokError, FormatError
from codectok.files.model_folder import read_config, read_tensors
from codectok.llm.continuous.audio_input import CROSS_ATTENTION, FILE, PROJECTED, AudioInput
from codectok.llm.continuous.encoders import EncoderConcat
from codectok.llm.continuous.gated import GatedLLM
from codectok.llm.continuous.heard_audio import AudioFrontEnd, Heard, collate_heard
from codectok.llm.continuous.listening import PLACE, ListeningModel, PlainLLM
from codectok.llm.continuous.registry import build_projector, load_projector
from codectok.llm.continuous.speech_llm import SpeechLLM
from codectok.llm.continuous.speech_model import FORMAT_VERSION, PROJECTOR, TENSORS, SpeechModel
from codectok.llm.model.adapters import open_whole
from codectok.llm.model.extend import ExtendOptions, extend_model, make_vocab
from codectok.llm.model.folder import open_model, open_text_tokenizer
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.vocab_file import FILE as VOCAB_FILE
from codectok.settings.build import build_from

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""That language models are stored in."""


def make_speech_model(
    base: str,
    hearing: AudioFrontEnd,
    *,
    letters: str = "",
    lora_rank: int = 16,
    seed: int = 0,
) -> SpeechModel:
    """A language model with a fresh projector, drawn from torch's generator, or with new rows for codes.

    Args:
        base: folder or hub id of a causal language model; with audio tokens or without.
        hearing: opened encoders.
        letters: labels of the CTC projector.
        lora_rank: of an encoder that is trained by low-rank updates.
        seed: of new rows.

    Raises:
        CodectokError: a base model without an end of text, or one that does not fit the settings.
    """
    chosen = hearing.input
    text_tokenizer = open_text_tokenizer(base)
    if text_tokenizer.eos_token_id is None:
        raise FormatError(f"the text tokenizer of {base} has no end of text: answers could not end")
    vocab = AudioVocab.load(base) if (Path(base) / VOCAB_FILE).is_file() else None
    llm = open_whole(base)
    dtype = llm.dtype
    llm.float()
    if chosen.input == "discrete":
        if vocab is None:
            tok = hearing.tokenizers[0]
            vocab = make_vocab(text_tokenizer, tok, num_codebooks=chosen.codebooks or None)
            plain = copy.deepcopy(text_tokenizer)
            extend_model(llm, plain, vocab, ExtendOptions(init=chosen.init, seed=seed), tok)
            text_tokenizer = plain
        hearing = hearing.writing(text_tokenizer, vocab)
    encoders = trained_encoders(hearing, lora_rank)
    width, projector = llm.get_input_embeddings().weight.shape[1], None
    if chosen.input in PROJECTED and chosen.projector != CROSS_ATTENTION:
        options = dict(chosen.projector_options) | ({"labels": len(letters)} if chosen.with_ctc else {})
        projector = build_projector(chosen.kind, sum(hearing.dims), width, **options)
    model = assemble(llm, text_tokenizer, hearing, projector, encoders=encoders)
    return SpeechModel(model, text_tokenizer, vocab, hearing, letters, lora_rank, dtype)


def assemble(
    llm: Any,
    text_tokenizer: Any,
    hearing: AudioFrontEnd,
    projector: Any,
    *,
    gain: float = 1.0,
    encoders: Sequence[nn.Module] = (),
) -> ListeningModel:
    """The parts as one model.

    Raises:
        CodectokError: options that cross-attention does not have.
    """
    chosen = hearing.input
    start = text_tokenizer.bos_token_id
    head = torch.tensor([] if start is None else [start], dtype=torch.int64)
    join = EncoderConcat(hearing.dims, hearing.rates) if chosen.input in PROJECTED else None
    reader: SpeechLLM | GatedLLM | PlainLLM = PlainLLM(llm)
    if projector is not None:
        reader = SpeechLLM(llm, projector, PLACE, gain)
    elif join is not None:
        try:
            reader = GatedLLM(llm, join.out_dim, **dict(chosen.projector_options))
        except TypeError:
            given = ", ".join(chosen.projector_options)
            raise FormatError(f"projector_options {given}: xattn has every, heads, head_dim and feedforward") from None
    positions = getattr(llm.config, "max_position_embeddings", None) or 1 << 30
    return ListeningModel(reader, head, join, encoders, chosen.ctc_weight, positions)


def trained_encoders(hearing: AudioFrontEnd, rank: int) -> list[nn.Module]:
    """Of each encoder, what is trained of it; [] where they stay frozen.

    Raises:
        CodectokError: one that cannot be trained.
    """
    how = hearing.input.encoder_train
    if how == "frozen":
        return []
    found: list[nn.Module] = []
    for tok in hearing.tokenizers:
        if not isinstance(tok, TrainsEncoder):
            raise CodectokError(
                f"encoder_train {how}: {tok.name} cannot be trained here, a speech encoder NAME@layer=L can"
            )
        found.append(tok.trained(rank if how == "lora" else None))
    return found


@torch.no_grad()
def fit_gain(model: ListeningModel, clips: Sequence[Heard]) -> None:
    """Bring the soft tokens to the scale of the text's embeddings: else they drown it, or drown in it."""
    if not isinstance(model.reader, SpeechLLM) or not clips:
        return
    heard = model.features(collate_heard(clips))
    assert heard is not None
    soft, counts = model.reader.projector(*heard)
    size = soft.square().sum() / max(1, int(counts.sum()) * soft.shape[2])
    text = model.llm.get_input_embeddings().weight.square().mean()
    if size > 0:
        model.reader.gain = float((text / size).sqrt())


def open_speech_model(
    folder: str | os.PathLike[str], device: str = "cpu", named: Sequence[str] | None = None, dtype: Any = torch.float32
) -> SpeechModel:
    """Open what :meth:`SpeechModel.save_pretrained` wrote, in evaluation mode.

    Args:
        folder: of the model.
        device: for torch.
        named: where the encoders are now, if not where they were.
        dtype: of the language model.

    Raises:
        FormatError: damaged, or of another version.
        FingerprintError: another encoder than it was trained with.
    """
    source = Path(folder)
    about = read_config(source, FILE)
    version = about.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise FormatError(f"{source} is of format {version}, this version reads {FORMAT_VERSION}", path=source)
    try:
        fingerprints, gain, letters = about.pop("fingerprints"), float(about.pop("gain")), str(about.pop("letters"))
        rank = int(about.pop("lora_rank"))
        stored = {str(kind): kind for kind in DTYPES}[about.pop("dtype")]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{source / FILE} is damaged ({error}): train the model again", path=source) from None
    hearing = AudioFrontEnd.open(build_from(AudioInput, about, str(source / FILE)), device, named)
    hearing.check(fingerprints)
    text_tokenizer = open_text_tokenizer(source)
    vocab = AudioVocab.load(source) if (source / VOCAB_FILE).is_file() else None
    if hearing.input.input == "discrete":
        if vocab is None:
            raise FormatError(f"{source} has no {VOCAB_FILE}: get the whole folder", path=source)
        hearing = hearing.writing(text_tokenizer, vocab)
    projected = hearing.input.input in PROJECTED and hearing.input.projector != CROSS_ATTENTION
    projector = load_projector(source / PROJECTOR) if projected else None
    encoders = trained_encoders(hearing, rank)
    model = assemble(open_model(source, dtype), text_tokenizer, hearing, projector, gain=gain, encoders=encoders)
    _fill(model, source)
    return SpeechModel(model.to(device).eval(), text_tokenizer, vocab, hearing, letters, rank, stored)


def _fill(model: ListeningModel, source: Path) -> None:
    """Values of ``audio_input.safetensors``."""
    wanted: dict[str, Tensor] = dict(model.encoder_parameters())
    for name, part in (("join", model.join), ("blocks", getattr(model.reader, "blocks", None))):
        if part is not None:
            wanted |= {f"{name}.{key}": value for key, value in part.named_parameters()}
    if not wanted:
        return
    tensors = read_tensors(source / TENSORS)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes != {name: tensor.shape for name, tensor in wanted.items()}:
        raise FormatError(f"{source / TENSORS} does not fit {FILE} beside it: get the whole folder", path=source)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(tensors[name])
