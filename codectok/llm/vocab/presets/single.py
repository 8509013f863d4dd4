"""Systems with one codebook (and AnyGPT, which gives each modality a run of ids)."""

from __future__ import annotations

from codectok.errors import FormatError
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.presets.marks import in_a_row


def speechgpt(base_id: int = 32000) -> AudioVocab:
    """SpeechGPT (Zhang et al., 2023; repository 0nutation/SpeechGPT): 1000 deduplicated mHuBERT units on LLaMA.

    <0> ... <999>, then <sosp> <eosp> [Human] [SpeechGPT] <eoh> <eos>; ``base_id`` is <0>'s.
    """
    roles = {
        "begin": "<sosp>",
        "end": "<eosp>",
        "human": "[Human]",
        "assistant": "[SpeechGPT]",
        "end_of_human": "<eoh>",
        "end_of_assistant": "<eos>",
    }
    return AudioVocab("speechgpt", (1000,), base_id, ("<{c}>",), marks=in_a_row(base_id + 1000, roles))


def anygpt(modality: str = "speech", base_id: int = 32000) -> AudioVocab:
    """AnyGPT (Zhan et al., 2024; repository OpenMOSS/AnyGPT), on LLaMA 2; ``base_id`` is [Human]'s.

    [Human] [MMGPT] <eoh> <eos>, then 8192 image tokens, 1024 of speech (SpeechTokenizer's first codebook), 4 x 2048 of
    music (EnCodec), each run followed by its two markers; <-Res-> and <-Ins-> came with the second stage. In the names
    of music tokens the codebooks are counted on: <🎶2049> is code 1 of codebook 1.

    Args:
        modality: "speech" or "music".
        base_id: id of [Human].
    """
    dialogue = {"human": "[Human]", "assistant": "[MMGPT]", "end_of_human": "<eoh>", "end_of_assistant": "<eos>"}
    speech = base_id + 4 + 8192 + 2
    music = speech + 1024 + 2
    shared = in_a_row(base_id, dialogue)
    shared += in_a_row(music + 8192 + 2, {"response": "<-Res->", "instruction": "<-Ins->"})
    if modality == "speech":
        marks = shared + in_a_row(speech + 1024, {"begin": "<sosp>", "end": "<eosp>"})
        return AudioVocab("anygpt-speech", (1024,), speech, ("<🗣️{c}>",), marks=marks)
    if modality == "music":
        marks = shared + in_a_row(music + 8192, {"begin": "<somu>", "end": "<eomu>"})
        return AudioVocab("anygpt-music", (2048,) * 4, music, ("<🎶{n}>",), marks=marks)
    raise FormatError(f"AnyGPT's audio modalities are speech and music, not {modality!r}")


def llasa(base_id: int = 128256) -> AudioVocab:
    """LLaSA (Ye et al., 2025; repository zhenye234/LLaSA_training): X-codec 2, 65536 codes, on Llama 3.

    Eight markers from ``base_id`` on, then <|s_0|> ... <|s_65535|>.
    """
    kinds = [f"{what}_{use}" for what in ("text", "speech") for use in ("generation", "understanding")]
    roles = {f"{kind}_{end}": f"<|{kind.upper()}_{end.upper()}|>" for kind in kinds for end in ("start", "end")}
    return AudioVocab("llasa", (65536,), base_id + 8, ("<|s_{c}|>",), marks=in_a_row(base_id, roles))


def glm_4_voice() -> AudioVocab:
    """GLM-4-Voice (Zeng et al., 2024; repository THUDM/GLM-4-Voice): 16384 codes at 12.5 Hz, on GLM-4-9B.

    <|audio_0|> is 152353; the markers stand among GLM-4's special tokens, from <|system|> = 151335 on. The system reads
    every id from 152353 on as audio; here the range is closed at <|audio_16383|> = 168736.
    """
    marks = in_a_row(
        151335,
        {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>", "observation": "<|observation|>"},
    )
    marks += in_a_row(151343, {"begin": "<|begin_of_audio|>", "end": "<|end_of_audio|>"})
    return AudioVocab("glm-4-voice", (16384,), 152353, ("<|audio_{c}|>",), marks=marks)


def vita_audio(plus: bool = False, base_id: int = 151665) -> AudioVocab:
    """VITA-Audio (Long et al., 2025; repository VITA-MLLM/VITA-Audio): GLM-4-Voice's codes on Qwen2.5.

    20 markers from ``base_id`` on (with <|context_of_audio|> 21, where ``plus`` feeds continuous features in), then
    <|audio_0|> ... <|audio_16383|>. Codes are not special, markers are; rows are padded to a multiple of 8.
    """
    roles: dict[str, str] = {}
    for what in ("image", "video", "patch"):
        roles |= {f"{way}_{what}": f"<|{way}_of_{what}|>" for way in ("begin", "end", "context")}
    roles |= {"begin": "<|begin_of_audio|>", "end": "<|end_of_audio|>"}
    roles |= {"context": "<|context_of_audio|>"} if plus else {}
    for what in ("quad", "ref", "box"):
        roles |= {f"{way}_{what}": f"<|{way}_of_{what}|>" for way in ("begin", "end")}
    roles |= {what: f"<|{what}|>" for what in ("image", "video", "audio")}
    name = "vita-audio-plus" if plus else "vita-audio"
    marks = in_a_row(base_id, roles)
    return AudioVocab(name, (16384,), base_id + len(marks), ("<|audio_{c}|>",), marks=marks, pad_multiple=8)


def cosyvoice2(base_id: int = 151663) -> AudioVocab:
    """CosyVoice 2 (Du et al., 2024), as its repository exports it (examples/grpo/cosyvoice2): FSQ, 6561 codes, Qwen2.

    <|s_0|> ... <|s_6560|> <|eos1|> <|eos2|> <|eos3|> <|sos|> <|task_id|>, rows padded to a multiple of 128. ``base_id``
    is <|s_0|>'s: Qwen2's 151646 tokens and the 17 that the export adds first, <|endofprompt|> ... [mn].
    """
    roles = {"end": "<|eos1|>", "end_2": "<|eos2|>", "end_3": "<|eos3|>", "begin": "<|sos|>", "task": "<|task_id|>"}
    marks = in_a_row(base_id + 6561, roles)
    return AudioVocab("cosyvoice2", (6561,), base_id, ("<|s_{c}|>",), marks=marks, pad_multiple=128)
