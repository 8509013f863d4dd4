"""Systems with several codebooks in one frame."""

from __future__ import annotations

from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.presets.marks import in_a_row
from codectok.llm.vocab.tags import Mark

SNAC_SLOTS = (0, 1, 2, 2, 1, 2, 2)
"""Which of SNAC's three streams (1, 2 and 4 codes a frame) stands in each of the 7 slots of a frame."""


def orpheus(base_id: int = 128256) -> AudioVocab:
    """Orpheus-TTS (Canopy Labs, 2025; repository canopyai/Orpheus-TTS): SNAC in 7 slots a frame, on Llama 3.2.

    <custom_token_0> (``base_id``) ... <custom_token_28682>. The first ten are markers; slot k of a frame has the 4096
    numbers from 10 + 4096 k on, so code = number - 10 - 4096 k. <|audio|> is the model's last token.
    """
    roles = ["unused", "begin", "end", "start_of_human", "end_of_human", "start_of_ai", "end_of_ai", "pad"]
    roles += ["start_of_system", "end_of_system"]
    marks = in_a_row(base_id, {role: f"<custom_token_{i}>" for i, role in enumerate(roles)})
    return AudioVocab(
        "orpheus",
        (4096,) * 7,
        base_id + 10,
        ("<custom_token_{n}>",),
        first_number=10,
        slots=SNAC_SLOTS,
        marks=(*marks, *in_a_row(base_id + 28682, {"unused_last": "<custom_token_28682>", "audio": "<|audio|>"})),
    )


def llama_mimi(num_codebooks: int = 4, base_id: int = 128256) -> AudioVocab:
    """Llama-Mimi (Sugiura et al., 2025; repository llm-jp/llama-mimi): Mimi, code-major, on Llama 3.

    <0_0> <0_1> ... <2047_3> = <{code}_{codebook}>, then <audio> </audio>; ``base_id`` is <0_0>'s.
    """
    marks = in_a_row(base_id + 2048 * num_codebooks, {"begin": "<audio>", "end": "</audio>"})
    return AudioVocab("llama-mimi", (2048,) * num_codebooks, base_id, ("<{c}_{k}>",), order="code-major", marks=marks)


def mini_omni(base_id: int = 152000) -> AudioVocab:
    """Mini-Omni (Xie & Wu, 2024; repository gpt-omni/mini-omni): 7 SNAC layers in parallel, ids without names, Qwen2.

    Layer k has 4096 codes and 64 more ids from ``base_id`` + 4160 k on; of those, its markers: end (4096), pad (4097),
    input (4098), answer (4099), split (4100). The text side has its own at 151936. (The system's
    SNAC helper calls 4097 the end of audio; its inference script, followed here, 4096.)
    """
    audio = ("end", "pad", "input", "answer", "split")
    text = ("text_end", "text_pad", "text_input", "text_answer", "text_asr")
    marks = [Mark(role, "", base_id - 64 + i) for i, role in enumerate(text)]
    for layer in range(7):
        first = base_id + 4160 * layer + 4096
        marks += [Mark(f"{role}_{layer}", "", first + i) for i, role in enumerate(audio)]
    return AudioVocab("mini-omni", (4096,) * 7, base_id, (), reserved=64, slots=SNAC_SLOTS, marks=tuple(marks))


def codec_bpe(
    base_id: int,
    num_codebooks: int = 4,
    codebook_size: int = 1024,
    first_character: int = 0x4E00,
    begin: str = "<audio>",
    end: str = "</audio>",
) -> AudioVocab:
    """codec-bpe (repository AbrahamSanders/codec-bpe; Acoustic BPE, Shen et al., 2024): a Unicode character a code.

    Code c of codebook k is the character ``first_character`` + k * ``codebook_size`` + c. ``base_id`` is the id of the
    begin marker, then comes the end marker, then the codes; n-grams learned by BPE follow and are not part of this.
    Use 0xE000 for more codes than fit below the surrogates. Users write in these characters too, so text must be
    encoded with the audio tokens switched off (``codectok.llm.sequence.segments``).
    """
    marks = in_a_row(base_id, {"begin": begin, "end": end})
    sizes = (codebook_size,) * num_codebooks
    return AudioVocab("codec-bpe", sizes, base_id + 2, ("{char}",), first_number=first_character, marks=marks)
