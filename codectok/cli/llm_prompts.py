"""A language model opened once, and asked for one answer after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from codectok.errors import FormatError
from codectok.llm.generate.events import Event
from codectok.llm.generate.generation import generate
from codectok.llm.generate.stream_generation import generate_streams, greedy, sampler
from codectok.llm.heads.parallel_heads import Pick
from codectok.llm.heads.stream_folder import open_streams, plan_of
from codectok.llm.heads.stream_model import StreamModel
from codectok.llm.model.extend_report import extended_with
from codectok.llm.model.folder import open_model, open_text_tokenizer, quiet
from codectok.llm.sequence.prompts import task_prompt
from codectok.llm.sequence.segments import Audio, Marker, Prompter, Segment, Text
from codectok.llm.sequence.task_table import task as task_named
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.shipped import made_by
from codectok.tokenizer import Tokenizer, load


@dataclass(frozen=True, eq=False)
class Answers:
    """What prompts have in common.

    Attributes:
        model: the language model.
        text_tokenizer: its tokenizer.
        vocab: its audio tokens.
        tok: its audio tokenizer, where it hears or speaks.
        prompt: text before the audio.
        task: arrange both as for this task.
        speak: whether sound is wanted.
        options: of :func:`codectok.llm.generate.generation.generate`.
    """

    model: Any
    text_tokenizer: Any
    vocab: AudioVocab
    tok: Tokenizer | None
    prompt: str
    task: str | None
    speak: bool
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        folder: str,
        tokenizer: str | None,
        device: str,
        *,
        prompt: str,
        task: str | None,
        speak: bool,
        hear: bool,
        max_seconds: float | None,
        draw: Mapping[str, float],
        **options: Any,
    ) -> Answers:
        """Open a model folder, and the audio tokenizer that it was extended with where none is named.

        Args:
            folder: of the model.
            tokenizer: name of the audio tokenizer.
            device: of the model.
            prompt: see the attributes.
            task: see the attributes.
            speak: see the attributes.
            hear: whether audio is given.
            max_seconds: of each audio, at most.
            draw: temperature and top_p; empty for the likeliest ids.
            options: see the attributes.
        """
        quiet()
        vocab, text_tokenizer = AudioVocab.load(folder), open_text_tokenizer(folder)
        name = tokenizer or made_by(vocab.tokenizer_fingerprint, extended_with(folder))
        tok = load(name) if speak or hear else None
        options |= {"do_sample": bool(draw), **draw, "stop_after_audio": speak}
        if max_seconds is not None and tok is not None:
            options["max_frames"] = max(1, int(max_seconds * tok.frame_rate))
        spoken = task_named("speech").style(vocab).spoken
        if len(spoken) == 2:
            options["roles"] = spoken
        if task is not None:
            task_named(task)  # a wrong name is refused before a large model is opened
        opened = open_streams(folder, vocab) if plan_of(folder) is not None else open_model(folder)
        return cls(opened.to(device), text_tokenizer, vocab, tok, prompt, task, speak, options)

    def check_stream(self) -> None:
        """Check that sound can come before the answer ends.

        Raises:
            FormatError: tokenizer or pattern give all of it at the end.
        """
        if self.tok is not None and not self.tok.causal:
            raise FormatError(f"{self.tok.name} is not causal, and decodes an audio whole: leave out --stream")
        if isinstance(self.model, StreamModel) and self.model.plan.heads == "nar":
            raise FormatError("pattern valle says all frames at the end: leave out --stream, or train another pattern")

    def events(self, audio: str | None, dropped: Callable[[int], None]) -> Iterator[Event]:
        """The answer to one prompt: the text, then this audio file.

        Raises:
            AudioError: the file cannot be read.
            CodectokError: a prompt that the task does not take.
        """
        k = len(self.vocab.unit_sizes)
        codes = self.tok.encode(audio, num_codebooks=k) if audio is not None and self.tok is not None else None
        ids = Prompter(self.text_tokenizer, self.vocab).encode(
            self._segments(codes), bos=self.text_tokenizer.bos_token_id is not None
        )
        tok = self.tok if self.speak else None
        if isinstance(self.model, StreamModel):
            return self._streams(ids.ids, tok)
        return generate(
            self.model, self.text_tokenizer, self.vocab, ids.ids, tok=tok, dropped=dropped, **dict(self.options)
        )

    def _streams(self, ids: Any, tok: Tokenizer | None) -> Iterator[Event]:
        given = self.options
        pick: Pick = greedy
        if not given["constrain"]:
            raise FormatError("several streams say whole frames only: leave out --unconstrained")
        if given["do_sample"]:
            pick = sampler(given["temperature"], given["top_p"], given["seed"], self.model.device)
        limits = {name: given[name] for name in ("max_frames", "max_new_tokens", "chunk_seconds") if name in given}
        return generate_streams(self.model, self.text_tokenizer, ids, tok=tok, pick=pick, **limits)

    def _segments(self, codes: Any) -> list[Segment]:
        speak = self.speak or isinstance(self.model, StreamModel)  # which can do nothing else
        if self.task is not None:
            return task_prompt(self.task, self.vocab, self.prompt, codes, speak=speak)
        style = task_named("speech").style(self.vocab)
        segments: list[Segment] = [Text(self.prompt)] if self.prompt else []
        if codes is not None:
            segments += [*map(Marker, style.heard[:1]), Audio(codes), *map(Marker, style.heard[1:])]
        return segments + ([*map(Marker, style.spoken[:1])] if speak else [])
