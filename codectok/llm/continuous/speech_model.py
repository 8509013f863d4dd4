"""A listening model with all that belongs to it: asked for answers, and saved as a folder."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from codectok.errors import CodectokError
from codectok.files.atomic import atomic_path
from codectok.llm.continuous.audio_input import FILE, AudioInput
from codectok.llm.continuous.gated import GatedLLM
from codectok.llm.continuous.heard_audio import AudioFrontEnd, Heard, collate_heard
from codectok.llm.continuous.listening import ListeningModel
from codectok.llm.continuous.registry import save_projector
from codectok.llm.continuous.speech_llm import SpeechLLM
from codectok.llm.sequence.text_only import TextEncoder
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.text_tokenizer import add_to, next_id

TENSORS = "audio_input.safetensors"
PROJECTOR = "projector"
FORMAT_VERSION = 1


@dataclass(eq=False)
class SpeechModel:
    """What ``codectok llm train MANIFEST ... input=...`` makes.

    Attributes:
        model: language model, projector, and encoders where they are trained.
        text_tokenizer: of the language model.
        vocab: of its audio tokens; None where it has none.
        hearing: what makes the audio into what it is given.
        letters: labels of the CTC projector, in order; "" of others.
        lora_rank: of an encoder that is trained by low-rank updates.
        dtype: that the language model came in, and is stored in when its training ends.
    """

    model: ListeningModel
    text_tokenizer: Any
    vocab: AudioVocab | None
    hearing: AudioFrontEnd
    letters: str = ""
    lora_rank: int = 16
    dtype: torch.dtype = torch.float32

    @property
    def input(self) -> AudioInput:
        """The settings."""
        return self.hearing.input

    def text_encoder(self) -> TextEncoder:
        """Encodes text of which no token is special or audio, whatever it spells."""
        return TextEncoder(*self.known_text())

    def known_text(self) -> tuple[Any, AudioVocab]:
        """A text tokenizer and a vocabulary that belong together, also where the model has no audio tokens."""
        if self.vocab is not None:
            return self.text_tokenizer, self.vocab
        tokenizer, vocab = copy.deepcopy(self.text_tokenizer), AudioVocab.create((1,), next_id(self.text_tokenizer))
        add_to(tokenizer, vocab)
        return tokenizer, vocab

    @property
    def end(self) -> int:
        """Id of the end of an answer."""
        return int(self.text_tokenizer.eos_token_id)

    def answer(
        self, clips: Sequence[Heard], prompt: str | None = None, max_new_tokens: int = 64, **draw: Any
    ) -> list[str]:
        """What the model says to each clip (as ``hearing`` gave it), as text.

        Args:
            clips: one or several.
            prompt: text behind the audio; None for that of the training.
            max_new_tokens: at most.
            draw: of the language model's ``generate``; the likeliest ids without.
        """
        text = self.input.prompt if prompt is None else prompt
        ids = torch.from_numpy(self.text_encoder()(text, False))
        if not len(ids):
            raise CodectokError("the prompt is empty: give some text, or leave it out for that of the training")
        banned = None if self.vocab is None else self.vocab.id_mask.nonzero()[0].tolist()
        given = {"do_sample": False, "eos_token_id": self.end, "pad_token_id": self.end, **draw}
        batch = collate_heard(clips) if self.input.input != "none" else {}
        said = self.model.generate(batch, ids, max_new_tokens=max_new_tokens, suppress_tokens=banned, **given)
        return [self.text_tokenizer.decode(row, skip_special_tokens=True).strip() for row in said]

    def save_pretrained(self, folder: Path) -> None:
        """Write language model, text tokenizer, projector, and ``audio_input.json`` last."""
        self.llm_to(folder)
        tensors = {f"join.{k}": v for k, v in self.model.join.state_dict().items()} if self.model.join else {}
        if isinstance(self.model.reader, GatedLLM):
            tensors |= {f"blocks.{k}": v for k, v in self.model.reader.blocks.state_dict().items()}
        tensors |= self.model.encoder_parameters()
        gain = 1.0
        if isinstance(self.model.reader, SpeechLLM):
            save_projector(self.model.reader.projector, folder / PROJECTOR)
            gain = self.model.reader.gain
        if tensors:
            with atomic_path(folder / TENSORS) as path:
                save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, path, {"format": "pt"})
        about = {
            "format_version": FORMAT_VERSION,
            **self.input.to_dict(),
            "cache": "",
            "fingerprints": self.hearing.fingerprints,
        }
        about |= {"gain": gain, "letters": self.letters, "lora_rank": self.lora_rank, "dtype": str(self.dtype)}
        with atomic_path(folder / FILE) as path:
            path.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    def llm_to(self, folder: Path) -> None:
        """Write the language model alone."""
        self.model.llm.save_pretrained(folder)
        self.text_tokenizer.save_pretrained(folder)
        if self.vocab is not None:
            self.vocab.save(folder)
