"""Generate with a model of several streams: text and sound while it goes on, as with one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from codectok.errors import CodectokError, FingerprintError, FormatError
from codectok.llm.generate.events import Event, TextPiece
from codectok.llm.generate.id_readers import TextReader
from codectok.llm.generate.sounding import Sounding
from codectok.llm.generate.stream_grammar import StreamGrammar
from codectok.llm.generate.stream_steps import say_steps
from codectok.llm.heads.parallel_heads import Pick
from codectok.llm.heads.stream_model import StreamModel
from codectok.tokenizer import Tokenizer


def greedy(logits: Tensor) -> Tensor:
    """The likeliest id of each row [N, V]."""
    return logits.argmax(-1)


def sampler(temperature: float, top_p: float, seed: int, device: torch.device) -> Pick:
    """Ids that are drawn, as transformers warps the logits.

    Args:
        temperature: above 0.
        top_p: share that is drawn from.
        seed: of the draws.
        device: of the logits.
    """
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    warp: Any = LogitsProcessorList([TemperatureLogitsWarper(temperature), *([TopPLogitsWarper(top_p)] * (top_p < 1))])
    generator = torch.Generator(device).manual_seed(seed)

    def pick(logits: Tensor) -> Tensor:
        warped = warp(torch.zeros(len(logits), 0, dtype=torch.int64, device=device), logits.float())
        return torch.multinomial(warped.softmax(-1), 1, generator=generator)[:, 0]

    return pick


def most_frames(model: StreamModel, prompt: int, max_new_tokens: int, max_frames: int | None) -> int:
    """Frames that fit into so many steps, and into the context of the language model.

    Raises:
        CodectokError: not one.
    """
    plan, context = model.plan, getattr(model.lm.config, "max_position_embeddings", None)
    steps = max_new_tokens if context is None else min(max_new_tokens, int(context) - prompt)
    frames = steps * plan.group if max_frames is None else min(steps * plan.group, max_frames)
    while frames > 0 and plan.pattern.length(frames, len(plan.rows)) > steps:
        frames -= 1
    if frames < 1:
        raise CodectokError(
            f"{steps} steps hold no frame behind a prompt of {prompt} ids: give more --max-tokens, or less of a prompt"
        )
    return frames


def generate_streams(
    model: StreamModel,
    tokenizer: Any,
    prompt_ids: Sequence[int] | Tensor,
    *,
    tok: Tokenizer | None = None,
    min_frames: int = 0,
    max_frames: int | None = None,
    max_new_tokens: int = 1024,
    chunk_seconds: float = 0.25,
    pick: Pick = greedy,
) -> Iterator[Event]:
    """Say what follows a prompt, which ends with the start of speech: an iterator of text and audio pieces.

    A frame is given as soon as all its codes are there: after one step, in delay patterns after as many as the largest
    delay and one. VALL-E's is given whole at the end, because its second model reads all frames at once.

    Args:
        model: of several streams.
        tokenizer: of text, for the text stream; None leaves text out.
        prompt_ids: [P].
        tok: to decode audio with; None gives codes only.
        min_frames: of the audio, at least,
        max_frames: and at most.
        max_new_tokens: steps at most.
        chunk_seconds: audio is decoded in pieces of at least so long; 0 is every frame as it comes.
        pick: how ids are drawn.

    Raises:
        CodectokError: an empty prompt, or no room for a frame.
        FingerprintError: a model for another audio tokenizer.
        FormatError: codebooks that the audio tokenizer does not have.
    """
    plan, prompt = model.plan, torch.as_tensor(prompt_ids, dtype=torch.int64).reshape(-1)
    if not len(prompt):
        raise CodectokError("the prompt is empty: give at least one id, such as the start marker of audio")
    if tok is not None:
        _check(model, tok)
    most = most_frames(model, len(prompt), max_new_tokens, max_frames)
    grammar = StreamGrammar(plan.pattern, plan.rows, plan.fill, min_frames=min(min_frames, most), max_frames=most)
    return _events(model, tokenizer, prompt, grammar, Sounding(tok, len(plan.sizes), chunk_seconds), pick)


def _check(model: StreamModel, tok: Tokenizer) -> None:
    wanted, sizes = model.vocab.tokenizer_fingerprint, model.plan.sizes
    if wanted is not None and not tok.knows(wanted):
        raise FingerprintError(
            f"the model is of audio tokenizer {wanted}, {tok.name} is {tok.fingerprint}: load the one that it was "
            "made for",
            wanted=wanted,
            found=tok.fingerprint,
        )
    if sizes != tok.codebook_sizes[: len(sizes)]:
        raise FormatError(f"{tok.name} has codebooks of {list(tok.codebook_sizes)}, the model of {list(sizes)}")


def _events(
    model: StreamModel, tokenizer: Any, prompt: Tensor, grammar: StreamGrammar, audio: Sounding, pick: Pick
) -> Iterator[Event]:
    plan, inverse = model.plan, grammar.inverse()
    text = TextReader(tokenizer) if plan.text and tokenizer is not None else None
    held: list[Tensor] = []  # VALL-E's first codebook, and the states after each of its frames
    states: list[Tensor] = []
    for step in say_steps(model, prompt, grammar, pick):
        rows = inverse.push(step.ids[:, None])
        states.append(step.state)
        if text is not None:
            for id in rows[0].tolist():
                if id < plan.text - 1 and (said := text.push(id)):
                    yield TextPiece(said)
        codes = rows[bool(plan.text) :]
        if plan.heads == "nar":
            held.append(codes)
        else:
            yield from audio.push(codes)
    if text is not None and (rest := text.flush()):
        yield TextPiece(rest)
    if plan.heads == "nar":
        yield from audio.push(_complete(model, torch.cat(held, 1), states, pick))
    yield audio.end()


def _complete(model: StreamModel, codes: Tensor, states: list[Tensor], pick: Pick) -> Tensor:
    """All codebooks [K, T]; the state after a frame is the one that the next step was said from."""
    after = torch.stack([*states[1:], states[-1]])[: codes.shape[1]]
    with torch.inference_mode():
        return model.heads.complete(model.embedding, model.head, after, codes.to(model.device), pick).cpu()
