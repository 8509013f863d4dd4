"""Generate with a causal language model, and hear it while it speaks.

The model runs in a thread of its own; ids come through a transformers streamer and are read and decoded by the thread
that asks for events, so that decoding overlaps with generation.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from codectok.errors import CodectokError
from codectok.llm.generate.events import Event, EventParser
from codectok.llm.generate.grammar import ids_in_text
from codectok.llm.generate.logits import AudioGrammar, logits_processor
from codectok.llm.patterns import Flatten, Pattern
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.tokenizer import Tokenizer


class IdStreamer:
    """A transformers streamer for one sequence: hands the new ids to a queue, None at the end.

    Args:
        skip_prompt: transformers puts the prompt first; whether to leave it out.
    """

    def __init__(self, skip_prompt: bool = True) -> None:
        self.queue: queue.Queue[list[int] | Exception | None] = queue.Queue()
        self._skip = skip_prompt

    def put(self, value: Tensor) -> None:
        """Ids [1, N] or [N] of the one sequence.

        Raises:
            CodectokError: a batch.
        """
        if value.dim() == 2 and len(value) > 1:
            raise CodectokError("streaming reads one sequence: generate with a batch of 1")
        if self._skip:
            self._skip = False
            return
        self.queue.put(value.reshape(-1).tolist())

    def end(self) -> None:
        """No more ids."""
        self.queue.put(None)


def generate(
    model: Any,
    tokenizer: Any,
    vocab: AudioVocab,
    prompt_ids: Sequence[int] | Tensor,
    *,
    tok: Tokenizer | None = None,
    pattern: Pattern | None = None,
    constrain: bool = True,
    num_frames: int | None = None,
    min_frames: int = 0,
    max_frames: int | None = None,
    max_new_tokens: int = 1024,
    stop_after_audio: bool = False,
    roles: tuple[str, str] = ("begin", "end"),
    chunk_seconds: float = 0.25,
    seed: int | None = None,
    dropped: Callable[[int], None] = lambda n: None,
    **options: Any,
) -> Iterator[Event]:
    """Continue a prompt: an iterator of text pieces and audio pieces, each as soon as it is complete.

    Audio is what stands between two markers, so the task ``interleaved`` by ratio, which has none, cannot be heard.
    Closing the iterator early stops the model.

    Args:
        model: a transformers causal language model.
        tokenizer: its tokenizer.
        vocab: its audio tokens.
        prompt_ids: [L], assembled from segments. Audio that it leaves open is continued; its own frames are not given
            again (but by a tokenizer that is not causal, which decodes an audio whole).
        tok: to decode audio with; None gives codes only.
        pattern: how audio is arranged, of one stream; default flattened.
        constrain: allow only what fits (``AudioGrammar``): text with timestamps and language tags, and whole frames.
            Without, a token out of its slot costs its frame.
        num_frames: the exact length of each audio; for section patterns without end marks.
        min_frames: the least length of each audio,
        max_frames: and the most. Where duplicates are merged, the least counts runs.
        max_new_tokens: ids at most; an audio that it cuts loses its last, incomplete frame.
        stop_after_audio: end with the first audio, not with the model's end of text.
        roles: of the markers that delimit audio, in the vocabulary.
        chunk_seconds: audio is decoded in pieces of at least so long.
        seed: of torch's global generator, where ``do_sample=True`` is among the options.
        dropped: called at the end with the number of audio tokens that gave no frame.
        options: further arguments of ``model.generate``.

    Raises:
        CodectokError: an empty prompt; no end marker to stop after; what the grammar or the audio tokenizer refuses.
    """
    prompt = torch.as_tensor(prompt_ids, dtype=torch.int64).reshape(1, -1)
    if not prompt.numel():
        raise CodectokError("the prompt is empty: give at least one id, such as the start marker of audio")
    grammar: AudioGrammar | None = None
    heard = None if vocab.transform is None else max_frames  # an id may stand for several
    if constrain:
        size = max(len(tokenizer) if tokenizer is not None else 0, vocab.end_id)
        grammar = AudioGrammar(
            vocab,
            pattern or Flatten(),
            size,
            num_frames=num_frames,
            min_frames=min_frames,
            max_frames=max_frames,
            also=ids_in_text(vocab),
            roles=roles,
        )
        options["logits_processor"] = [*options.get("logits_processor", []), *logits_processor(grammar)]
    if stop_after_audio:
        if roles[1] not in vocab.markers:
            raise CodectokError(f"the vocabulary has no marker {roles[1]} to stop after: limit max_new_tokens instead")
        options["eos_token_id"] = vocab.markers[roles[1]]
    separator = grammar.separator if grammar else vocab.markers.get("separator")
    parser = EventParser(
        vocab,
        tokenizer,
        tok,
        pattern=pattern,
        separator=separator,
        num_frames=num_frames,
        roles=roles,
        chunk_seconds=chunk_seconds,
        max_frames=heard,
    )
    parser.prime(prompt[0].tolist())
    return _events(
        model, prompt, parser, seed, dropped, {"max_new_tokens": max_new_tokens, **options}, stop_after_audio
    )


def _events(
    model: Any,
    prompt: Tensor,
    parser: EventParser,
    seed: int | None,
    dropped: Callable[[int], None],
    options: dict[str, Any],
    alone: bool,
) -> Iterator[Event]:
    from transformers import StoppingCriteria, StoppingCriteriaList

    stop = threading.Event()

    class Closed(StoppingCriteria):
        def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
            return torch.full((len(input_ids),), stop.is_set(), device=input_ids.device)

    streamer = IdStreamer()
    device = model.device
    inputs = {"input_ids": prompt.to(device), "attention_mask": torch.ones_like(prompt, device=device)}
    criteria = StoppingCriteriaList([*options.pop("stopping_criteria", []), Closed()])

    def speak() -> None:
        try:
            if seed is not None:
                torch.manual_seed(seed)
            model.generate(**inputs, streamer=streamer, stopping_criteria=criteria, **options)
        except Exception as error:
            streamer.queue.put(error)
        finally:
            streamer.queue.put(None)

    thread = threading.Thread(target=speak, name="codectok-generate", daemon=True)
    thread.start()
    try:
        while (ids := streamer.queue.get()) is not None:
            if isinstance(ids, Exception):
                raise ids
            yield from parser.push(ids)
            if parser.full and alone:
                break
        yield from parser.finish()
        dropped(parser.dropped)
    finally:
        stop.set()
        thread.join()
